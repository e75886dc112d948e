//! The console's first page: what needs a person, before all else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::clock;
use chatfold::console::{self, Params, Reader};
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::TokenScope;
use harness::Harness;
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;

fn show(harness: &Harness) -> String {
    let api = Api::open(&harness.path(), console::limits(&Limits::default())).unwrap();
    let (page, params) = (console::page("/").unwrap(), Params::parse(""));
    let mut variables = page.variables(&params);
    page.within(TokenScope::Admin, &mut variables);
    let asked = async_graphql::Request::new(page.document)
        .variables(async_graphql::Variables::from_json(Value::Object(variables)));
    let answer =
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(api.execute(asked, Caller::default()));
    let reader = Reader { scope: TokenScope::Admin, ..Reader::default() };
    let shown = page.render(params, &reader, answer);
    assert_eq!(shown.status, 200, "{}", shown.body);
    shown.body
}

fn blocked(harness: &Harness, n: i64, at: i64) {
    let user =
        json!({ "users": { "ann": { "uid": "ann", "name": format!("Ann {n}") } }, "by": { "uid": format!("u{n}") } });
    harness.post(&json!({ "trigger": "user_blocked", "appId": "a", "data": user }).to_string(), at);
}

fn created(harness: &Harness, n: i64, at: i64) {
    let group = json!({ "group": { "guid": format!("g{n}"), "name": "G", "createdAt": at / 1000 } });
    harness.post(&json!({ "trigger": "group_created", "appId": "a", "data": group }).to_string(), at);
}

/// The list of what needs a person.
fn needs(html: &str) -> &str {
    let (_, rest) = html.split_once("id=\"needs\"").unwrap();
    rest.split("<h2>Apps</h2>").next().unwrap()
}

#[test]
fn a_trigger_that_stopped_while_others_went_on_comes_first() {
    let (harness, now) = (Harness::new(), clock::now().0);
    for hour in 1..40 {
        let at = now - (40 - hour) * HOUR;
        blocked(&harness, hour, at);
        if hour < 20 {
            created(&harness, hour, at + 1_000);
        }
    }
    harness.post(&json!({ "trigger": "group_created", "appId": "a", "data": { "n": 1 } }).to_string(), now - 30 * HOUR);
    let html = show(&harness);
    let told = needs(&html);
    let (silent, dead) = (told.find("went silent").unwrap(), told.find("1 dead letter<").unwrap());
    assert!(told.contains("triggers=group_created") && silent < dead, "{told}");
    assert!(!told.contains("triggers=user_blocked"), "what goes on is not told: {told}");
    assert!(told.contains("message_sent") && told.contains("never heard of"), "{told}");
    assert!(html.find("id=\"needs\"") < html.find("Traffic"), "what needs a person stands before the traffic");
}

#[test]
fn an_app_that_went_silent_is_told_and_a_lively_one_needs_nobody() {
    let (harness, now) = (Harness::new(), clock::now().0);
    for hour in 0..30 {
        blocked(&harness, hour, now - (45 - hour) * HOUR);
    }
    assert!(needs(&show(&harness)).contains("Nothing has come since"), "{}", needs(&show(&harness)));
    // What a reconcile reads is no delivery.
    let read = |at: i64, n: i64| {
        let data = json!({ "readAt": at, "user": { "uid": "u", "name": n.to_string() } });
        harness.post(&json!({ "trigger": "chatfold.user_snapshot", "appId": "a", "data": data }).to_string(), at);
    };
    (0..15).for_each(|hour| read(now - hour * HOUR, hour));
    assert!(needs(&show(&harness)).contains("Nothing has come since"), "{}", needs(&show(&harness)));
    for hour in 30..46 {
        blocked(&harness, hour, now - (45 - hour) * HOUR);
    }
    assert!(needs(&show(&harness)).contains("Nothing: deliveries come as usual"), "{}", needs(&show(&harness)));
}

#[test]
fn the_newest_backup_is_told() {
    let (harness, now) = (Harness::new(), clock::now().0);
    blocked(&harness, 1, now);
    assert!(show(&harness).contains("<dt>Newest backup</dt><dd>none</dd>"), "{}", show(&harness));
    let insert = "INSERT INTO settings (name, value) VALUES ('backup', ?1)";
    harness.conn.execute(insert, [format!("{} 1", now - HOUR)]).unwrap();
    let html = show(&harness);
    assert!(html.contains("<dt>Newest backup</dt><dd><time") && html.contains("at log position 1<"), "{html}");
    assert!(needs(&html).contains("Nothing: deliveries come as usual"), "no server makes backups: {html}");
}

#[test]
fn charts_have_their_axes() {
    let (harness, now) = (Harness::new(), clock::now().0);
    for n in 0..3 {
        blocked(&harness, n, now);
    }
    let html = show(&harness);
    assert_eq!(html.matches("<span class=\"top\">3</span>").count(), 2, "{html}");
    assert_eq!(html.matches("<span>now</span>").count(), 2);
}

#[test]
fn groups_with_drift_and_a_time_without_a_server_need_a_person() {
    let (harness, now) = (Harness::new(), clock::now().0);
    let told = |count: i64| {
        let group = json!({ "guid": "g", "createdAt": now / 1000 - 9_000, "membersCount": count });
        json!({ "trigger": "group_created", "appId": "a", "data": { "group": group } }).to_string()
    };
    harness.post(&told(0), now);
    assert!(!needs(&show(&harness)).contains("drift"), "{}", needs(&show(&harness)));
    harness.post(&told(3), now);
    let ran =
        [(1, now - 9 * HOUR, now - 8 * HOUR), (2, now - 7 * HOUR, now - 7 * HOUR), (3, now - 7 * HOUR + 9_000, now)];
    for (id, started_at, seen_at) in ran {
        harness.conn.execute("INSERT INTO runs VALUES (?1, ?2, ?3)", (id, started_at, seen_at)).unwrap();
    }
    let html = show(&harness);
    let told = needs(&html);
    assert!(told.contains("Groups with drift: 1") && told.contains("drifted=true"), "{told}");
    assert_eq!(told.matches("No server").count(), 1, "a restart of 9 s is none: {told}");
}
