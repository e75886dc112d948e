//! `chatfold backfill` against a stand-in of CometChat's API: afterwards the tables are what is true, whatever goes wrong
//! on the way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;
mod vendor;

use harness::Harness;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use support::{chatfold, verified};
use vendor::app::App;
use vendor::command::{File, ask, assert_true, backfill, done, run};
use vendor::{Fate, Vendor};

fn small() -> App {
    app(6, 30, 300)
}

fn app(groups: usize, members: usize, messages: i64) -> App {
    let mut app = App::made(groups, members, messages);
    let message = app.messages.get_mut(&20).unwrap();
    message["data"]["text"] = json!("edited");
    (message["editedAt"], message["editedBy"]) = (json!(1_700_009_000), json!("u3"));
    let message = app.messages.get_mut(&30).unwrap();
    (message["deletedAt"], message["deletedBy"]) = (json!(1_700_009_000), json!("u0"));
    app.reactions.remove(&30);
    app
}

#[test]
fn after_a_backfill_the_tables_are_what_was_true_before_chatfold() {
    // As large as the long form says.
    let number = |variable, otherwise| support::number(variable, otherwise) as usize;
    let (groups, members) = (number("CHATFOLD_BACKFILL_GROUPS", 6), number("CHATFOLD_BACKFILL_MEMBERS", 30));
    let messages = number("CHATFOLD_BACKFILL_MESSAGES", 300);
    let (app, file) = (app(groups, members, messages as i64), File::new());
    let vendor = Vendor::of(app.clone(), members / 4);
    let report = done(&vendor, &file.db());
    assert_true(&app, &file.db());
    let read = |stage: &str| report["stages"][stage]["new"].as_u64().unwrap() as usize;
    let members: usize = app.members.values().map(BTreeMap::len).sum();
    assert_eq!((read("members"), read("messages")), (members, app.messages.len()), "{report:#}");
    verified(&file.db());
    let owners = "SELECT DISTINCT owner_uid FROM groups";
    assert_eq!(ask(&file.db(), owners), ["u0"]);
}

#[test]
fn what_was_read_explains_what_the_tables_say() {
    let (app, file) = (app(2, 6, 30), File::new());
    let vendor = Vendor::of(app, 100);
    done(&vendor, &file.db());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    vendor.change(|app| {
        app.leave("g0", "u2");
        app.users.get_mut("u3").unwrap()["name"] = json!("Renamed");
    });
    done(&vendor, &file.db());
    assert!(Harness::copy_of(&file.db()).explain_all("a backfill") > 50);
}

#[test]
fn a_second_backfill_finds_nothing_new_and_adds_one_row_a_group() {
    let (app, file) = (small(), File::new());
    let vendor = Vendor::of(app.clone(), 100);
    done(&vendor, &file.db());
    let count = "SELECT trigger || ' ' || count(*) FROM events GROUP BY trigger";
    let rows = |table: &str| ask(&file.db(), &format!("SELECT count(*) || '' FROM {table}"));
    let (events, changes) = (ask(&file.db(), count), rows("membership_changes"));
    for _ in 0..3 {
        // Lists of one second are one.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let report = done(&vendor, &file.db());
        for (stage, tally) in report["stages"].as_object().unwrap() {
            assert_eq!((&tally["new"], &tally["changed"]), (&json!(0), &json!(0)), "{stage}: {report:#}");
        }
    }
    let with_lists: Vec<String> = events.iter().map(|it| it.replace("group_roster 6", "group_roster 12")).collect();
    assert_eq!(ask(&file.db(), count), with_lists, "the newest list that confirmed stands for those before it");
    assert_eq!(rows("membership_changes"), changes, "no row a member");
    assert_true(&app, &file.db());
    verified(&file.db());
}

