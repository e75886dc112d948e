//! Many senders, and one list of what each was told: acknowledged must be there, refused must not, and of the rest
//! nobody knows until it is sent again.

use super::WEBHOOK;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What became of every delivery sent, by its number.
#[derive(Default)]
pub struct Oracle {
    next: AtomicU64,
    /// With the log position that was answered.
    acknowledged: Mutex<BTreeMap<u64, i64>>,
    refused: Mutex<BTreeSet<u64>>,
    unknown: Mutex<BTreeSet<u64>>,
}

/// What one delivery was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Acknowledged,
    Refused,
    Unknown,
}

/// A delivery of that number.
pub fn body(id: u64) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"a","webhook":"w","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"data":{{"text":"no {id}"}}}}}}}}"#,
        id % 7,
        1_767_614_400 + id
    )
}

/// A connection that is kept.
pub fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

impl Oracle {
    /// Sends the next delivery; `None` where the connection is of no more use.
    pub fn post(&self, stream: &mut (impl Read + Write)) -> Option<Told> {
        self.post_as(self.next.fetch_add(1, Ordering::Relaxed) + 1, stream)
    }

    fn post_as(&self, id: u64, stream: &mut (impl Read + Write)) -> Option<Told> {
        let Some(head) = exchange(id, stream) else {
            self.unknown.lock().unwrap().insert(id);
            return None;
        };
        let told = match head.get(9..12) {
            Some("200") => {
                let seq = head.lines().find_map(|line| line.strip_prefix("chatfold-seq: ")).unwrap();
                self.acknowledged.lock().unwrap().insert(id, seq.trim().parse().unwrap());
                Told::Acknowledged
            }
            Some("503") => {
                assert!(head.contains("\r\nretry-after: "), "{head}");
                match head.contains("\r\nchatfold-outcome: unknown") {
                    true => {
                        self.unknown.lock().unwrap().insert(id);
                        Told::Unknown
                    }
                    false => {
                        self.refused.lock().unwrap().insert(id);
                        Told::Refused
                    }
                }
            }
            _ => panic!("no answer of ours: {head}"),
        };
        Some(told)
    }

    /// So many senders that go on until their connection breaks.
    pub fn senders(self: &Arc<Self>, address: SocketAddr, n: usize) -> Vec<JoinHandle<()>> {
        let send = move |oracle: Arc<Self>| {
            let Ok(mut stream) = connect(address) else { return };
            while oracle.post(&mut stream).is_some() {}
        };
        (0..n).map(|_| Arc::clone(self)).map(|oracle| std::thread::spawn(move || send(oracle))).collect()
    }

    /// Sends again what nobody knows of: now it is known.
    pub fn retry_unknown(&self, address: SocketAddr) {
        self.retry_unknown_over(&mut connect(address).unwrap());
    }

    /// The same, over a connection of any kind.
    pub fn retry_unknown_over(&self, stream: &mut (impl Read + Write)) {
        for id in std::mem::take(&mut *self.unknown.lock().unwrap()) {
            assert_eq!(self.post_as(id, stream), Some(Told::Acknowledged));
        }
    }

    /// The delivery that was acknowledged with a log position.
    pub fn at(&self, seq: i64) -> Option<u64> {
        self.acknowledged.lock().unwrap().iter().find(|(_, at)| **at == seq).map(|(id, _)| *id)
    }

    /// So many senders of so many deliveries each; over when all are answered or cannot be sent.
    pub fn post_all(self: &Arc<Self>, address: SocketAddr, senders: usize, each: usize) {
        let send = |oracle: Arc<Self>| {
            let Ok(mut stream) = connect(address) else { return };
            for _ in 0..each {
                if oracle.post(&mut stream).is_none() {
                    return;
                }
            }
        };
        std::thread::scope(|scope| (0..senders).for_each(|_| drop(scope.spawn(|| send(Arc::clone(self))))));
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// All that was acknowledged is in a file, as it was sent, whatever else is there.
    pub fn nothing_lost(&self, conn: &rusqlite::Connection) {
        let mut event = conn.prepare("SELECT body FROM events WHERE seq = ?1").unwrap();
        let mut message = conn.prepare("SELECT text FROM messages WHERE app_id = 'a' AND message_id = ?1").unwrap();
        for (id, seq) in self.acknowledged.lock().unwrap().iter() {
            let found = event.query_row([seq], |row| row.get::<_, String>(0));
            assert_eq!(found.as_ref(), Ok(&body(*id)), "acknowledged and lost: {id} at {seq}");
            let found = message.query_row([id.to_string()], |row| row.get::<_, String>(0));
            assert_eq!(found, Ok(format!("no {id}")), "not in the tables: {id}");
        }
    }

    /// Holds what was told against what is in a file.
    pub fn check(&self, conn: &rusqlite::Connection) {
        let mut statement = conn.prepare("SELECT seq, body FROM events WHERE trigger = 'message_sent'").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
        let events: BTreeMap<i64, String> = rows.map(Result::unwrap).collect();
        let mut statement = conn.prepare("SELECT message_id, text FROM messages WHERE app_id = 'a'").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let messages: BTreeMap<String, String> = rows.map(Result::unwrap).collect();
        let acknowledged = self.acknowledged.lock().unwrap();
        for (id, seq) in acknowledged.iter() {
            assert_eq!(events.get(seq), Some(&body(*id)), "acknowledged and lost: {id} at {seq}");
            assert_eq!(messages.get(&id.to_string()), Some(&format!("no {id}")), "not in the tables: {id}");
        }
        for id in self.refused.lock().unwrap().iter() {
            assert!(!messages.contains_key(&id.to_string()), "refused and there: {id}");
        }
        let bodies: BTreeSet<&String> = events.values().collect();
        assert_eq!(bodies.len(), events.len(), "a fact is there twice");
        assert_eq!(messages.len(), events.len());
        let unknown = self.unknown.lock().unwrap();
        assert!(events.len() >= acknowledged.len() && events.len() <= acknowledged.len() + unknown.len());
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(
            count("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM deliveries)"),
            count(
                "SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(position) FROM deliveries), 0))"
            ),
            "each delivery that is kept has its position, and no other has one"
        );
    }
}

/// The head of the answer to a delivery, in lower case.
fn exchange(id: u64, stream: &mut (impl Read + Write)) -> Option<String> {
    let body = body(id);
    let request = format!(
        "POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") || !answer.ends_with(b"}") {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(length) => answer.extend(&chunk[..length]),
        }
    }
    Some(String::from_utf8_lossy(&answer).to_lowercase())
}
