//! Deliveries and readers at once: what each keeps of what it has alone.

use crate::Sizes;
use crate::chat::Chat;
use crate::client::{self, Answers};
use crate::queries::{QUESTIONS, ask, files_of, of};
use crate::server::{Contender, Server};
use crate::table::{Figures, Of};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Connections that post deliveries, and clients that read.
const POSTING: usize = 16;
const READING: usize = 16;

/// Measures each build of chatfold: readers alone, deliveries alone, both.
pub fn measure(contenders: &[Contender], sizes: &Sizes, figures: &mut Figures) {
    let chat = Chat { messages: sizes.rows, growth: None };
    let dirs = files_of(contenders, &chat);
    let next = AtomicU64::new(10_000_000);
    for _ in 0..sizes.rounds {
        for contender in contenders.iter().filter(|contender| contender.chatfold().is_some()) {
            let dir = dirs.iter().find(|(name, _)| *name == contender.name).map(|(_, dir)| dir.path());
            let server = contender.serve(dir.expect("each build has its file"));
            round(contender, &server, &chat, &next, sizes, figures);
        }
    }
}

fn round(contender: &Contender, server: &Server, chat: &Chat, next: &AtomicU64, sizes: &Sizes, figures: &mut Figures) {
    let time = Duration::from_secs(sizes.seconds);
    let read = || {
        let all = &QUESTIONS[..2];
        let each = |question| move || ask(contender, server.address, question, chat, READING / all.len(), time);
        std::thread::scope(|scope| {
            let readers: Vec<_> = all.iter().map(|question| scope.spawn(each(question))).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<Answers>>()
        })
    };
    let deliver = || client::load(server.address, POSTING, next, |taken| taken < time);
    let readers = read();
    let deliveries = deliver();
    let (readers_beside, deliveries_beside) = std::thread::scope(|scope| {
        let posting = scope.spawn(deliver);
        (read(), posting.join().unwrap())
    });
    let mut add = |what: String, figure| figures.add(what, Of::Median, contender.name, figure);
    let mut pair = |what: &str, alone: &Answers, beside: &Answers| {
        add(format!("{what}: a second, alone"), alone.rate());
        add(format!("{what}: a second, beside the others"), beside.rate());
        add(format!("{what}: a second, beside the others / alone"), beside.rate() / alone.rate());
        add(format!("{what}: p99, ms, alone"), alone.within(0.99));
        add(format!("{what}: p99, ms, beside the others"), beside.within(0.99));
        add(format!("{what}: refused, beside the others"), beside.refused as f64);
        eprintln!(
            "{}: {what}: {:.0} a second alone, {:.0} beside the others",
            contender.name,
            alone.rate(),
            beside.rate()
        );
        sizes.check(contender, alone.broken + beside.broken, what);
    };
    pair(&format!("deliveries, {}", crate::of(POSTING)), &deliveries, &deliveries_beside);
    for (question, (alone, beside)) in QUESTIONS.iter().zip(readers.iter().zip(&readers_beside)) {
        pair(&format!("{}, {}", question.what, of(READING / 2)), alone, beside);
    }
    next.fetch_add(1_000, Ordering::Relaxed);
}
