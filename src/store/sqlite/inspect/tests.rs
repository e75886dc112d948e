use super::*;
use crate::store::sqlite::open_writer;

fn file() -> (tempfile::TempDir, Inspector) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatfold.db");
    let conn = open_writer(&path).unwrap();
    let insert = "INSERT INTO events (app_id, trigger, received_at, occurred_at, occurred_from, fingerprint,
                  last_received_at, outcome, has_secret, body) VALUES (?1, ?2, ?3, 5, 'told', x'00', 9000, ?4, 0, '{}')";
    for (app, trigger, at, outcome) in
        [("a", "x", 1000, "applied"), ("a", "y", 2000, "ignored"), ("b", "x", 3000, "applied")]
    {
        conn.execute(insert, (app, trigger, at, outcome)).unwrap();
    }
    conn.execute_batch(
        "INSERT INTO apps (app_id, region_at, first_seen_at, last_event_at, events_count) VALUES ('a', 0, 0, 0, 2), ('b', 0, 0, 0, 1);
         INSERT INTO event_refs VALUES ('a', 'group', 'g', 1), ('a', 'user', 'g', 2), ('b', 'group', 'g', 3);",
    )
    .unwrap();
    conn.execute("INSERT INTO refused (received_at, problem, body) VALUES (7, 'no', x'0001')", []).unwrap();
    (dir, open(&path).unwrap())
}

fn seqs(file: &Inspector, filter: Filter) -> Vec<i64> {
    let mut seqs = Vec::new();
    let filter = Filter { limit: filter.limit.max(2), ..filter };
    let push = &mut |row: LoggedRow| {
        seqs.push(row.seq);
        Ok(())
    };
    file.events(&filter, push).unwrap();
    seqs
}

#[test]
fn filters_narrow_and_the_newest_come_first() {
    let (_dir, file) = file();
    let words = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(seqs(&file, Filter::default()), [3, 2], "two at most");
    assert_eq!(seqs(&file, Filter { limit: 9, ..Filter::default() }), [3, 2, 1]);
    assert_eq!(seqs(&file, Filter { app: Some("a".into()), ..Filter::default() }), [2, 1]);
    assert_eq!(seqs(&file, Filter { triggers: words(&["x"]), ..Filter::default() }), [3, 1]);
    assert_eq!(seqs(&file, Filter { outcomes: words(&["ignored", "anomaly"]), ..Filter::default() }), [2]);
    let span = Filter { since: Some(Time(2000)), until: Some(Time(3000)), ..Filter::default() };
    assert_eq!(seqs(&file, span), [2]);
    assert_eq!(seqs(&file, Filter { seq: Some(2), ..Filter::default() }), [2]);
    let about = |key: &str| Filter { about: Some(("group", key.to_owned())), ..Filter::default() };
    assert_eq!((seqs(&file, about("g")), seqs(&file, about("h"))), (vec![3, 1], vec![]));
}

#[test]
fn the_summary_counts_and_refused_deliveries_are_listed() {
    let (_dir, file) = file();
    let summary = file.summary().unwrap();
    assert_eq!(
        (summary.seq, summary.first_received_at, summary.last_received_at),
        (3, Some(Time(1000)), Some(Time(9000)))
    );
    assert_eq!(summary.triggers, [("x".to_owned(), 2), ("y".to_owned(), 1)]);
    assert_eq!(summary.state.seq, summary.seq);
    assert!(summary.bytes > 0);
    let mut refused = Vec::new();
    let push = &mut |row: RefusedRow| {
        refused.push((row.problem, row.bytes, row.body));
        Ok(())
    };
    for with_body in [false, true] {
        file.refused(&Filter { limit: 5, ..Filter::default() }, with_body, push).unwrap();
    }
    assert_eq!(refused, [("no".to_owned(), 2, vec![]), ("no".to_owned(), 2, vec![0, 1])]);
}
