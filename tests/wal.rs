//! How large the WAL gets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use support::TestServer;

/// Bytes that the WAL of a server never exceeds while nobody reads an old state of the file.
const LIMIT: u64 = 64 << 20;

fn message(id: usize, bytes: usize) -> String {
    let at = 1_767_600_000 + id;
    format!(
        r#"{{"trigger":"message_sent","appId":"app","data":{{"message":{{"id":"{id}","sender":"u{}","receiver":"g","receiverType":"group","category":"message","type":"text","sentAt":{at},"data":{{"text":"{}"}}}}}}}}"#,
        id % 97,
        "w".repeat(bytes)
    )
}

/// Delivers a body as a sender does: told to come again, it comes again.
fn deliver(server: &TestServer, body: &str) {
    let answers = std::iter::repeat_with(|| server.deliver(body).status).take(100);
    let last = answers.inspect(|status| assert!([200, 503].contains(status), "{status}")).find(|status| *status == 200);
    assert_eq!(last, Some(200));
}

/// Says that the sending is over, also where it ended by a panic.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Delivers each body and gives the largest size that the WAL had meanwhile.
fn largest_wal(server: &TestServer, senders: usize, bodies: &[String]) -> u64 {
    let wal = server.dir().path().join("chatfold.db-wal");
    let size = || wal.metadata().map_or(0, |meta| meta.len());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut largest = 0;
            while !done.load(Ordering::Acquire) {
                largest = largest.max(size());
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            largest.max(size())
        });
        let sending: Vec<_> = bodies
            .chunks(bodies.len().div_ceil(senders))
            .map(|part| scope.spawn(|| part.iter().for_each(|body| deliver(server, body))))
            .collect();
        let sent = Done(&done);
        for sender in sending {
            sender.join().unwrap();
        }
        drop(sent);
        watching.join().unwrap()
    })
}

#[test]
fn single_deliveries_keep_the_wal_small() {
    let server = TestServer::start();
    let largest = largest_wal(&server, 1, &(1..=740).map(|id| message(id, 3_000)).collect::<Vec<_>>());
    assert!(largest < LIMIT, "{largest} bytes");
}

#[test]
fn large_deliveries_together_keep_the_wal_small() {
    let server = TestServer::start();
    let largest = largest_wal(&server, 8, &(1..=64).map(|id| message(id, 1_900_000)).collect::<Vec<_>>());
    assert!(largest < LIMIT, "{largest} bytes");
}
