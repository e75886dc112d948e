//! The promise of several nodes, under faults: a primary and two standbys that keep each commit on two disks, three nodes,
//! and clients that try the next node, as a load balancer lets them. Whatever is killed, stopped or cut: every delivery
//! that was answered 200 is in every node's log once, and all nodes say the same as one machine would.
//!
//! `CHATFOLD_CLUSTER_FAULTS=100` makes it long, `CHATFOLD_CLUSTER_OUTBOX=0` switches the outbox off.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;

use chatfold::envelope::Envelope;
use chatfold::ids::Time;
use chatfold::log::Source;
use chatfold::store::sqlite::state;
use harness::Harness;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::clients::{Clients, body};
use support::nodes::{hash, until};
use support::postgres::{Postgres, Proxy, free_port};
use support::{Instants, TestServer, chatfold, number, verified};

const NAMES: [&str; 3] = ["s0", "s1", "s2"];
/// Kinds of faults.
const KINDS: u64 = 10;

/// Three servers, each behind a proxy that cuts, and three nodes.
struct Cluster {
    servers: Vec<Postgres>,
    proxies: Vec<Proxy>,
    primary: usize,
    nodes: Vec<TestServer>,
    log: String,
    toml: String,
}

impl Cluster {
    fn start() -> Option<Self> {
        let settings = "synchronous_standby_names = 'ANY 1 (s0, s1, s2)'\nwal_level = replica\nhot_standby = on\nmax_connections = 60";
        let primary = Postgres::start(settings)?;
        let standbys = [1, 2].map(|n| primary.standby(NAMES[n], free_port()));
        let servers: Vec<Postgres> = std::iter::once(primary).chain(standbys).collect();
        let proxies: Vec<Proxy> = servers.iter().map(|server| Proxy::before(server.port)).collect();
        let hosts: Vec<String> = proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.port)).collect();
        let address = format!("postgres://chatfold@{}/postgres", hosts.join(","));
        let (code, _, err) = chatfold(&["log", "init", "--log", &address]);
        assert_eq!(code, 0, "{err}");
        let outbox = number("CHATFOLD_CLUSTER_OUTBOX", 1 << 30);
        let toml = format!("log = \"{address}\"\noutbox = {outbox}\nlog_durability = \"quorum\"");
        let nodes: Vec<TestServer> = NAMES.iter().map(|_| TestServer::with(&toml)).collect();
        for node in &nodes {
            until("ready", || node.get("/readyz").status == 200);
        }
        Some(Self { servers, proxies, primary: 0, nodes, log: address, toml })
    }

    fn standbys(&self) -> impl Iterator<Item = usize> + use<> {
        let primary = self.primary;
        (0..NAMES.len()).filter(move |place| *place != primary)
    }

    /// The node ends without a word, and comes back at another port.
    fn kill_node(&mut self, place: usize, clients: &Clients, pause: Duration) {
        clients.nodes.lock().unwrap()[place] = None;
        let dir = self.nodes[place].dir();
        let mut gone = self.nodes.remove(place);
        gone.signal("KILL");
        gone.ended();
        std::thread::sleep(pause);
        self.nodes.insert(place, TestServer::within(dir, &self.toml));
        clients.nodes.lock().unwrap()[place] = Some(self.nodes[place].address);
    }

    /// A node and its disk are lost, after its outbox was emptied. Another one begins with a copy of a node's file, as
    /// `chatfold join` makes it.
    fn lose_node(&mut self, place: usize, clients: &Clients) {
        clients.nodes.lock().unwrap()[place] = None;
        let node = self.nodes.remove(place);
        until("node without deliveries of its own", || {
            let ready = node.get("/readyz");
            ready.status == 200 && ready.json()["outbox"] == 0 && ready.json()["logTrouble"].is_null()
        });
        // The folder goes with it.
        drop(node);
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let (file, from) = (dir.path().join("chatfold.db"), format!("http://{}", self.nodes[0].address));
        let (code, _, err) = chatfold(&["join", "--from", &from, "--db", file.to_str().unwrap(), "--log", &self.log]);
        assert_eq!(code, 0, "{err}");
        self.nodes.insert(place, TestServer::within(dir, &self.toml));
        clients.nodes.lock().unwrap()[place] = Some(self.nodes[place].address);
    }

    /// The primary ends without a word; the standby that is ahead takes its place, and the other follows that one. Then
    /// the old one comes back as a standby without data.
    fn kill_primary(&mut self, clients: &Clients) -> Duration {
        let old = self.primary;
        self.servers[old].kill();
        // Who still writes what the old one sent may be ahead a moment later.
        let receives = "SELECT count(*) FROM pg_stat_wal_receiver";
        until("standbys that receive no more", || {
            self.standbys().all(|place| self.servers[place].ask(receives) == "0")
        });
        let received = "SELECT pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')";
        let ahead =
            self.standbys().max_by_key(|place| self.servers[*place].ask(received).parse::<u64>().unwrap()).unwrap();
        let other = self.standbys().find(|place| *place != ahead).unwrap();
        self.servers[ahead].promote();
        let promoted = Instant::now();
        self.primary = ahead;
        self.servers[other].stop();
        let (one, two) = self.servers.split_at_mut(ahead.max(other));
        let (it, primary) = if other < ahead { (&mut one[other], &two[0]) } else { (&mut two[0], &one[ahead]) };
        it.follow(primary, NAMES[other]);
        it.serve();
        let is_back = || clients.told.newest.lock().unwrap().is_some_and(|at| at > promoted);
        let deadline = promoted + Duration::from_secs(90);
        while !is_back() {
            // A standby that was away for too long is made anew, as the page says.
            let log = self.servers[other].log();
            if ["has already been removed", "forked off"].iter().any(|words| log.contains(words)) {
                let port = self.servers[other].port;
                self.servers[other].stop();
                self.servers[other] = self.servers[ahead].standby(NAMES[other], port);
            }
            let logs = || {
                let servers = [ahead, other].map(|place| self.servers[place].log());
                let nodes = self.nodes.iter().map(|node| node.get("/readyz").body + "\n" + &node.log());
                servers.into_iter().chain(nodes).collect::<Vec<_>>().join("\n--\n")
            };
            assert!(Instant::now() < deadline, "no delivery in the log of the new primary: {}", logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        let back = clients.told.newest.lock().unwrap().unwrap().duration_since(promoted);
        let port = self.servers[old].port;
        self.servers[old] = self.servers[ahead].standby(NAMES[old], port);
        back
    }

    /// No commit can be on two disks for a while.
    fn lose_quorum(&mut self, pause: Duration) {
        for place in self.standbys() {
            self.servers[place].kill();
        }
        std::thread::sleep(pause);
        for place in self.standbys() {
            self.servers[place].serve();
        }
    }

    fn stop_primary(&mut self, pause: Duration) {
        let primary = self.primary;
        self.servers[primary].stop();
        std::thread::sleep(pause);
        self.servers[primary].serve();
    }

    fn kill_standby(&mut self, pause: Duration) {
        let place = self.standbys().next().unwrap();
        self.servers[place].kill();
        std::thread::sleep(pause);
        self.servers[place].serve();
    }

    /// Processes that are there and do nothing.
    fn freeze(&self, place: usize, pause: Duration) {
        self.servers[place].signal_all("STOP");
        std::thread::sleep(pause);
        self.servers[place].signal_all("CONT");
    }

    fn fault(&mut self, kind: u64, pause: Duration, random: &mut Instants, clients: &Clients) -> String {
        let any = usize::try_from(random.within(0..3).as_millis()).unwrap();
        match kind {
            0 => self.kill_node(any, clients, pause),
            1 => self.lose_quorum(pause),
            2 => {
                let refused = || clients.told.refused.lock().unwrap().values().sum::<usize>();
                let (before, back) = (refused(), self.kill_primary(clients).as_millis());
                let refused = refused() - before;
                return format!(
                    "primary killed: first delivery in the log {back} ms after the promotion, {refused} answers 503"
                );
            }
            3 => self.stop_primary(pause),
            4 => (0..5).for_each(|_| {
                self.proxies.iter().for_each(Proxy::cut);
                std::thread::sleep(pause / 10);
            }),
            5 => self.freeze(self.primary, pause),
            6 => self.lose_node(any, clients),
            7 => self.freeze(self.standbys().next().unwrap(), pause),
            8 => self.kill_standby(pause),
            _ => {
                self.nodes[any].signal("STOP");
                std::thread::sleep(pause);
                self.nodes[any].signal("CONT");
            }
        }
        [
            "node killed",
            "quorum lost",
            "",
            "primary stopped",
            "connections cut",
            "primary frozen",
            "node and disk lost",
            "standby frozen",
            "standby killed",
            "node frozen",
        ][usize::try_from(kind).unwrap()]
        .to_owned()
    }

    /// Nothing is on its way any more.
    fn settle(&self) -> i64 {
        for node in &self.nodes {
            until("empty outbox", || {
                let ready = node.get("/readyz");
                ready.status == 200 && ready.json()["outbox"] == 0 && ready.json()["logTrouble"].is_null()
            });
        }
        let newest: i64 = self.servers[self.primary].ask("SELECT position FROM chatfold_head").parse().unwrap();
        for node in &self.nodes {
            until("node at the end of the log", || value(&node.db(), "SELECT position FROM shared_log") == newest);
        }
        newest
    }
}

fn value(db: &Path, sql: &str) -> i64 {
    Connection::open(db).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The state hash of one machine that receives the same deliveries in the same order.
fn alone(primary: &Postgres) -> String {
    let harness = Harness::new();
    let rows =
        primary.ask("SELECT received_at || ' ' || encode(body, 'hex') FROM chatfold_deliveries ORDER BY position");
    harness.transaction(|| {
        for row in rows.lines() {
            let (at, hex) = row.split_once(' ').unwrap();
            let digits = |place: usize| u8::from_str_radix(&hex[place..place + 2], 16).unwrap();
            let body: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
            harness.append(&Envelope::parse(&body).unwrap(), Time(at.parse().unwrap()), Source::Http);
        }
    });
    state::of_file(&harness.conn).unwrap().total.to_string()
}

/// How often each delivery stands in the shared log. A client that got no answer has sent its delivery again.
fn rows(primary: &Postgres) -> BTreeMap<String, usize> {
    let rows =
        primary.ask("SELECT count(*) || ' ' || convert_from(body, 'UTF8') FROM chatfold_deliveries GROUP BY body");
    let row = |line: &str| line.split_once(' ').map(|(count, body)| (body.to_owned(), count.parse().unwrap()));
    rows.lines().filter_map(row).collect()
}

/// How often each delivery is in the log of a file as an event.
fn events(db: &Path) -> BTreeMap<String, i64> {
    let conn = Connection::open(db).unwrap();
    let mut statement = conn.prepare("SELECT body, count(*) FROM events GROUP BY body").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_was_answered_200_is_in_every_nodes_log_once_whatever_fails() {
    let Some(mut cluster) = Cluster::start() else { return };
    let clients = Clients::start(&cluster.nodes);
    let mut random = Instants::default();
    // In short each of the first five kinds once. In long each kind once, then any, and some for long.
    let faults = number("CHATFOLD_CLUSTER_FAULTS", 5);
    let is_long = faults > 5;
    for n in 0..u64::from(faults) {
        std::thread::sleep(random.within(300..1_500));
        let kind = if n < KINDS { n } else { u64::try_from(random.within(0..KINDS).as_millis()).unwrap() };
        let pause = random.within(300..3_000);
        let what = cluster.fault(kind, pause, &mut random, &clients);
        eprintln!("{n}: {what}");
    }
    for (kind, seconds) in [(3, 60), (5, 20), (7, 20), (9, 20)].into_iter().filter(|_| is_long) {
        let what = cluster.fault(kind, Duration::from_secs(seconds), &mut random, &clients);
        eprintln!("{what} for {seconds} s");
    }
    std::thread::sleep(Duration::from_secs(1));
    let told = clients.stop();
    let newest = cluster.settle();
    let expected = alone(&cluster.servers[cluster.primary]);
    let acknowledged = told.acknowledged.lock().unwrap();
    let rows = rows(&cluster.servers[cluster.primary]);
    for (id, sent) in told.sent.lock().unwrap().iter() {
        let rows = rows.get(&body(*id)).copied().unwrap_or_default();
        assert!(rows <= *sent, "delivery {id} was sent {sent} times, and stands in the log {rows} times");
    }
    for node in &cluster.nodes {
        assert_eq!(hash(&node.db()), expected);
        verified(&node.db());
        let events = events(&node.db());
        for id in acknowledged.iter() {
            assert_eq!(events.get(&body(*id)), Some(&1), "delivery {id}");
        }
    }
    eprintln!(
        "{faults} faults: {} deliveries answered 200 ({:?}), answers 503: {:?}, {newest} positions",
        acknowledged.len(),
        told.outcomes.lock().unwrap(),
        told.refused.lock().unwrap()
    );
}