#[test]
fn messages_that_retention_cut_are_not_read_again() {
    let (app, file) = (app(2, 6, 30), File::new());
    let vendor = Vendor::of(app, 100);
    done(&vendor, &file.db());
    let db = file.db();
    let (code, _, err) =
        chatfold(&["retention", "--apply", "--retention-message", "30d", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let report = done(&vendor, &db);
    assert_eq!(report["stages"]["messages"]["new"], 0, "{report:#}");
    for table in ["messages", "events WHERE trigger = 'chatfold.message_snapshot'"] {
        assert_eq!(ask(&db, &format!("SELECT count(*) || '' FROM {table}")), ["0"], "{table}");
    }
    verified(&db);
}

#[test]
fn who_left_while_nobody_listened_is_out_and_what_changed_is_changed() {
    let (app, file) = (small(), File::new());
    let vendor = Vendor::of(app, 100);
    done(&vendor, &file.db());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let mut changed = App::default();
    vendor.change(|app| {
        app.leave("g1", "u8");
        app.join("g2", "u3", "admin", 1_700_100_000);
        app.banned.get_mut("g3").unwrap().clear();
        app.banned.entry("g3".into()).or_default().insert("u40".into());
        app.leave("g3", "u40");
        app.groups.remove("g4");
        app.users.get_mut("u5").unwrap()["name"] = json!("Renamed");
        app.blocks.get_mut("u1").unwrap().clear();
        app.messages.get_mut(&40).unwrap()["data"]["text"] = json!("other words");
        (app.messages.get_mut(&40).unwrap()["editedAt"], app.messages.get_mut(&40).unwrap()["editedBy"]) =
            (json!(1_700_009_500), json!("u1"));
        app.reactions.remove(&50);
        changed = app.clone();
    });
    let report = done(&vendor, &file.db());
    assert_true(&changed, &file.db());
    assert_eq!(report["stages"]["messages"]["changed"], json!(1), "{report:#}");
    let (code, out, _) = support::chatfold(&["explain", "membership:g1/u8", "--db", file.db().to_str().unwrap()]);
    assert!(code == 0 && out.contains("complete member list"), "{out}");
    verified(&file.db());
}

#[test]
fn a_group_is_deleted_by_the_word_of_cometchat_alone_and_at_its_time() {
    let (app, file) = (small(), File::new());
    let vendor = Vendor::of(app, 100);
    done(&vendor, &file.db());
    let deleted = "SELECT guid || '' FROM groups WHERE deleted_at IS NOT NULL";
    let fated = |code: &'static str| {
        vendor.fate(move |_, target, _| match target.contains("/bannedusers") {
            true => Fate::Refused(404, code),
            false => Fate::Answered,
        });
        run(&vendor, &file.db(), &["--only", "members"])
    };
    // Such as a proxy answers, or an API without this list.
    let (code, report, _) = fated("");
    assert_eq!((code, &report["stages"]["members"]["unreachable"]), (1, &json!(6)), "{report:#}");
    assert!(ask(&file.db(), deleted).is_empty());
    let (code, _, err) = fated("ERR_GUID_NOT_FOUND");
    assert_eq!((code, ask(&file.db(), deleted).len()), (0, 6), "{err}");
    let (at, now) = ("SELECT max(occurred_at) || '' FROM events", jiff::Timestamp::now().as_millisecond());
    let at: i64 = ask(&file.db(), at)[0].parse().unwrap();
    assert!(at % 1_000 == 0 && at <= now - 1_000, "the Date of the answer, less the margin: {at}, now {now}");
}

#[test]
fn a_list_that_changes_between_its_pages_evicts_nobody_who_is_there() {
    let (mut app, file) = (App::default(), File::new());
    app.groups.insert("g".into(), json!({ "guid": "g", "name": "g", "owner": "u00" }));
    for n in 0..30 {
        app.join("g", &format!("u{n:02}"), "participant", 1_700_000_000);
    }
    let vendor = Vendor::of(app, 10);
    done(&vendor, &file.db());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    // While the second page is asked for, somebody of the first leaves: somebody of the second moves into the first.
    let mut gone = 0;
    vendor.fate(move |_, target, app| {
        if target.starts_with("/v3/groups/g/members") && target.ends_with("page=2") && gone < 2 {
            app.leave("g", &format!("u{gone:02}"));
            gone += 1;
        }
        Fate::Answered
    });
    done(&vendor, &file.db());
    let members = ask(&file.db(), "SELECT uid FROM memberships WHERE current");
    let there: Vec<String> = (2..30).map(|n| format!("u{n:02}")).collect();
    assert_eq!(members, there);
    // It changes with every reading: nobody is evicted, not even who left.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let mut gone = 2;
    vendor.fate(move |_, target, app| {
        if target.starts_with("/v3/groups/g/members") && target.ends_with("page=2") {
            app.leave("g", &format!("u{gone:02}"));
            gone += 1;
        }
        Fate::Answered
    });
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "members"]);
    let tally = &report["stages"]["members"];
    assert_eq!((code, &tally["unreachable"]), (1, &json!(1)), "{report:#}");
    assert!(tally["note"].as_str().unwrap().contains("incomplete"), "{report:#}");
    assert_eq!(ask(&file.db(), "SELECT uid FROM memberships WHERE current"), there);
}

