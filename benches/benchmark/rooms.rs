//! So many messages to chat rooms, as fast as they are taken: each is kept in the log, folded into the tables and on disk
//! when it is answered.

use crate::client;
use crate::files::folder;
use crate::mix;
use crate::server::Contender;
use crate::table::{Figures, Of};
use crate::{Sizes, of};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Posts the messages over the most connections, to a new file of each program.
pub fn measure(contenders: &[Contender], sizes: &Sizes, figures: &mut Figures) {
    let connections = sizes.connections.iter().copied().max().unwrap_or(1);
    for contender in contenders.iter().filter(|contender| contender.takes_deliveries()) {
        let dir = folder();
        let server = contender.serve(dir.path());
        // Before the begin each connection posts one.
        let next = AtomicU64::new(1);
        let (all, cpu) = (sizes.inserts + connections as u64, server.cpu());
        let request = |n: u64| client::delivery(&mix::sent(n));
        let answers = client::drive(server.address, connections, &next, |n, _| n <= all, request, |status, _| status);
        sizes.check(contender, answers.refused, "messages to chat rooms");
        let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / answers.count() as f64;
        let mut add = |what: &str, figure| {
            let what = format!("{} messages to chat rooms, {}: {what}", sizes.inserts, of(connections));
            figures.add(what, Of::Median, contender.name, figure);
        };
        let seconds = Duration::as_secs_f64(&answers.elapsed);
        add("seconds", seconds);
        add("messages/s", answers.rate());
        add("p50, ms", answers.within(0.5));
        add("p99, ms", answers.within(0.99));
        add("CPU, µs a message", cpu);
        add("refused", answers.refused as f64);
        eprintln!("{}: {} messages in {seconds:.2} s", contender.name, answers.count());
    }
}
