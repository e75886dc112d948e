//! What the console shows, asked of the API: traffic, periods, events about an entity, explanations.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::clock;
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::TokenScope;
use harness::{Harness, NOON};
use serde_json::{Value, json};

const APP: &str = "app";

fn member(trigger: &str, second: i64, uid: &str) -> String {
    let data = json!({
        "members": { (uid): { "uid": uid, "name": uid } },
        "group": { "guid": "g", "name": "Group", "updatedAt": NOON / 1000 + second },
    });
    json!({ "trigger": trigger, "appId": APP, "webhook": "w", "region": "eu", "data": data }).to_string()
}

fn ask_as(harness: &Harness, query: &str, scope: TokenScope) -> Value {
    let api = Api::open(&harness.path(), Limits::default()).unwrap();
    let caller = Caller { scope, ..Caller::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(api.execute(async_graphql::Request::new(query), caller))
}

fn ask(harness: &Harness, query: &str) -> Value {
    let answer = ask_as(harness, query, TokenScope::Admin);
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("fixtures/triggers/{name}.json")).unwrap()
}

#[test]
fn periods_are_what_as_of_answers_within_them() {
    let harness = Harness::new();
    for name in ["group_created", "group_member_joined", "group_member_scope_changed", "group_member_kicked"] {
        harness.post(&fixture(name), NOON);
    }
    let groups = ask(
        &harness,
        "{groups(first:5){nodes{guid members(first:20,filter:{states:[JOINED,LEFT,KICKED,BANNED,UNBANNED,ABSENT]}){nodes{uid periods{state scope from until seq}}}}}}",
    );
    let mut checked = 0;
    for group in groups["groups"]["nodes"].as_array().unwrap() {
        let guid = &group["guid"];
        for member in group["members"]["nodes"].as_array().unwrap() {
            let periods = member["periods"].as_array().unwrap();
            assert!(!periods.is_empty(), "{member}");
            for (at, period) in periods.iter().enumerate() {
                let from = &period["from"];
                let then = ask(
                    &harness,
                    &format!("{{group(guid:{guid}){{member(uid:{},asOf:{from}){{state scope}}}}}}", member["uid"]),
                );
                let then = &then["group"]["member"];
                assert_eq!((&then["state"], &then["scope"]), (&period["state"], &period["scope"]), "{member}");
                let next = periods.get(at + 1).map_or(&Value::Null, |next| &next["from"]);
                assert_eq!(next, &period["until"], "{member}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 4, "only {checked} periods");
}

#[test]
fn changes_of_members_are_found_before_and_after_an_instant() {
    let harness = Harness::new();
    for (second, trigger) in [(10, "group_member_joined"), (20, "group_member_left"), (30, "group_member_joined")] {
        harness.post(&member(trigger, second, "ann"), NOON + second * 1000);
    }
    let at = |second: i64| chatfold::ids::Time(NOON + second * 1000).rfc3339();
    let changes = |arguments: String| {
        let found = ask(&harness, &format!("{{group(guid:\"g\"){{membershipChanges({arguments}){{nodes{{at}}}}}}}}"));
        let nodes = found["group"]["membershipChanges"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["at"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(changes(format!("first:1,changedBefore:\"{}\"", at(20))), [at(10)]);
    assert_eq!(changes(format!("last:1,changedAfter:\"{}\"", at(20))), [at(20)]);
    assert_eq!(changes(format!("uid:\"ann\",changedAfter:\"{}\",changedBefore:\"{}\"", at(11), at(30))), [at(20)]);
}

#[test]
fn an_event_names_its_entities_and_they_name_their_events() {
    let harness = Harness::new();
    harness.post(&member("group_member_joined", 10, "ann"), NOON);
    harness.post(&member("group_member_joined", 11, "bob"), NOON);
    harness.post(&member("group_member_left", 12, "ann"), NOON);
    let event = ask(&harness, "{event(seq:1){entities{name node{id} events{nodes{seq}}}}}");
    let entities = event["event"]["entities"].as_array().unwrap();
    let events = |name: &str| {
        let entity = entities.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}: {event}"));
        assert!(entity["node"]["id"].is_string(), "{entity}");
        let nodes = entity["events"]["nodes"].as_array().unwrap();
        nodes.iter().map(|it| it["seq"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events("membership:g/ann"), ["3", "1"]);
    assert_eq!(events("group:g"), ["3", "2", "1"]);
    let about = |id: &str| {
        let found = ask(&harness, &format!("{{events(filter:{{about:\"{id}\"}}){{nodes{{seq}} totalCount}}}}"));
        found["events"]["totalCount"].as_i64().unwrap()
    };
    assert_eq!(
        [about("g"), about("ann"), about("user:bob"), about("membership:g/bob"), about("nobody")],
        [3, 2, 1, 1, 0]
    );
}

#[test]
fn bodies_are_searched_for_admins_only() {
    let harness = Harness::new();
    harness.post(&member("group_member_joined", 10, "ann"), NOON);
    harness.post(&member("group_member_joined", 11, "bob"), NOON);
    let query = "{events(filter:{bodyContains:\"\\\"bob\\\"\"}){nodes{seq}}}";
    assert_eq!(ask(&harness, query)["events"]["nodes"], json!([{ "seq": "2" }]));
    for scope in [TokenScope::Metadata, TokenScope::Content] {
        assert_eq!(ask_as(&harness, query, scope)["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}

#[test]
fn a_secret_is_not_found_by_what_it_says() {
    let harness = Harness::new();
    let body = |n: u32| {
        json!({ "trigger": "campaign_sent", "appId": APP, "data": { "n": n, "wsChannel": { "secret": "s3cr3t" }, "metadata": { "@private": { "email": "ann@example.com" }, "shown": "x" } } }).to_string()
    };
    harness.post(&body(1), NOON);
    let found = |text: &str| {
        let found =
            ask(&harness, &format!("{{events(filter:{{bodyContains:\"{text}\"}}){{totalCount nodes{{body}}}}}}"));
        found["events"]["totalCount"].as_i64().unwrap()
    };
    assert_eq!([found("campaign_sent"), found("shown")], [1, 1]);
    assert_eq!([found("s3cr3t"), found("ann@example"), found("@private")], [0, 0, 0]);
}

#[test]
fn traffic_counts_deliveries_and_tells_the_newest_of_each_trigger() {
    let harness = Harness::new();
    let now = clock::now().0;
    let join = member("group_member_joined", 10, "ann");
    harness.post(&join, now - 2 * 3_600_000);
    harness.post(&join, now);
    harness.post(r#"{"trigger":"campaign_sent","appId":"app","data":{}}"#, now);
    let found = ask(
        &harness,
        "{apps{traffic(step:HOUR,last:3){at deliveriesCount outcomes{applied duplicate ignored}} triggers(hours:1){trigger deliveriesCount lastAt}}}",
    );
    let traffic = found["apps"][0]["traffic"].as_array().unwrap();
    let counts: Vec<i64> = traffic.iter().map(|it| it["deliveriesCount"].as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 0, 2], "{traffic:?}");
    assert_eq!(traffic[2]["outcomes"], json!({ "applied": 0, "duplicate": 1, "ignored": 1 }));
    let triggers = found["apps"][0]["triggers"].as_array().unwrap();
    assert_eq!(triggers.len(), 2, "{triggers:?}");
    assert_eq!((&triggers[0]["trigger"], &triggers[0]["deliveriesCount"]), (&json!("campaign_sent"), &json!(1)));
    assert_eq!(triggers[1]["lastAt"], chatfold::ids::Time(now - 2 * 3_600_000).rfc3339());
    let answer = ask_as(&harness, "{apps{traffic(last:0){at}}}", TokenScope::Admin);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
}

#[test]
fn an_explanation_tells_what_stood_before() {
    let harness = Harness::new();
    for (second, name) in [(1, "One"), (2, "Two")] {
        let data = json!({ "group": { "guid": "g", "name": name, "updatedAt": NOON / 1000 + second }, "sentAt": NOON / 1000 + second });
        harness.post(&json!({ "trigger": "group_updated", "appId": APP, "data": data }).to_string(), NOON);
    }
    let found = ask(&harness, "{explain(entity:\"group:g\")}");
    assert_eq!(found["explain"]["agrees"], true, "{found}");
    let effects = found["explain"]["deliveries"][1]["effects"].as_array().unwrap();
    let name = effects.iter().find(|it| it["register"] == "name").unwrap();
    assert_eq!((&name["before"], &name["value"], &name["won"]), (&json!("One"), &json!("Two"), &json!(true)));
    assert_eq!(ask(&harness, "{explain(entity:\"group:nothing\")}"), json!({ "explain": null }));
    let answer = ask_as(&harness, "{explain(entity:\"room:7\")}", TokenScope::Admin);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
    // It tells what the log says, of what is deleted too.
    for scope in [TokenScope::Metadata, TokenScope::Content] {
        let answer = ask_as(&harness, "{explain(entity:\"group:g\")}", scope);
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}
