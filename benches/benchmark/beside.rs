//! The worst answer to a client that posts 50 deliveries a second, while something large happens beside.

use crate::client::{self, Answers, Client};
use crate::files::{Log, folder};
use crate::server::{self, Contender};
use crate::storms::{self, Storm};
use crate::table::{Figures, Of};
use crate::{Sizes, mix};
use rusqlite::{Connection, OpenFlags};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const FILE: &str = "chatfold.db";

/// Measures each case for each build of chatfold, in turns.
pub fn measure(contenders: &[Contender], sizes: &Sizes, figures: &mut Figures) {
    let builds = || contenders.iter().filter_map(|contender| Some((contender, contender.chatfold()?)));
    for case in [nothing, other_app, same_app, checkpoint, rebuild] {
        for (contender, binary) in builds() {
            let dir = folder();
            let measured = case(contender, binary, dir.path(), sizes);
            tell(contender, measured, sizes, figures);
        }
    }
    for storm in storms::all(sizes.people) {
        for (contender, _) in builds() {
            let dir = folder();
            let answers = in_storm(contender, dir.path(), sizes, &storm);
            tell(contender, (storm.what.clone(), answers), sizes, figures);
        }
    }
}

fn tell(contender: &Contender, (what, answers): Measured, sizes: &Sizes, figures: &mut Figures) {
    sizes.check(contender, answers.broken, &what);
    let (count, refused, worst) = (answers.count(), answers.refused, answers.within(1.0));
    eprintln!(
        "{}: {count} deliveries beside {what}: p99 {:.1} ms, worst {worst:.1} ms, {refused} refused",
        contender.name,
        answers.within(0.99),
    );
    figures.add(format!("worst answer, ms, beside {what}"), Of::Greatest, contender.name, worst);
    let refused = 100.0 * refused as f64 / count as f64;
    figures.add(format!("refused, %, beside {what}"), Of::Greatest, contender.name, refused);
}

/// What a case is called, and what the client was answered.
type Measured = (String, Answers);

/// Posts 50 a second from one second before `happen` until one second after.
fn while_it_happens(address: SocketAddr, next: &AtomicU64, happen: impl FnOnce()) -> Answers {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| client::steady(address, next, 50, &stop));
        std::thread::sleep(Duration::from_secs(1));
        happen();
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap()
    })
}

fn nothing(contender: &Contender, _: &Path, dir: &Path, sizes: &Sizes) -> Measured {
    let server = contender.serve(dir);
    let next = client::begin(server.address, sizes.begin);
    let answers = while_it_happens(server.address, &next, || std::thread::sleep(Duration::from_secs(sizes.seconds)));
    ("nothing else".to_owned(), answers)
}

fn other_app(contender: &Contender, _: &Path, dir: &Path, sizes: &Sizes) -> Measured {
    (
        format!("an event of another app that names {} people", sizes.people),
        crowd(contender, dir, sizes, mix::OTHER_APP),
    )
}

fn same_app(contender: &Contender, _: &Path, dir: &Path, sizes: &Sizes) -> Measured {
    (format!("an event of the same app that names {} people", sizes.people), crowd(contender, dir, sizes, mix::APP))
}

/// The people are added to a group, then kicked out of the group.
fn crowd(contender: &Contender, dir: &Path, sizes: &Sizes, app: &str) -> Answers {
    let server = contender.serve(dir);
    let next = client::begin(server.address, sizes.begin);
    let events = [true, false].map(|added| mix::crowd(app, sizes.people, added, 0));
    while_it_happens(server.address, &next, || {
        for event in events {
            let asked = Instant::now();
            let status = Client::new(server.address).post(&event);
            eprintln!("{}: the event was answered {status} in {:.1?}", contender.name, asked.elapsed());
            std::thread::sleep(Duration::from_secs(1));
        }
    })
}

/// Clients post the deliveries of a storm, all of another app. Some may be refused: they are answered 503.
fn in_storm(contender: &Contender, dir: &Path, sizes: &Sizes, storm: &Storm) -> Answers {
    let server = contender.serve(dir);
    let next = client::begin(server.address, sizes.begin);
    for event in &storm.before {
        let status = Client::new(server.address).post(event);
        assert_eq!(status, 200, "{}: the event before was not taken", contender.name);
    }
    while_it_happens(server.address, &next, || {
        let (begun, refused, failed) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let (address, refused, failed) = (server.address, &refused, &failed);
            for events in &storm.clients {
                scope.spawn(move || {
                    let mut client = Client::new(address);
                    for event in events {
                        match client.post(event) {
                            200 => {}
                            503 => drop(refused.fetch_add(1, Ordering::Relaxed)),
                            _ => drop(failed.fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                });
            }
        });
        let sent: usize = storm.clients.iter().map(Vec::len).sum();
        eprintln!(
            "{}: {sent} events were answered in {:.1?}, {} of them with 503",
            contender.name,
            begun.elapsed(),
            refused.into_inner()
        );
        sizes.check(contender, failed.into_inner(), &storm.what);
    })
}

/// A reader keeps the WAL from being moved into the file, until the WAL is large; then the reader lets go.
fn checkpoint(contender: &Contender, _: &Path, dir: &Path, sizes: &Sizes) -> Measured {
    let server = contender.serve(dir);
    let next = client::begin(server.address, sizes.begin);
    let reader = Connection::open_with_flags(dir.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM apps", [], |_| Ok(())).unwrap();
    let bytes = |end: &str| std::fs::metadata(dir.join(format!("{FILE}{end}"))).map_or(0, |meta| meta.len());
    client::load(server.address, 64, &next, |taken| bytes("-wal") < sizes.wal && taken < sizes.at_most);
    let (wal, file) = (bytes("-wal"), bytes(""));
    let mut moved = false;
    let answers = while_it_happens(server.address, &next, || {
        drop(reader);
        let most = Instant::now() + sizes.at_most;
        while !moved && Instant::now() < most {
            std::thread::sleep(Duration::from_millis(20));
            moved = bytes("") > file;
        }
        // The file grows before the checkpoint ends.
        std::thread::sleep(Duration::from_secs(sizes.seconds));
    });
    let came = if moved { "which was moved" } else { "which was NOT moved in time" };
    eprintln!("{}: the reader held back {} MiB of WAL, {came}", contender.name, wal >> 20);
    ("a checkpoint after a long reader".to_owned(), answers)
}

fn rebuild(contender: &Contender, binary: &Path, dir: &Path, sizes: &Sizes) -> Measured {
    let log = Log::make(dir, 1, sizes.rebuilt);
    server::run(binary, &["ingest", log.name(), "--db", FILE], dir);
    let server = contender.serve(dir);
    let next = AtomicU64::new(sizes.rebuilt + 1);
    let answers = while_it_happens(server.address, &next, || {
        let cost = server::run(binary, &["rebuild", "--db", FILE], dir);
        eprintln!("{}: the rebuild took {:.1?}", contender.name, cost.elapsed);
    });
    (format!("a rebuild of {} events", sizes.rebuilt), answers)
}