#[test]
fn an_empty_page_in_the_middle_of_a_list_evicts_nobody_and_is_told() {
    let (app, file) = (small(), File::new());
    let vendor = Vendor::of(app.clone(), 10);
    done(&vendor, &file.db());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    vendor.fate(
        |_, target, _| {
            if target.contains("/members") && target.ends_with("page=2") { Fate::Empty } else { Fate::Answered }
        },
    );
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "members"]);
    assert_eq!((code, &report["stages"]["members"]["unreachable"]), (1, &json!(6)), "{report:#}");
    assert_true(&app, &file.db());
    // The one page of a list is empty, though the group has members.
    vendor.fate(|_, target, _| if target.contains("/members") { Fate::Empty } else { Fate::Answered });
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "members"]);
    assert_eq!((code, &report["stages"]["members"]["unreachable"]), (1, &json!(6)), "{report:#}");
    assert_true(&app, &file.db());
    // Nor where nothing says how many there are.
    vendor.fate(|_, _, _| Fate::Answered);
    vendor.change(|app| {
        app.hides_counts = true;
        app.members.clear();
    });
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "members"]);
    assert_eq!((code, &report["stages"]["members"]["unreachable"]), (1, &json!(6)), "{report:#}");
    assert_true(&app, &file.db());
}

