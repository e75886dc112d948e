//! A delivery answered 200 survives `kill -9` at any instant, in the log and in the tables.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::TestServer;

const CLIENTS: u64 = 64;
const KILLS: u32 = 20;

fn body(id: u64) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"a","webhook":"w","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"data":{{"text":"no {id}"}}}}}}}}"#,
        id % 7,
        1_767_614_400 + id
    )
}

/// Posts until the connection breaks; keeps what was answered 200.
fn post_until_killed(address: std::net::SocketAddr, next: &AtomicU64, acknowledged: &Mutex<BTreeMap<u64, i64>>) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let body = body(id);
        let request = format!(
            "POST /webhooks/cometchat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(request.as_bytes()).is_err() {
            return;
        }
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") || !answer.ends_with(b"}") {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(length) => answer.extend(&chunk[..length]),
            }
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        if answer.starts_with("http/1.1 200") {
            let seq =
                answer.lines().find_map(|line| line.strip_prefix("chatfold-seq: ")).unwrap().trim().parse().unwrap();
            acknowledged.lock().unwrap().insert(id, seq);
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_sigkill() {
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let next = Arc::new(AtomicU64::new(1));
    let mut dir = None;
    let mut instant: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..KILLS {
        let server = match dir.take() {
            Some(dir) => TestServer::within(dir, ""),
            None => TestServer::start(),
        };
        dir = Some(server.dir());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, next, acknowledged) = (server.address, Arc::clone(&next), Arc::clone(&acknowledged));
                std::thread::spawn(move || post_until_killed(address, &next, &acknowledged))
            })
            .collect();
        // Fixed seed: xorshift.
        instant ^= instant << 13;
        instant ^= instant >> 7;
        instant ^= instant << 17;
        std::thread::sleep(Duration::from_millis(20 + instant % 200));
        // Dropping the server kills it with SIGKILL.
        drop(server);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    let path = dir.unwrap();
    let conn = rusqlite::Connection::open(path.path().join("chatfold.db")).unwrap();
    let integrity: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() > 100, "only {} were acknowledged", acknowledged.len());
    for (id, seq) in acknowledged.iter() {
        let stored: String = conn.query_row("SELECT body FROM events WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
        assert_eq!(stored, body(*id));
        let text: String = conn
            .query_row("SELECT text FROM messages WHERE app_id = 'a' AND message_id = ?1", [id.to_string()], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(text, format!("no {id}"));
    }
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM events"), count("SELECT max(seq) FROM events"), "positions without a gap");
    assert_eq!(count("SELECT messages_count FROM conversations"), count("SELECT count(*) FROM messages WHERE listed"));
    eprintln!("{KILLS} kills, {} acknowledged, none lost", acknowledged.len());
}
