//! What a page costs does not grow with the file: every walk over a story, and over ten times its rows, in steps of the
//! engine's own machine. A plan would prove nothing: a walk over all rows of an app is a search, too.

use super::activity::{self, Span};
use super::block::Blocks;
use super::call::Calls;
use super::conversation::Conversations;
use super::event::Events;
use super::group::{Groups, Order};
use super::list::EXAMINED;
use super::membership::{Members, MembershipKey, Memberships};
use super::membership_change::MembershipChanges;
use super::message_list::Messages;
use super::responses;
use super::search::Search;
use super::user::Users;
use super::{List, Lookup, Range, Wanted, unread::UnreadOf};
use crate::ids::ConversationKey;
use crate::store::sqlite::open_writer;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};
use std::cell::RefCell;
use std::collections::HashMap;

/// Items of a page.
const PAGE: usize = 20;
/// Rows of each kind in the story: more than a page, and few enough to be told from ten times as many.
const STORY: u32 = 100;

thread_local! {
    /// Steps and sorts of each statement since they were last taken.
    static SPENT: RefCell<HashMap<String, (i32, i32)>> = RefCell::default();
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event {
        let steps = statement.get_status(StatementStatus::VmStep);
        let sorts = statement.get_status(StatementStatus::Sort);
        SPENT.with_borrow_mut(|spent| spent.insert(statement.sql().into_owned(), (steps, sorts)));
    }
}

