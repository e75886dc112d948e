//! A person who is erased is nowhere in the bytes of the file, whatever the deliveries said of this person, and late
//! copies bring nothing back. What others did and wrote stays.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;
#[path = "erase/told.rs"]
mod told;

use chatfold::batch::Batch;
use chatfold::envelope::Envelope;
use chatfold::erase::{self, Order};
use chatfold::ids::Time;
use chatfold::log::{self, Source};
use chatfold::store::sqlite::{self, projection::PROJECTION};
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{JSON, TestServer, chatfold, verified};
use told::{APP, CANARY, UID, deliveries};

fn is_own(body: &str) -> bool {
    body.contains("\"trigger\":\"chatfold.")
}

/// What CometChat sends.
fn sent(bodies: &[String]) -> Vec<String> {
    bodies.iter().filter(|body| !is_own(body)).cloned().collect()
}

/// Appends chatfold's own events, as `backfill` does.
fn append_own(db: &Path, bodies: &[String]) {
    let conn = sqlite::open_writer(db).unwrap();
    let mut batch = Batch::default();
    sqlite::begin(&conn).unwrap();
    for body in bodies.iter().filter(|body| is_own(body)) {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        log::append(&mut batch, &conn, &envelope, Time(harness::READ_AT), Source::Http).unwrap();
    }
    batch.save(&conn).unwrap();
    sqlite::commit(&conn).unwrap();
    sqlite::finish(&conn).unwrap();
}

struct File {
    dir: Arc<tempfile::TempDir>,
    db: PathBuf,
}

impl File {
    fn with(bodies: &[String]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let (db, lines) = (dir.path().join("chatfold.db"), dir.path().join("lines.ndjson"));
        std::fs::write(&lines, sent(bodies).join("\n")).unwrap();
        let (code, _, err) = chatfold(&["ingest", "--db", db.to_str().unwrap(), lines.to_str().unwrap()]);
        assert_eq!(code, 0, "{err}");
        append_own(&db, bodies);
        std::fs::remove_file(lines).unwrap();
        Self { dir, db }
    }

    fn run(&self, command: &str, args: &[&str]) -> (i32, String, String) {
        chatfold(&[&[command, "--db", self.db.to_str().unwrap()], args].concat())
    }

    fn erase(&self, uid: &str) -> Value {
        let (code, out, err) = self.run("erase-user", &["--app", APP, "--uid", uid, "--json"]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(err.contains("backups"), "{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// Lines of each table without what tells one log from another.
    fn tables(&self) -> BTreeMap<&'static str, Vec<String>> {
        const LEFT_OUT: [&str; 8] =
            ["registers", "facts", "fact", "digest", "lifecycle", "first_text", "seq", "last_event_at"];
        let conn = sqlite::open_reader(&self.db).unwrap();
        let of = |table: &&'static str| {
            let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let line = |row: &rusqlite::Row<'_>| {
                let cells = columns.iter().enumerate().filter(|(_, name)| !LEFT_OUT.contains(&name.as_str()));
                Ok(cells.map(|(at, name)| format!("{name}={:?} ", row.get::<_, Cell>(at).unwrap())).collect::<String>())
            };
            let lines = statement.query_map([], line).unwrap().map(Result::unwrap).collect();
            (*table, lines)
        };
        PROJECTION.iter().map(of).collect()
    }
}

/// A scanner that knows nothing of chatfold.
#[track_caller]
fn assert_clean(bytes: &[u8], what: &str) {
    let lower = bytes.to_ascii_lowercase();
    let found = lower.windows(CANARY.len()).position(|window| window == CANARY.as_bytes());
    let around = found
        .map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..(at + 80).min(bytes.len())]).into_owned());
    assert_eq!(around, None, "{what}");
}

#[track_caller]
fn assert_folder_clean(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_clean(&std::fs::read(&path).unwrap(), &path.display().to_string());
    }
}

