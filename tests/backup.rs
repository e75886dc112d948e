//! Copies that `chatfold backup` and `GET /backup` make, and how they are put in place again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use std::fs::{copy, read, read_dir, write};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::load::{Oracle, body};
use support::pages::token;
use support::{TestServer, chatfold, number, verified};

fn open(file: &Path) -> Connection {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn ask<T: rusqlite::types::FromSql>(file: &Path, sql: &str) -> T {
    open(file).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One command on the file of a server that does not run.
fn on(db: &Path, args: &[&str]) -> (i32, String, String) {
    chatfold(&[args, &["--db", text(db)]].concat())
}

/// A stopped server's file with a story, and the folder it lies in.
fn stopped(story: &str) -> (Arc<tempfile::TempDir>, std::path::PathBuf) {
    let mut server = TestServer::with_story(story);
    assert!(server.sigterm().success());
    (server.dir(), server.db())
}

fn state(db: &Path) -> String {
    let (code, out, err) = on(db, &["inspect", "--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap()["state"]["hash"].as_str().unwrap().to_owned()
}

/// A value of the metrics; `None`: it is not there.
fn metric(server: &TestServer, name: &str) -> Option<f64> {
    let page = server.get("/metrics").body;
    page.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).map(|value| value.parse().unwrap())
}

#[test]
fn a_backup_taken_under_load_is_a_correct_file_of_its_own() {
    let (server, oracle) = (TestServer::start(), Arc::new(Oracle::default()));
    oracle.post_all(server.address, 4, 50);
    let folder = tempfile::tempdir().unwrap();
    for n in 0..number("CHATFOLD_BACKUPS", 3) {
        let senders = oracle.senders(server.address, 8);
        let file = folder.path().join(format!("{n}.db"));
        let known = oracle.acknowledged();
        let (code, out, err) = server.run(&["backup", text(&file)]);
        assert_eq!((code, out.trim()), (0, text(&file)), "{err}");
        let meta = file.metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        assert_eq!(ask::<String>(&file, "PRAGMA journal_mode"), "delete");
        assert!(ask::<i64>(&file, "SELECT count(*) FROM events") >= known as i64, "what was answered before is in it");
        assert!(err.contains(&state(&file)), "{err}");
        verified(&file);
        assert!(!senders.iter().any(std::thread::JoinHandle::is_finished), "the deliveries went on meanwhile");
        drop(senders);
    }
    assert!(names(folder.path()).iter().all(|name| name.ends_with(".db")), "nothing else is left");
}

#[test]
fn no_backup_takes_the_place_of_a_file_unless_it_is_told_to() {
    let (dir, db) = stopped("first_steps");
    let file = dir.path().join("copy.db");
    write(&file, "mine").unwrap();
    let (code, _, err) = on(&db, &["backup", text(&file)]);
    assert!(code == 1 && err.contains("--force"), "{code} {err}");
    assert_eq!(read(&file).unwrap(), b"mine");
    assert_eq!(on(&db, &["backup", text(&file), "--force"]).0, 0);
    verified(&file);
    for end in ["", "-wal", "-shm", ".lock"] {
        let own = format!("{}{end}", text(&db));
        let (code, _, err) = on(&db, &["backup", &own, "--force"]);
        assert!(code == 1 && err.contains("belongs to the database itself"), "{own}: {code} {err}");
    }
    let (code, _, err) = on(&db, &["backup", "/nowhere/at/all.db"]);
    assert!(code == 1 && err.contains("no folder /nowhere/at"), "{code} {err}");
}

#[test]
fn a_file_that_is_damaged_has_no_backup_and_leaves_none() {
    let (dir, db) = stopped("demo");
    let bytes = read(&db).unwrap();
    let mut damaged = 0;
    for page in (5..bytes.len() / 2_048).step_by(7) {
        let mut broken = bytes.clone();
        broken[page * 2_048..page * 2_048 + 32].fill(0xa5);
        write(&db, &broken).unwrap();
        let file = dir.path().join("copy.db");
        let (code, _, err) = on(&db, &["backup", text(&file)]);
        // A page that holds nothing but free space or unhashed content may be any bytes.
        if code == 0 {
            std::fs::remove_file(&file).unwrap();
            continue;
        }
        damaged += 1;
        assert_eq!(code, 1, "{err}");
        assert!(!names(dir.path()).iter().any(|name| name.contains("copy")), "{:?}", names(dir.path()));
    }
    assert!(damaged > 10, "{damaged}");
}

#[test]
fn a_folder_keeps_the_newest_backups_and_what_is_not_one() {
    let (dir, db) = stopped("first_steps");
    let folder = dir.path().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let old = ["chatfold-20240101T000000Z.db", "chatfold-20240102T000000Z.db", "chatfold-20240103T000000Z.db"];
    for name in old.iter().chain(&["chatfold-before.db", "other-20240101T000000Z.db"]) {
        write(folder.join(name), "").unwrap();
    }
    let (code, out, err) = on(&db, &["backup", text(&folder), "--keep", "2", "--json"]);
    assert_eq!(code, 0, "{err}");
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let file = Path::new(made["file"].as_str().unwrap());
    assert_eq!(made["state"]["hash"], state(file).as_str());
    assert_eq!(made["bytes"], file.metadata().unwrap().len());
    let kept = names(&folder);
    let new = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(kept, ["chatfold-20240103T000000Z.db", new, "chatfold-before.db", "other-20240101T000000Z.db"]);
    for args in [["--every", "6h"], ["--keep", "2"]] {
        let (code, _, err) = on(&db, &["backup", text(&dir.path().join("a.db")), args[0], args[1]]);
        assert!(code == 2 && err.contains("need a folder"), "{code} {err}");
    }
    assert_eq!(on(&db, &["backup", text(&folder), "--every", "1s"]).0, 2);
}

#[test]
fn a_server_makes_backups_by_itself_and_tells_how_old_the_newest_is() {
    let folder = tempfile::tempdir().unwrap();
    let toml = format!("[backup]\nfolder = {:?}\nevery = \"1d\"\nkeep = 2\n", folder.path());
    let server = TestServer::with(&toml);
    server.wait_for_log("backup ");
    server.wait_for_log(text(folder.path()));
    let made = || names(folder.path()).into_iter().filter(|name| name.ends_with(".db")).collect::<Vec<_>>();
    for _ in 0..600 {
        if metric(&server, "chatfold_backup_age_seconds").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(metric(&server, "chatfold_backup_age_seconds").is_some(), "{}", server.log());
    assert_eq!(made().len(), 1);
    verified(&folder.path().join(&made()[0]));
    // The next is not due, also not for the server that follows.
    let dir = server.dir();
    drop(server);
    let server = TestServer::within(dir, &toml);
    assert!(metric(&server, "chatfold_backup_age_seconds").is_some(), "the file knows of the backup");
    assert_eq!(made().len(), 1);
}

#[test]
fn a_server_whose_newest_backup_is_too_old_says_so_and_is_calm_after_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = TestServer::with_story("first_steps");
    assert!(server.sigterm().success());
    let sql = "INSERT INTO settings (name, value) VALUES ('backup', '1767600000000 1')";
    rusqlite::Connection::open(server.db()).unwrap().execute(sql, []).unwrap();
    // Its name says that it was made now: the server waits a day for the next.
    let now = chatfold::ids::Time(chatfold::clock::now().0).to_string();
    let digits: String = now.chars().take(19).filter(|letter| !matches!(letter, '-' | ':')).collect();
    std::fs::write(folder.path().join(format!("chatfold-{digits}Z.db")), "").unwrap();
    let toml = format!("[backup]\nfolder = {:?}\nevery = \"1d\"\n", folder.path());
    let server = TestServer::within(server.dir(), &toml);
    let late = || {
        let asked = r#"{"query":"{status{lastBackup{at seq} server{backupLate}}}"}"#;
        server.post("/graphql", &[support::JSON], asked).json()["data"]["status"].take()
    };
    let told =
        serde_json::json!({"lastBackup": {"at": "2026-01-05T08:00:00Z", "seq": "1"}, "server": {"backupLate": true}});
    assert_eq!(late(), told);
    let page = server.get("/").body;
    assert!(page.contains("Backup late") && page.contains("2026"), "{page}");
    assert_eq!(metric(&server, "chatfold_backup_every_seconds"), Some(86_400.0));
    let file = server.dir().path().join("copy.db");
    assert_eq!(server.run(&["backup", text(&file)]).0, 0);
    assert_eq!(late()["server"]["backupLate"], false);
}

#[test]
fn a_server_hears_of_a_backup_that_another_process_made() {
    let server = TestServer::with_story("first_steps");
    assert_eq!(metric(&server, "chatfold_backup_age_seconds"), None);
    let file = server.dir().path().join("copy.db");
    assert_eq!(server.run(&["backup", text(&file)]).0, 0);
    assert!(metric(&server, "chatfold_backup_age_seconds").is_some());
}

/// Asks for a backup: the head of the answer, and the stream after it.
fn download(server: &TestServer, bearer: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "GET /backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap().to_lowercase(), stream)
}

#[test]
fn a_backup_over_http_is_whole_and_only_for_who_may_see_everything() {
    let server = TestServer::with_story("first_steps");
    let of = |args: &[&str]| token(&server, args);
    let all = of(&["--name", "all", "--scope", "admin"]);
    for narrower in [of(&["--name", "a", "--scope", "content"]), of(&["--name", "b", "--scope", "admin", "--app", "x"])]
    {
        assert!(download(&server, &narrower).0.starts_with("http/1.1 403 "));
    }
    assert!(download(&server, "cf_no").0.starts_with("http/1.1 401 "));
    assert_eq!(server.post("/backup", &[], "").status, 405);
    let (head, mut stream) = download(&server, &all);
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(header("content-length"), bytes.len().to_string());
    assert_eq!(header("chatfold-seq"), "5");
    let file = server.dir().path().join("downloaded.db");
    write(&file, &bytes).unwrap();
    verified(&file);
    let digest = base64_of(&Sha256::digest(&bytes)).to_lowercase();
    assert_eq!(header("repr-digest"), format!("sha-256=:{digest}:"));
    assert!(!names(server.dir().path()).iter().any(|name| name.contains("part")), "{:?}", names(server.dir().path()));
    for _ in 0..200 {
        let bearer = format!("Bearer {all}");
        let page = server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").body;
        if page.contains("\nchatfold_backup_age_seconds ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the server does not count it");
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn one_backup_over_http_at_a_time() {
    let server = TestServer::start();
    // More than the system holds back for a client that does not read.
    for id in 0..24 {
        let long = body(id).replace(&format!("no {id}"), &"w".repeat(1_000_000));
        assert!((0..100).any(|_| server.deliver(&long).status == 200));
    }
    let bearer = token(&server, &["--name", "all", "--scope", "admin"]);
    let (head, mut first) = download(&server, &bearer);
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(download(&server, &bearer).0.starts_with("http/1.1 503 "));
    first.read_to_end(&mut Vec::new()).unwrap();
    drop(first);
    let again = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        download(&server, &bearer).0.starts_with("http/1.1 200 ")
    });
    assert!(again, "the turn is given back");
}

#[test]
fn what_is_restored_is_what_was_copied_and_what_was_in_place_is_kept() {
    let server = TestServer::with_story("first_steps");
    let (dir, db) = (server.dir(), server.db());
    let file = dir.path().join("copy.db");
    assert_eq!(server.run(&["backup", text(&file)]).0, 0);
    let early = state(&file);
    let (code, _, err) = server.run(&["restore", text(&file), "--force"]);
    assert!(code == 1 && err.contains(&server.pid().to_string()), "the server holds it: {code} {err}");
    assert_eq!(server.deliver(body(1)).status, 200);
    // Killed: what came last is in the WAL.
    drop(server);
    let late = state(&db);
    assert_ne!(early, late);
    let before = (read(&db).unwrap(), read(dir.path().join("chatfold.db-wal")).unwrap());
    let (code, _, err) = on(&db, &["restore", text(&file)]);
    assert!(code == 1 && err.contains("--force"), "{code} {err}");
    assert_eq!(before, (read(&db).unwrap(), read(dir.path().join("chatfold.db-wal")).unwrap()));

    let (code, out, err) = on(&db, &["restore", text(&file), "--force", "--json"]);
    assert_eq!(code, 0, "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((told["state"]["hash"].as_str(), state(&db)), (Some(early.as_str()), early.clone()));
    assert_eq!(db.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!dir.path().join("chatfold.db-wal").exists());
    let kept: Vec<&str> = told["kept"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(kept.len(), 2, "the file and its WAL");
    assert_eq!(state(Path::new(kept[0])), late, "the old one is whole");
    let server = TestServer::within(Arc::clone(&dir), "");
    assert_eq!(server.deliver(body(2)).status, 200);
    drop(server);
    verified(&db);
}

#[test]
fn a_copy_is_restored_where_there_is_no_file_and_stays_as_it_is() {
    let (dir, db) = stopped("demo");
    let (file, new) = (dir.path().join("copy.db"), dir.path().join("new.db"));
    assert_eq!(on(&db, &["backup", text(&file)]).0, 0);
    let bytes = read(&file).unwrap();
    let (code, _, err) = on(&new, &["restore", text(&file)]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(state(&new), state(&db));
    assert_eq!(read(&file).unwrap(), bytes);
    verified(&new);
    // Any copy will do, such as one that SQLite made, or the file of a server that was killed.
    let plain = dir.path().join("plain.db");
    open(&db).execute("VACUUM INTO ?1", [text(&plain)]).unwrap();
    let newer = dir.path().join("newer.db");
    let (code, _, err) = on(&newer, &["restore", text(&plain)]);
    assert!(code == 0 && err.contains("does not say when it was made"), "{code} {err}");
    assert_eq!(state(&newer), state(&db));
    for wrong in ["chatfold.toml", "nothing.db"] {
        let other = dir.path().join("other.db");
        assert_eq!(on(&other, &["restore", text(&dir.path().join(wrong))]).0, 1, "{wrong}");
        assert!(!other.exists(), "{wrong}");
    }
}

#[test]
fn a_copy_of_which_a_byte_has_changed_is_not_restored() {
    let (dir, db) = stopped("demo");
    let file = dir.path().join("copy.db");
    assert_eq!(on(&db, &["backup", text(&file)]).0, 0);
    let bytes = read(&file).unwrap();
    let late = b"message_sent";
    let places: Vec<usize> = (0..bytes.len() - late.len()).filter(|at| bytes[*at..].starts_with(late)).collect();
    let mut refused = 0;
    for place in places.iter().step_by(places.len().div_ceil(12)) {
        let mut broken = bytes.clone();
        broken[*place] = b'M';
        write(&file, &broken).unwrap();
        let (code, _, err) = on(&db, &["restore", text(&file), "--force"]);
        refused += i32::from(code == 1 && err.contains("damaged"));
    }
    assert!(refused > 5, "{refused} of 12; some lie in free space");
    let new = dir.path().join("chatfold.db.part");
    assert!(!new.exists());
    copy(&file, dir.path().join("kept.db")).unwrap();
}
