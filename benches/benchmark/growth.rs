//! How much longer answers take when a file is larger: each question over a file of each size, at one client and at the most.

use crate::Sizes;
use crate::chat::{BEGIN, CROWD, Chat, Growth, HISTORIC, READER};
use crate::client::{self, Answers, Client};
use crate::mix::APP;
use crate::queries::{FILE, QUESTIONS, judge, kept_files_of, of};
use crate::server::{self, Contender};
use crate::table::{Figures, Of};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A question: its document, and what the n-th client asks for.
struct Question {
    what: String,
    document: &'static str,
    variables: Box<dyn Fn(u64) -> Value + Sync>,
}

const AS_OF: &str = include_str!("../queries/as-of.graphql");
const UNREAD: &str = include_str!("../queries/unread.graphql");
const ACTIVITY: &str = include_str!("../queries/activity.graphql");

/// Measures each build of chatfold at each size.
pub fn measure(contenders: &[Contender], sizes: &Sizes, figures: &mut Figures) {
    let mut all = Vec::new();
    for messages in &sizes.growth {
        let chat = Chat { messages: *messages, growth: Some(sizes.besides) };
        for (name, dir) in kept_files_of(contenders, &chat) {
            let contender =
                contenders.iter().find(|contender| contender.name == name).expect("a file is of a contender");
            over(contender, dir.path(), chat, sizes, &mut all);
        }
    }
    // What stands together is about one question.
    all.sort_by_key(|figure: &Figure| figure.place);
    for Figure { what, name, messages, taken: [p50, p99], busy, .. } in &all {
        figures.add(format!("{what}: p50, ms, {messages} messages"), Of::Median, name, *p50);
        figures.add(format!("{what}: p99, ms, {messages} messages"), Of::Median, name, *p99);
        if *busy > 0 {
            figures.add(format!("{what}: answers BUSY, {messages} messages"), Of::Median, name, *busy as f64);
        }
        let of = |messages: Option<&u64>| {
            let same =
                |other: &&Figure| Some(&other.messages) == messages && other.what == *what && other.name == *name;
            all.iter().find(same).map(|figure| figure.taken[1])
        };
        if Some(messages) == sizes.growth.last()
            && let (Some(small), Some(large)) = (of(sizes.growth.first()), of(sizes.growth.last()))
        {
            figures.add(format!("{what}: p99, largest file / smallest"), Of::Median, name, large / small);
        }
    }
}

/// How long the answers to a question took over a file.
struct Figure {
    /// The order of the questions.
    place: usize,
    what: String,
    name: &'static str,
    messages: u64,
    /// p50 and p99, ms.
    taken: [f64; 2],
    busy: u64,
}

/// Asks every question over one file.
fn over(contender: &Contender, dir: &Path, chat: Chat, sizes: &Sizes, all: &mut Vec<Figure>) {
    let (name, messages) = (contender.name, chat.messages);
    let mut keep = |place, what, taken: [f64; 2], busy| {
        eprintln!("{name}: {messages} messages: {what}: p50 {:.2} ms, p99 {:.2} ms, {busy} BUSY", taken[0], taken[1]);
        all.push(Figure { place, what, name, messages, taken, busy });
    };
    let server = contender.serve(dir);
    let questions = questions(chat, sizes.besides);
    let count = questions.len() * sizes.clients.len();
    let asked = questions.iter().flat_map(|question| sizes.clients.iter().map(move |clients| (question, *clients)));
    for (place, (question, clients)) in asked.enumerate() {
        let answers = ask(server.address, question, clients, Duration::from_secs(sizes.seconds));
        sizes.check(contender, answers.broken, &question.what);
        let what = format!("{}, {}", question.what, of(clients));
        keep(place, what, [answers.within(0.5), answers.within(0.99)], answers.refused - answers.broken);
    }
    drop(server);
    let taken = explain(contender.chatfold().expect("a build of chatfold"), dir);
    keep(count, format!("chatfold explain of a person with {} events", sizes.besides.events), taken, 0);
}

fn questions(chat: Chat, besides: Growth) -> Vec<Question> {
    let plain = QUESTIONS.iter().map(|question| Question {
        what: question.what.to_owned(),
        document: question.chatfold,
        variables: Box::new(move |n| json!({"app": APP, "key": (question.key)(&chat, n)})),
    });
    let at = |second: u64| jiff::Timestamp::from_second(second.cast_signed()).unwrap().to_string();
    let constant = |what: String, document, variables: Value| Question {
        what,
        document,
        variables: Box::new(move |_| variables.clone()),
    };
    let half = at(BEGIN - 90_000 + besides.facts.div_ceil(besides.people) / 2 * 100 + 99);
    let after = at(chat.end() - 91 * 86_400);
    plain
        .chain([
            constant(
                format!("conversations with unread counts of a person in {} groups", besides.groups),
                QUESTIONS[2].chatfold,
                json!({"app": APP, "key": READER}),
            ),
            constant(
                format!("members as of a time, of a group of {} with {} facts", besides.people, besides.facts),
                AS_OF,
                json!({"app": APP, "key": CROWD, "at": half}),
            ),
            constant(
                format!("unread messages of a person in {} groups", besides.groups),
                UNREAD,
                json!({"app": APP, "key": READER}),
            ),
            constant(
                "activity of 92 days".to_owned(),
                ACTIVITY,
                json!({"app": APP, "after": after, "before": at(chat.end() + 86_400)}),
            ),
        ])
        .collect()
}

/// Asks over so many connections for so long. The first answer must be one.
fn ask(address: SocketAddr, question: &Question, clients: usize, time: Duration) -> Answers {
    let request = |n: u64| {
        let body = json!({"query": question.document, "variables": (question.variables)(n)});
        client::post("/graphql", &body.to_string())
    };
    let mut client = Client::new(address);
    let (status, body) = client.send(&request(1));
    let said = || String::from_utf8_lossy(&body[..body.len().min(500)]);
    assert!(judge(status, body) == 200, "{}: {status} {}", question.what, said());
    client::drive(address, clients, &AtomicU64::new(1), |_, taken| taken < time, request, judge)
}

/// Milliseconds of the command that explains a person with a long history: the median and the worst of five.
fn explain(binary: &Path, dir: &Path) -> [f64; 2] {
    let entity = format!("user:{HISTORIC}");
    let run = |_| server::run(binary, &["explain", &entity, "--db", FILE], dir).elapsed.as_secs_f64() * 1e3;
    let mut taken: Vec<f64> = (0..5).map(run).collect();
    taken.sort_by(f64::total_cmp);
    [taken[2], taken[4]]
}