#[test]
fn an_erased_person_is_nowhere_in_the_bytes_and_others_stay_as_they_were() {
    let file = File::with(&deliveries());
    let before = file.tables();
    let (_, out, _) = file.run("events", &["--json", "--limit", "100000"]);
    assert!(out.contains(CANARY) && std::fs::read(&file.db).unwrap().len() > 100_000);
    let erased = file.erase(UID);
    let pseudonym = erased["pseudonym"].as_str().unwrap();
    assert_folder_clean(file.dir.path());
    verified(&file.db);
    let after = file.tables();
    for (table, lines) in &before {
        let now = &after[table];
        let named = |line: &&String| line.to_lowercase().contains(CANARY);
        for line in lines.iter().filter(|line| !named(line)) {
            // Recordings of calls that the person took part in lose their addresses.
            let is_counted = matches!(*table, "apps" | "recordings" | "transcripts");
            assert!(is_counted || now.contains(line), "{table}: {line}");
        }
        // Texts, tags and addresses tell these rows apart, and are no more.
        if !matches!(*table, "message_edits" | "message_tags" | "recordings") {
            assert_eq!(now.len(), lines.len(), "{table}");
        }
    }
    let rows = erased["rows"].as_object().unwrap();
    for table in [
        "users",
        "memberships",
        "messages",
        "reactions",
        "receipts",
        "mentions",
        "call_participants",
        "blocks",
        "presence",
    ] {
        assert!(rows[table].as_i64().unwrap() > 0, "{table}: {rows:?}");
        assert!(after[table].iter().any(|line| line.contains(pseudonym)), "{table}");
    }
    let theirs = after["messages"].iter().find(|line| line.contains("900002")).unwrap();
    assert!(theirs.contains("what others say stays") && theirs.contains("\\\"order\\\\\\\":88"), "{theirs}");
    let (_, out, _) = file.run("events", &["--json", "--trigger", erase::TRIGGER]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["seq"], &told["body"]["data"]["pseudonym"]), (&erased["seq"], &erased["pseudonym"]));
}

#[test]
fn no_answer_page_or_log_line_names_an_erased_person() {
    let file = File::with(&deliveries());
    let pseudonym = file.erase(UID)["pseudonym"].as_str().unwrap().to_owned();
    let server = TestServer::within(Arc::clone(&file.dir), "");
    let queries = [
        "{ events(first: 200) { nodes { trigger reason body entities { name } } } }",
        "{ messages(first: 100, filter: { includeDeleted: true, includeBlocked: true }) { nodes { messageId text originalText data metadata muid tags
            attachments { name url } edits { text } sender { uid name avatar } quoted { text } moderation { failure } mentions { uid name } } } }",
        "{ users(first: 200) { nodes { uid name avatar link statusMessage tags metadata } } callSessions { nodes { recordings { url } transcripts { url }
            participants { uid name } } } conversations { nodes { conversationId } } }",
    ];
    let mut said = String::new();
    for query in queries {
        let answer = server.post("/graphql", &[JSON], json!({ "query": query }).to_string());
        assert!(!answer.body.contains("\"errors\""), "{}", answer.body);
        said += &answer.body;
    }
    for page in
        ["/", "/users", "/events", "/calls", "/conversations", "/search?q=kanar*", &format!("/user?uid={pseudonym}")]
    {
        said += &server.get(page).body;
    }
    assert!(said.contains(&pseudonym));
    let (_, out, err) = server.run(&["explain", &format!("user:{pseudonym}"), "--all"]);
    // The search page repeats what was looked for, cut short here so that it is no canary.
    assert_clean((said + &out + &err + &server.log()).as_bytes(), "what the server says");
}