/// A file whose every list has so many items; the person `a`, the group `g` and its conversation have them all.
fn file(dir: &tempfile::TempDir, items: u32) -> Connection {
    let mut conn = open_writer(&dir.path().join(format!("{items}.db"))).unwrap();
    conn.execute_batch(&format!(
        "CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {items}) SELECT i FROM n;
         INSERT INTO events (app_id, trigger, received_at, occurred_at, occurred_from, fingerprint, last_received_at, outcome,
             has_secret, body)
         SELECT 'app', 'rare', i, i, 'told', x'', i, iif(i % 2, 'anomaly', 'rejected'), 0, '{{}}' FROM n WHERE i <= {STORY};
         INSERT INTO events (app_id, trigger, received_at, occurred_at, occurred_from, fingerprint, last_received_at, outcome,
             has_secret, body)
         SELECT 'app', 't', i, i, 'told', x'', i, iif(i % 2, 'applied', 'ignored'), 0, '{{}}' FROM n;
         INSERT INTO event_refs SELECT 'app', 'group', 'g', i FROM n UNION ALL SELECT 'app', 'user', 'u', i FROM n;
         INSERT INTO users (app_id, uid, name, role, registers) SELECT 'app', 'u' || i, 'Name', 'r', x'' FROM n;
         INSERT INTO presence (app_id, uid, online, last_seen_at, registers) SELECT 'app', 'u' || i, 1, unixepoch() * 1000, x'' FROM n;
         INSERT INTO groups (app_id, guid, name, type, owner_uid, created_at, registers)
         SELECT 'app', 'g' || i, 'Group ' || i, 'public', 'a', i, x'' FROM n;
         INSERT INTO memberships SELECT 'app', 'g' || i, 'a', 'joined', 'admin', i, 'told', i, 'told', NULL, 1 FROM n;
         INSERT INTO memberships SELECT 'app', 'g', 'u' || i, iif(i <= {STORY}, 'joined', 'left'), NULL, i, 'told', i, 'told', NULL, i <= {STORY} FROM n;
         INSERT INTO membership_changes (app_id, guid, uid, at, digest, seq, at_from, occurred_at, trigger, state)
         SELECT 'app', 'g', 'u' || i, i, x'', i, 'told', i, 'group_member_joined', 'joined' FROM n;
         INSERT INTO conversations (app_id, conversation_id, low_length, type, low_uid, high_uid, active_at)
         SELECT 'app', 'c' || i, 1, 'user', 'a', 'u' || i, i FROM n UNION ALL SELECT 'app', 'group_g' || i, 0, 'group', NULL, NULL, i FROM n;
         INSERT INTO messages (app_id, message_id, message_no, conversation_id, sender_uid, receiver_type, receiver_id, category,
             type, text, sent_at, parent_id, attachments, deleted, blocked, chat, listed, registers)
         SELECT 'app', i, i, 'group_g', 'a', 'group', 'g1', 'message', 'text', 'hello', i, '0', '[1]', 0, 0, 1, 1, x'' FROM n;
         INSERT INTO messages (app_id, message_id, message_no, conversation_id, sender_uid, category, sent_at, deleted, blocked, chat,
             listed, registers)
         SELECT 'app', 1000000 + i, 1000000 + i, 'group_h', 'a', 'message', i, 0, 0, 1, 1, x'' FROM n UNION ALL
         SELECT 'app', 2000000 + i, 2000000 + i, 'group_i', 'k', 'message', 2000000 + i, 0, 0, 1, 1, x'' FROM n;
         INSERT INTO messages (app_id, message_id, message_no, conversation_id, sender_uid, parent_id, category, sent_at,
             deleted, blocked, chat, listed, step, uncounted, registers)
         SELECT 'app', 6000000 + i, 6000000 + i, 'group_s', 's', 's', 'agentic', i, 0, 0, 0, 0, 1, 4, x'' FROM n;
         INSERT INTO mentions SELECT 'app', 'k', 1000000 + i, 1000000 + i FROM n;
         INSERT INTO mentions SELECT 'app', 'm', i, i FROM n;
         INSERT INTO message_tags SELECT 'app', 't', i, i FROM n;
         INSERT INTO moderation (app_id, message_id, status, registers) SELECT 'app', i, 'approved', x'' FROM n;
         INSERT INTO reactions SELECT 'app', i, 'x', 'r', 'x', 1, i, 'told', i, '' FROM n;
         INSERT INTO app_numbers VALUES ('app', 1);
         INSERT INTO message_search (rowid, text) SELECT 17592186044416 + i, 'hello' FROM n;
         INSERT INTO blocks SELECT 'app', 'a', 'u' || i, i, 'told', 1, '' FROM n;
         INSERT INTO blocks SELECT 'app', 'u' || i, 'a', i, 'told', 1, '' FROM n;
         INSERT INTO call_sessions (app_id, session_key, kind, anchor, initiator_uid, receiver_type, receiver_id, status, order_at, news_at)
         SELECT 'app', 's:' || i, 'call', i, 'a', 'group', 'g', 'ended', i, i FROM n;
         INSERT INTO event_refs SELECT 'app', 'message', 'm', i FROM n;
         UPDATE messages SET metadata = '{{\"k\":\"v\"}}';"
    ))
    .unwrap();
    conn.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
    conn
}

