//! Reading an app again and again, hour after hour: lists that confirm what is known do not make the file grow.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod vendor;

use chatfold::backfill::hand::Hand;
use chatfold::reconcile::{self, Plan};
use chatfold::rest::{Access, Client, Key};
use chatfold::store::sqlite::open_reader;
use serde_json::json;
use support::{number, verified};
use vendor::app::App;
use vendor::command::{File, ask, assert_true};
use vendor::{KEY, Vendor};

/// As CometChat's clock goes on.
const HOUR: i64 = 3_600;

#[test]
fn lists_that_confirm_the_tables_hour_after_hour_leave_the_file_within_a_fifth_of_its_size() {
    let groups = number("CHATFOLD_CONFIRMED_GROUPS", 12) as usize;
    let runs = i64::from(number("CHATFOLD_CONFIRMATIONS", 40));
    let (app, file) = (App::made(groups, 40, 200), File::new());
    let vendor = Vendor::of(app.clone(), 1_000);
    let run = |hour: i64| {
        vendor.clock(HOUR * (hour - runs));
        // People are active between the readings.
        vendor.change(|app| {
            for user in app.users.values_mut() {
                user["lastActiveAt"] = json!(1_700_000_000 + HOUR * (hour + 1));
                user["status"] = json!(if hour % 2 == 0 { "online" } else { "offline" });
            }
        });
        let access = Access::new("app", "eu", Some(&vendor.url()), Key::new(KEY).unwrap()).unwrap();
        let plan = Plan { app_id: "app".into(), region: "eu".into(), requests: 1_000_000 };
        let mut hand = Hand::to(&file.db(), 16 << 20).unwrap();
        let conn = open_reader(&file.db()).unwrap();
        let report = reconcile::run(&Client::new(access), &conn, &mut hand, &plan, &|| false).unwrap();
        drop(conn);
        hand.finish();
        report
    };
    let pages = || -> i64 {
        let conn = rusqlite::Connection::open(file.db()).unwrap();
        conn.query_row("SELECT page_count FROM pragma_page_count", [], |row| row.get(0)).unwrap()
    };
    vendor.clock(HOUR * -(runs + 1));
    vendor::command::done(&vendor, &file.db());
    let before = pages();
    for hour in 0..runs {
        let report = run(hour);
        assert_eq!((report.sums().1, report.groups_left), (0, 0), "hour {hour}: {report:#?}");
    }
    let after = pages();
    println!("{groups} groups, {runs} times: {before} pages before, {after} after");
    assert!(after * 5 <= before * 6, "{before} pages grew to {after}");
    let lists = "SELECT count(*) || '' FROM events WHERE trigger = 'chatfold.group_roster'";
    assert_eq!(ask(&file.db(), lists), [(2 * groups).to_string()], "one list, and the newest that confirmed");
    assert_true(&app, &file.db());
    // Who differs in something else is written, with the time of the newest activity.
    vendor.change(|app| app.users.get_mut("u1").unwrap()["name"] = json!("Renamed"));
    assert_eq!(run(runs).sums().1, 1);
    let renamed = format!(
        "SELECT uid FROM users WHERE name = 'Renamed' AND last_active_at = {}",
        (1_700_000_000 + HOUR * (runs + 1)) * 1_000
    );
    assert_eq!(ask(&file.db(), &renamed), ["u1"]);
    verified(&file.db());
}