#[test]
fn late_copies_bring_nobody_back_and_a_new_person_with_the_uid_is_taken_as_they_are() {
    let all = deliveries();
    let (file, bodies) = (File::with(&all), sent(&all));
    let pseudonym = file.erase(UID)["pseudonym"].as_str().unwrap().to_owned();
    let count = |server: &TestServer, uid: &str| {
        let query = json!({ "query": format!("{{ messages(filter: {{ senderUid: \"{uid}\" }}) {{ totalCount }} }}") });
        server.post("/graphql", &[JSON], query.to_string()).json()["data"]["messages"]["totalCount"].clone()
    };
    let mut server = TestServer::within(Arc::clone(&file.dir), "");
    let before = count(&server, &pseudonym);
    let mut outcomes = BTreeMap::new();
    for body in &bodies {
        let outcome = server.deliver(body).header("chatfold-outcome").unwrap().to_owned();
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    assert_eq!(count(&server, &pseudonym), before);
    assert!(server.sigterm().success());
    assert!(outcomes["duplicate"] > bodies.len() / 2, "{outcomes:?}");
    // Read as lines once more, as from an old export.
    let lines = file.dir.path().join("lines.ndjson");
    std::fs::write(&lines, bodies.join("\n")).unwrap();
    assert_eq!(file.run("ingest", &[lines.to_str().unwrap()]).0, 0);
    std::fs::remove_file(lines).unwrap();
    verified(&file.db);
    assert_folder_clean(file.dir.path());

    // Later somebody gets the uid. What the erased person wrote stays without its text, also where it is quoted.
    let later = chatfold::clock::now().0 / 1000 + 3600;
    let quoted = json!({ "id": "900001", "sender": UID, "sentAt": 1_769_000_900, "data": { "text": format!("{CANARY} secret plan") } });
    let message = json!({ "id": "900003", "sender": UID, "receiverType": "group", "receiver": "night-shift", "category": "message",
        "type": "text", "sentAt": later, "data": { "text": "I am new here", "quotedMessage": quoted } });
    let server = TestServer::within(Arc::clone(&file.dir), "");
    let answer =
        server.deliver(json!({ "trigger": "message_sent", "appId": APP, "data": { "message": message } }).to_string());
    assert_eq!(answer.header("chatfold-outcome"), Some("applied"));
    let query = json!({ "query": "{ message(messageId: \"900003\") { text sender { uid } quoted { text sender { uid } } } events(first: 1) { nodes { body } } }" });
    let shown = server.post("/graphql", &[JSON], query.to_string()).json()["data"].clone();
    let expected = json!({ "text": "I am new here", "sender": { "uid": UID }, "quoted": { "text": null, "sender": { "uid": pseudonym } } });
    assert_eq!(shown["message"], expected);
    assert!(!shown.to_string().contains("secret plan"), "{shown}");
}

#[test]
fn an_erasure_survives_a_rebuild_and_one_that_was_interrupted_is_finished() {
    let file = File::with(&deliveries());
    {
        let conn = sqlite::open_writer(&file.db).unwrap();
        let order = Order { app_id: APP, uid: UID, in_texts: false, at: Time(chatfold::clock::now().0) };
        assert!(matches!(erase::erase(&file.db, &conn, &order), Ok(erase::Outcome::Erased(..))));
    }
    let (code, _, _) = file.run("verify", &[]);
    assert_eq!(code, 1, "the tables are those of before");
    let (code, out, err) = file.run("erase-user", &["--app", APP, "--uid", UID]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("no more"), "{err}");
    verified(&file.db);
    assert_folder_clean(file.dir.path());
    let tables = file.tables();
    assert_eq!(file.run("rebuild", &[]).0, 0);
    assert_eq!(file.tables(), tables);
    let (_, out, _) = file.run("events", &["--json", "--trigger", erase::TRIGGER]);
    assert_eq!(out.lines().count(), 1);
}

#[test]
fn the_new_file_has_the_owner_and_mode_of_the_old_one_and_what_was_there_is_written_over() {
    let file = File::with(&deliveries());
    std::fs::set_permissions(&file.db, std::fs::Permissions::from_mode(0o640)).unwrap();
    let was = file.db.metadata().unwrap();
    // Keeps what was in place.
    let old = std::fs::File::open(&file.db).unwrap();
    file.erase(UID);
    let is = file.db.metadata().unwrap();
    assert_ne!(was.ino(), is.ino());
    assert_eq!((was.mode(), was.uid(), was.gid()), (is.mode(), is.uid(), is.gid()));
    let mut bytes = Vec::new();
    (&old).read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() > 100_000 && bytes.iter().all(|byte| *byte == 0));
    let names: Vec<_> = std::fs::read_dir(file.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "chatfold.db" || name == "chatfold.db.lock"), "{names:?}");
}

#[test]
fn a_file_that_another_process_reads_stays_and_is_written_anew_in_its_place() {
    let file = File::with(&deliveries());
    let was = file.db.metadata().unwrap().ino();
    let reader = sqlite::open_reader(&file.db).unwrap();
    file.erase(UID);
    assert_eq!(file.db.metadata().unwrap().ino(), was);
    drop(reader);
    assert_folder_clean(file.dir.path());
    verified(&file.db);
}

#[test]
fn nobody_is_erased_while_a_server_writes_the_file_and_who_is_unknown_is_told_so() {
    let file = File::with(&deliveries()[..20]);
    let (code, out, err) = file.run("erase-user", &["--app", APP, "--uid", "nobody-of-that-name"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nobody-of-that-name"), "{err}");
    let server = TestServer::within(Arc::clone(&file.dir), "");
    let (code, _, err) = file.run("erase-user", &["--app", APP, "--uid", "mira"]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("process {}", server.pid())) && err.contains("Stop that process"), "{err}");
    assert!(!err.contains("Post to"), "{err}");
}