/// Steps of the first page, of one in the middle, and of both from the other end; and whether anything was sorted.
fn cost(conn: &Connection, list: &dyn List, middle: &mut Option<super::Key>) -> (i32, bool) {
    let (mut steps, mut sorts) = (0, 0);
    for [person, presence, rest] in [[false; 3], [true, false, false], [true, true, false], [true; 3]] {
        for falling in [list.falling(), list.falling(), !list.falling(), !list.falling()] {
            conn.flush_prepared_statement_cache();
            SPENT.take();
            let wanted = Wanted { person, presence, rest };
            let (found, _) = list.read(conn, Range { from: middle.as_ref(), falling, want: PAGE }, wanted).unwrap();
            assert!(found.more || middle.is_some(), "{list:?} has {} items", found.keys.len());
            *middle = if middle.is_some() { None } else { found.keys.last().cloned() };
            conn.flush_prepared_statement_cache();
            for (step, sort) in SPENT.take().into_values() {
                steps += step;
                sorts += sort;
            }
        }
    }
    (steps, sorts > 0)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn members(states: Vec<&'static str>) -> Members {
    Members { app: "app".into(), guid: "g".into(), states, ..Members::default() }
}

fn group(guid: &str) -> Option<ConversationKey> {
    Some(ConversationKey::of_group(guid))
}

/// Every walk that an index drives, with filters that all items pass: what a filter leaves out is examined, up to a
/// bound that other tests hold. The conversations of a person are left out: those of all their groups are sorted.
fn lists() -> Vec<Box<dyn List>> {
    let app = || "app".to_owned();
    let messages = || Messages { app: app(), ..Messages::default() };
    let search = |text: &str| Some(Search::parse(text).unwrap());
    let groups = |order, falling| Groups { app: app(), order, falling, ..Groups::default() };
    let memberships = |states| Memberships { app: app(), uid: "a".into(), states, ..Memberships::default() };
    vec![
        Box::new(messages()),
        Box::new(Messages { conversation: group("g"), ..messages() }),
        Box::new(Messages { conversation: group("g"), deleted: true, blocked: true, ..messages() }),
        Box::new(Messages { conversation: group("g"), has_attachments: Some(true), ..messages() }),
        Box::new(Messages { conversation: group("g"), unread_by: some("u2"), ..messages() }),
        Box::new(Messages { steps: true, ..messages() }),
        Box::new(Messages { conversation: group("s"), steps: true, ..messages() }),
        Box::new(Messages { sender: some("s"), steps: true, ..messages() }),
        Box::new(Messages { parent: some("s"), steps: true, ..messages() }),
        Box::new(Messages { sender: some("a"), ..messages() }),
        Box::new(Messages { parent: some("0"), ..messages() }),
        Box::new(Messages { parent: some("0"), oldest_first: true, ..messages() }),
        Box::new(Messages { parent: some("0"), mention: some("m"), unanswered: Some(true), ..messages() }),
        Box::new(Messages { conversation: group("h"), mention: some("k"), unanswered: Some(true), ..messages() }),
        Box::new(Messages { sender: some("k"), unread_by: some("x"), conversation: group("i"), ..messages() }),
        Box::new(Messages { conversation: group("g"), mention: some("m"), tag: some("t"), ..messages() }),
        Box::new(Messages { reviewed: Some(false), metadata: Some(("k".into(), some("v"))), ..messages() }),
        Box::new(Messages { low: Some(2), high: Some(STORY.into()), ..messages() }),
        Box::new(Messages { search: search("hello"), ..messages() }),
        Box::new(Messages { search: search("hel*"), low: Some(2), ..messages() }),
        Box::new(groups(Order::Guid, false)),
        Box::new(groups(Order::Guid, true)),
        Box::new(groups(Order::Name, false)),
        Box::new(groups(Order::Created, true)),
        Box::new(Groups { owner: some("a"), ..groups(Order::Guid, false) }),
        Box::new(Groups { member: some("a"), ..groups(Order::Guid, false) }),
        Box::new(members(vec!["joined"])),
        Box::new(members(vec!["joined", "left"])),
        Box::new(Members { at: Some(i64::MAX), ..members(vec!["joined"]) }),
        Box::new(Members { name: some("ame"), ..members(vec!["joined", "left"]) }),
        Box::new(memberships(vec!["joined"])),
        Box::new(Memberships { name: some("oup"), ..memberships(vec!["joined"]) }),
        Box::new(memberships(vec!["joined", "left"])),
        Box::new(MembershipChanges { app: app(), guid: "g".into(), uid: None, low: None, high: None }),
        Box::new(MembershipChanges { app: app(), guid: "g".into(), uid: None, low: Some(2), high: Some(STORY.into()) }),
        Box::new(Users { app: app(), ..Users::default() }),
        Box::new(Users { app: app(), online: Some(true), ..Users::default() }),
        Box::new(Users { app: app(), online_after: Some(1), ..Users::default() }),
        Box::new(Users { app: app(), last_seen_after: Some(0), name_contains: some("ame"), ..Users::default() }),
        Box::new(Conversations { app: app(), uid: None, types: None }),
        Box::new(Blocks { app: app(), blocker: None, blocked: None }),
        Box::new(Blocks { app: app(), blocker: some("a"), blocked: None }),
        Box::new(Blocks { app: app(), blocker: None, blocked: some("a") }),
        Box::new(Calls { app: app(), ..Calls::default() }),
        Box::new(Calls { app: app(), guid: some("g"), ..Calls::default() }),
        Box::new(Calls { app: app(), uid: some("a"), statuses: Some(vec!["ended"]), ..Calls::default() }),
        Box::new(Events { app: app(), ..Events::default() }),
        Box::new(Events { app: app(), triggers: Some(vec!["t".into()]), ..Events::default() }),
        Box::new(Events { app: app(), outcomes: Some(vec!["ignored"]), ..Events::default() }),
        Box::new(Events { app: app(), triggers: Some(vec!["rare".into()]), ..Events::default() }),
        Box::new(Events { app: app(), triggers: Some(vec!["rare".into()]), before_seq: Some(90), ..Events::default() }),
        Box::new(Events { app: app(), outcomes: Some(vec!["rejected"]), ..Events::default() }),
        Box::new(Events {
            app: app(),
            about: Some(vec![("group", "g".into()), ("user", "u".into())]),
            ..Events::default()
        }),
    ]
}

/// Walks that read ahead, up to what one page may examine: they find too little, or count or sort before they begin.
fn bounded_lists() -> Vec<Box<dyn List>> {
    let messages = || Messages { app: "app".into(), ..Messages::default() };
    let search = Search::parse("hello").ok();
    vec![
        Box::new(Members { at: Some(5), ..members(vec!["joined"]) }),
        Box::new(Members { at: Some(i64::MAX), name: some("nobody"), ..members(vec!["joined"]) }),
        Box::new(Members { name: some("nobody"), ..members(vec!["joined", "left"]) }),
        Box::new(Messages { conversation: group("g"), search: search.clone(), ..messages() }),
        Box::new(Messages { sender: some("a"), search: search.clone(), ..messages() }),
        Box::new(Messages { parent: some("0"), search: search.clone(), ..messages() }),
        Box::new(Messages { mention: some("m"), search: search.clone(), ..messages() }),
        Box::new(Messages { tag: some("t"), search, ..messages() }),
        Box::new(Messages { mention: some("m"), ..messages() }),
        Box::new(Messages { mention: some("m"), unanswered: Some(true), ..messages() }),
        Box::new(Messages { tag: some("t"), ..messages() }),
        Box::new(Messages { statuses: Some(vec!["approved".into()]), ..messages() }),
    ]
}

#[test]
fn a_page_costs_the_same_in_a_file_of_ten_times_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (small, large) = (file(&dir, STORY), file(&dir, 10 * STORY));
    let mut wrong = Vec::new();
    for list in lists() {
        let [(few, _), (many, sorted)] = [&small, &large].map(|file| cost(file, &*list, &mut None));
        if many > few + few / 5 + 100 || sorted {
            wrong.push(format!("{list:?}: {few} steps, then {many}{}", if sorted { ", sorted" } else { "" }));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Twenty things that count cost the same however much else there is: in other conversations, read, as replies, or
/// uncounted; with numbers and with texts as ids. So does an inbox of many conversations.
#[test]
fn unread_costs_what_is_unread() {
    let dir = tempfile::tempdir().unwrap();
    let spent = |items: u32| {
        let conn = file(&dir, items);
        conn.execute_batch(
            "CREATE TEMP TABLE t AS SELECT i, i <= 10 AS counts FROM n;
             UPDATE messages SET listed = 0;
             INSERT INTO messages (app_id, message_id, message_no, conversation_id, sender_uid, receiver_type, receiver_id,
                 category, sent_at, deleted, blocked, chat, listed, uncounted, registers)
             SELECT 'app', 3000000 + i, 3000000 + i, 'group_u', 'a', 'group', 'u', 'message', i, 0, 0, 1, 1, 0, x'' FROM t
             UNION ALL SELECT 'app', 4000000 + i, 4000000 + i, 'group_u', 'a', 'group', 'u', 'message', i, 0, 0, 1, 1, iif(counts, 0, 1 + i % 3), x'' FROM t
             UNION ALL SELECT 'app', 'k' || i, 9223372036854775807, 'group_u', 'a', 'group', 'u', 'message', i, 0, 0, 1, 1, 0, x'' FROM t
             UNION ALL SELECT 'app', 'm' || i, 9223372036854775807, 'group_u', 'a', 'group', 'u', 'message', i, 0, 0, 1, 1, iif(counts, 0, 1 + i % 3), x'' FROM t
             UNION ALL SELECT 'app', 5000000 + i, 5000000 + i, 'group_v' || i, 'a', 'group', 'v', 'message', i, 0, 0, 1, 1, 0, x'' FROM t;
             INSERT INTO read_markers VALUES ('app', 'group_u', 0, 'w', 1, 3999999, '3999999', 1),
                 ('app', 'group_u', 0, 'w', 0, 9223372036854775807, 'l', 1)",
        )
        .unwrap();
        let key = |conversation: &str, guid: &str| UnreadOf {
            conversation: ConversationKey::of_group(conversation),
            uid: "w".into(),
            guid: some(guid),
            unread: crate::chat::Unread::default(),
        };
        let mut steps = Vec::new();
        for (keys, each) in
            [(vec![key("u", "u")], 20), ((1..=u64::from(STORY)).map(|i| key(&format!("v{i}"), "v")).collect(), 1)]
        {
            conn.flush_prepared_statement_cache();
            SPENT.take();
            let found = UnreadOf::look_up(&conn, "app", &keys).unwrap();
            assert!(found.len() == keys.len() && found.iter().all(|(_, n)| *n == each), "{found:?}");
            conn.flush_prepared_statement_cache();
            let spent = SPENT.take();
            assert_eq!(spent.len(), 1, "one statement for all: {spent:?}");
            steps.extend(spent.into_values().map(|(steps, _)| steps));
        }
        steps
    };
    let (few, many) = (spent(STORY), spent(10 * STORY));
    for (few, many) in few.into_iter().zip(many) {
        assert!(many <= few + few / 20, "{few} steps, then {many}");
    }
}

#[test]
fn days_cost_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let spent = |conn: &Connection, conversation: Option<&ConversationKey>| {
        conn.flush_prepared_statement_cache();
        SPENT.take();
        let span = Span { app: "app", conversation, starts: vec![1, 9], until: STORY.into() };
        let found = activity::count(conn, &span).unwrap();
        assert!(found.exact && found.days[1].messages > 50 && found.days[1].reactions > 50, "{found:?}");
        conn.flush_prepared_statement_cache();
        SPENT.take().into_values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    };
    let (small, large) = (file(&dir, STORY), file(&dir, 10 * STORY));
    for conversation in [None, group("g")] {
        let (few, many) = (spent(&small, conversation.as_ref()), spent(&large, conversation.as_ref()));
        assert!(many.0 <= few.0 + 100 && many.1 == 0, "{conversation:?}: {few:?}, then {many:?}");
    }
}

#[test]
fn waiting_costs_what_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let roles = ["r".to_owned()];
    let spent = |conn: &Connection, conversation: Option<&ConversationKey>| {
        conn.flush_prepared_statement_cache();
        SPENT.take();
        let span = responses::Span {
            app: "app",
            conversation,
            starts: vec![1, 9],
            until: STORY.into(),
            roles: &roles,
            tags: &[],
        };
        let found = responses::count(conn, &span).unwrap();
        assert!(found.exact, "{found:?}");
        conn.flush_prepared_statement_cache();
        SPENT.take().into_values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    };
    let (small, large) = (file(&dir, STORY), file(&dir, 10 * STORY));
    for conversation in [None, group("g")] {
        let (few, many) = (spent(&small, conversation.as_ref()), spent(&large, conversation.as_ref()));
        assert!(many.0 <= few.0 + 100 && many.1 == 0, "{conversation:?}: {few:?}, then {many:?}");
    }
}

/// Where an index is not in the order of its list, SQLite keeps the best of it.
#[test]
fn no_sort_holds_more_than_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir, 2 * STORY);
    let mut sorted = 0;
    let of_person = Box::new(Conversations { app: "app".into(), uid: some("a"), types: None }) as Box<dyn List>;
    for list in lists().into_iter().chain(bounded_lists()).chain([of_person]) {
        for falling in [true, false] {
            conn.flush_prepared_statement_cache();
            SPENT.take();
            list.scan(&conn, Range { from: None, falling, want: PAGE }).unwrap();
            conn.flush_prepared_statement_cache();
            for (sql, _) in SPENT.take().into_iter().filter(|(_, (_, sorts))| *sorts > 0) {
                let explain = format!("EXPLAIN QUERY PLAN {sql}");
                let steps: Vec<String> = super::rows(&conn, &explain, &[], |row| row.get("detail")).unwrap();
                let whole = |step: &String| {
                    step.contains("TEMP B-TREE") && !step.contains("RIGHT PART OF") && !step.contains("FOR LAST ")
                };
                let sorts: Vec<String> = steps.into_iter().filter(whole).collect();
                assert!(sorts.is_empty() || sql.ends_with("LIMIT :page"), "{list:?} sorts all of {sql}: {sorts:?}");
                sorted += usize::from(!sorts.is_empty());
            }
        }
    }
    assert!(sorted >= 8, "{sorted} of the walks that sort were seen");
}