#[test]
fn faults_on_the_way_change_nothing_at_the_end_and_only_what_failed_is_asked_again() {
    let (app, file) = (small(), File::new());
    let faults =
        [Fate::Refused(500, "ERR_INTERNAL"), Fate::Dropped, Fate::Broken, Fate::Slow(50), Fate::Refused(503, "")];
    let vendor = Vendor::start(app.clone(), 50, move |number, _, _| match number {
        number if number % 20 == 0 => faults[number / 20 % faults.len()],
        7 => Fate::Limited,
        _ => Fate::Answered,
    });
    let report = done(&vendor, &file.db());
    assert_true(&app, &file.db());
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for target in vendor.asked() {
        *times.entry(target).or_default() += 1;
    }
    let again: u64 = times.values().map(|times| times - 1).sum();
    assert_eq!(report["retries"].as_u64().unwrap(), again, "{times:#?}");
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let (app, file) = (App::made(120, 4, 3_000), File::new());
    let vendor = Vendor::of(app.clone(), 100);
    let kill = |child: &mut Child, at: usize| {
        while vendor.count() < at && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let mut asked = Vec::new();
    for at in [130, 120] {
        let mut child = backfill(&vendor, &file.db(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kill(&mut child, at);
        asked.extend(vendor.asked());
    }
    done(&vendor, &file.db());
    asked.extend(vendor.asked());
    assert_true(&app, &file.db());
    verified(&file.db());
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for target in asked {
        *times.entry(target).or_default() += 1;
    }
    // At most 50 groups of two requests, and one page, are read again after each kill.
    let again: usize = times.values().map(|times| times - 1).sum();
    assert!(again <= 2 * 110, "{again} requests were sent again");
    assert_eq!(ask(&file.db(), "SELECT stage FROM backfill"), Vec::<String>::new(), "the run has ended");
}

#[test]
fn a_dry_run_compares_and_writes_nothing() {
    let (app, file) = (small(), File::new());
    let vendor = Vendor::of(app, 100);
    let (code, _, err) = run(&vendor, &file.db(), &["--dry-run"]);
    assert!(code == 1 && err.contains("there is no file"), "{err}");
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "users"]);
    assert_eq!((code, &report["stages"]["users"]["new"]), (0, &json!(45)));
    let before = ask(&file.db(), "SELECT count(*) || '' FROM events");
    let (code, report, _) = run(&vendor, &file.db(), &["--dry-run", "--only", "users,groups"]);
    let (users, groups) = (&report["stages"]["users"], &report["stages"]["groups"]);
    assert_eq!((code, &users["unchanged"], &groups["new"]), (0, &json!(45), &json!(6)), "{report:#}");
    assert_eq!(ask(&file.db(), "SELECT count(*) || '' FROM events"), before);
}

#[test]
fn what_is_wrong_is_told_in_words_and_a_zero_has_a_reason() {
    let (file, vendor) = (File::new(), Vendor::of(App::default(), 100));
    let (code, report, _) = run(&vendor, &file.db(), &[]);
    assert_eq!(code, 0);
    for (stage, why) in [
        ("users", "lists nobody"),
        ("groups", "lists no group"),
        ("members", "knows no group"),
        ("messages", "lists no message"),
    ] {
        assert!(report["stages"][stage]["note"].as_str().unwrap().contains(why), "{report:#}");
    }
    let said = |status: u16, code: &'static str| {
        vendor.fate(move |_, _, _| Fate::Refused(status, code));
        let (exit, report, err) = run(&vendor, &file.db(), &["--only", "users"]);
        (exit, format!("{err}{report}"))
    };
    for (status, code, words) in [
        (401, "AUTH_ERR_APIKEY_NOT_FOUND", "does not accept the API key"),
        (400, "AUTH_ERR_INVALID_APPID", "there is no app app at"),
        (403, "AUTH_ERR_NO_ACCESS", "scope fullAccess"),
        (402, "ERR_PLAN_RESTRICTION", "the plan of the app does not allow this"),
    ] {
        let (exit, told) = said(status, code);
        assert!(exit == 1 && told.contains(words), "{code}: {told}");
    }
    let mut command = backfill(&vendor, &file.db(), &[]);
    let output = command.env_remove("CHATFOLD_API_KEY").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("CHATFOLD_API_KEY_FILE"));
}

#[test]
fn a_region_without_a_host_ends_the_run_with_the_first_request() {
    let file = File::new();
    // No host has a name with a part of more than 63 letters, so no network is asked.
    let (region, db) = ("z".repeat(60), file.db());
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatfold"));
    command.env("CHATFOLD_API_KEY", "key").env("CHATFOLD_LOG_FILTER", "debug").env_remove("CHATFOLD_API_URL");
    let output = command.args(["backfill", "--app", "app", "--region", &region, "--db"]).arg(db).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&region) && said.contains("us, eu and in") && said.contains("--region"), "{said}");
    assert!(!said.contains("asking the API again"), "{said}");
}

#[test]
fn messages_before_a_time_are_left_out_if_one_is_given() {
    let (app, file) = (small(), File::new());
    let vendor = Vendor::of(app, 100);
    let since = "2023-11-14T22:51:40Z"; // 1700002300: ids from 300 on
    let (code, report, _) = run(&vendor, &file.db(), &["--only", "messages", "--since", since]);
    assert_eq!((code, &report["stages"]["messages"]["read"]), (0, &json!(1)), "{report:#}");
}