/// Reading a group of 100,000 page by page: the last page costs what the first one does.
#[test]
fn the_last_page_of_a_large_group_costs_what_the_first_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = open_writer(&dir.path().join("large.db")).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO memberships
         SELECT 'app', 'g', printf('u%06d', i), iif(i % 10, 'joined', 'left'), 'participant', i, 'told', i, 'told', NULL, i % 10 <> 0 FROM n",
    )
    .unwrap();
    conn.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
    for (states, count) in [(vec!["joined"], 90_000), (vec!["joined", "left"], 100_000)] {
        let list = members(states);
        let (mut after, mut seen, mut steps) = (None, 0, Vec::new());
        loop {
            conn.flush_prepared_statement_cache();
            SPENT.take();
            let found = list.scan(&conn, Range { from: after.as_ref(), falling: false, want: 200 }).unwrap();
            let uid = |key: &super::Key| key.last().map_or("", super::Part::text).into();
            let key = |key| MembershipKey { guid: "g".into(), uid: uid(key), at: None };
            let keys: Vec<_> = found.keys.iter().map(key).collect();
            assert_eq!(MembershipKey::look_up(&conn, "app", &keys).unwrap().len(), keys.len());
            conn.flush_prepared_statement_cache();
            let spent = SPENT.take();
            assert!(spent.len() == 2 && spent.values().all(|(_, sorts)| *sorts == 0), "{spent:?}");
            steps.push(spent.values().map(|(steps, _)| steps).sum::<i32>());
            seen += keys.len();
            after = found.keys.last().cloned();
            if !found.more {
                break;
            }
        }
        assert_eq!((seen, steps.len()), (count, count / 200));
        let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
        assert!(most - least <= least / 50, "from {least} to {most} steps a page: {steps:?}");
    }
}

#[test]
fn what_reads_ahead_ends_at_what_a_page_may_examine() {
    let dir = tempfile::tempdir().unwrap();
    let most = EXAMINED as u32;
    let (small, large) = (file(&dir, 2 * most + 1_000), file(&dir, 4 * most));
    for list in bounded_lists() {
        let [few, many] = [&small, &large].map(|file| cost(file, &*list, &mut None).0);
        assert!(many <= few + few / 20, "{list:?}: {few} steps, then {many}");
    }
}
