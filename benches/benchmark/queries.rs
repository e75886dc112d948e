//! What four questions of a client cost, at one client and at several. Each program answers each question from the same
//! rows; its answers are checked equal to chatfold's before it is timed.

use crate::chat::Chat;
use crate::client::{self, Answers, Client};
use crate::files::folder;
use crate::mix::APP;
use crate::postgres::Postgres;
use crate::server::{self, Contender, Program, Server, Source};
use crate::table::{Figures, Of};
use crate::{Sizes, rows};
use serde_json::{Value, json};
use std::cell::LazyCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A question of clients.
pub struct Question {
    pub what: &'static str,
    /// Its name in the paths of those who answer without GraphQL.
    path: &'static str,
    /// What the n-th client asks for.
    pub key: fn(&Chat, u64) -> String,
    /// As asked of chatfold, PostGraphile and Datasette.
    pub chatfold: &'static str,
    postgraphile: &'static str,
    datasette: &'static str,
    /// What is compared of each item.
    fields: &'static [&'static str],
}

macro_rules! documents {
    ($name:literal) => {
        [
            include_str!(concat!("../queries/", $name, ".graphql")),
            include_str!(concat!("../peers/postgraphile/queries/", $name, ".graphql")),
            include_str!(concat!("../peers/datasette/queries/", $name, ".graphql")),
        ]
    };
}

const fn question(
    what: &'static str,
    path: &'static str,
    key: fn(&Chat, u64) -> String,
    [chatfold, postgraphile, datasette]: [&'static str; 3],
    fields: &'static [&'static str],
) -> Question {
    Question { what, path, key, chatfold, postgraphile, datasette, fields }
}

pub const QUESTIONS: [Question; 4] = [
    question(
        "members page (50, with user, scope, presence)",
        "members",
        Chat::group,
        documents!("members"),
        &["uid", "scope", "name", "avatar", "online"],
    ),
    question(
        "last 50 messages with sender and reactions",
        "messages",
        Chat::conversation,
        documents!("messages"),
        &["messageId", "text", "sentAt", "uid", "name", "reactions"],
    ),
    question(
        "a user's conversations with unread counts",
        "conversations",
        Chat::person,
        documents!("conversations"),
        &["conversationId", "unreadCount", "messageId", "text"],
    ),
    question(
        "search of a common word",
        "search",
        |_, n| Chat::word(n),
        documents!("search"),
        &["messageId", "text", "name"],
    ),
];

/// Measures each question for each program.
pub fn measure(contenders: &[Contender], postgres: Option<&Postgres>, sizes: &Sizes, figures: &mut Figures) {
    let chat = Chat { messages: sizes.rows, growth: None };
    let dirs = kept_files_of(contenders, &chat);
    let rows = rows::copy(&dirs[0].1.path().join(FILE));
    let database = postgres.map(|postgres| rows::load(&rows, postgres));
    let source = |contender: &Contender| {
        let own = dirs.iter().find(|(name, _)| *name == contender.name);
        let dir = own.map_or(dirs[0].1.path(), |(_, dir)| dir.path());
        Source { dir, rows: &rows, database: database.as_deref() }
    };
    let asked: Vec<Vec<String>> =
        QUESTIONS.iter().map(|question| (1..=sizes.checked).map(|n| (question.key)(&chat, n)).collect()).collect();
    let mut expected = Vec::new();
    for round in 1..=sizes.rounds {
        for contender in contenders {
            let server = contender.read(&source(contender));
            if round == 1 {
                check(contender, server.address, &asked, &mut expected);
            }
            for question in &QUESTIONS {
                time(contender, &server, question, &chat, sizes, figures);
            }
            figures.add("MiB of memory after that", Of::Greatest, contender.name, server.memory() as f64 / 1048576.0);
        }
    }
}

pub const FILE: &str = "chatfold.db";
/// A file that is not finished.
const PART: &str = "part.db";

/// The folder of a file.
pub enum Folder {
    /// Removed at the end of the run.
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }
}

/// A file of the chat for each build of chatfold.
pub fn files_of(contenders: &[Contender], chat: &Chat) -> Vec<(&'static str, Folder)> {
    made(contenders, chat, |_| Folder::Temporary(folder()))
}

/// The same for questions that change nothing: in the folder that `CHATFOLD_BENCH_KEEP` names, a file of an earlier run is
/// taken.
pub fn kept_files_of(contenders: &[Contender], chat: &Chat) -> Vec<(&'static str, Folder)> {
    let Some(keep) = std::env::var_os("CHATFOLD_BENCH_KEEP") else { return files_of(contenders, chat) };
    let chat_name = format!("{}{}", chat.messages, if chat.growth.is_some() { "-growth" } else { "" });
    let kept = |name: &str| Path::new(&keep).join(format!("{}-{chat_name}", name.replace(' ', "-")));
    made(contenders, chat, |name| Folder::Kept(std::path::absolute(kept(name)).unwrap()))
}

fn made(contenders: &[Contender], chat: &Chat, home: impl Fn(&str) -> Folder) -> Vec<(&'static str, Folder)> {
    let log = LazyCell::new(|| {
        let shared = folder();
        let log = chat.write(shared.path());
        (shared, log)
    });
    let file = |contender: &Contender| {
        let (binary, dir) = (contender.chatfold()?, home(contender.name));
        if !dir.path().join(FILE).exists() {
            // A run that was ended may have left a part of the folder: it is begun anew.
            let _ = std::fs::remove_dir_all(dir.path());
            std::fs::create_dir_all(dir.path()).unwrap();
            let cost = server::run(binary, &["ingest", log.1.name(), "--db", PART], dir.path());
            std::fs::rename(dir.path().join(PART), dir.path().join(FILE)).unwrap();
            eprintln!("{}: {} messages ingested in {:.1?}", contender.name, chat.messages, cost.elapsed);
        }
        Some((contender.name, dir))
    };
    contenders.iter().filter_map(file).collect()
}

/// Ends the run where an answer is not that of the first program.
fn check(contender: &Contender, address: SocketAddr, asked: &[Vec<String>], expected: &mut Vec<Vec<Vec<String>>>) {
    let mut client = Client::new(address);
    let mut answers = Vec::new();
    for (question, keys) in QUESTIONS.iter().zip(asked) {
        for key in keys {
            let (status, body) = client.send(&question.request(contender, key));
            let said = || String::from_utf8_lossy(&body[..body.len().min(2_000)]);
            assert!(judge(status, body) == 200, "{}: {} of {key}: {status} {}", contender.name, question.what, said());
            let answer = question.rows(&serde_json::from_slice(body).unwrap());
            assert!(!answer.is_empty(), "{}: {} of {key}: nothing: {}", contender.name, question.what, said());
            answers.push(answer);
        }
    }
    if expected.is_empty() {
        *expected = answers;
        return;
    }
    for (told, first) in answers.iter().zip(expected.iter()) {
        let pairs = told.iter().zip(first);
        pairs.for_each(|(told, first)| assert_eq!(told, first, "{}: not the answer of chatfold", contender.name));
        assert_eq!(told.len(), first.len(), "{}: not as many items as chatfold", contender.name);
    }
    eprintln!("{}: {} answers are equal to chatfold's", contender.name, answers.len());
}

fn time(
    contender: &Contender,
    server: &Server,
    question: &Question,
    chat: &Chat,
    sizes: &Sizes,
    figures: &mut Figures,
) {
    for clients in &sizes.clients {
        let run = |time| ask(contender, server.address, question, chat, *clients, time);
        let cpu = server.cpu();
        let answers = run(Duration::from_secs(sizes.seconds));
        let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / answers.count() as f64;
        let of = of(*clients);
        let mut add = |what: &str, figure| {
            figures.add(format!("{}: {what}, {of}", question.what), Of::Median, contender.name, figure);
        };
        add("requests/s", answers.rate());
        add("p50, ms", answers.within(0.5));
        add("p99, ms", answers.within(0.99));
        add("CPU, µs a request", cpu);
        add("answers BUSY", (answers.refused - answers.broken) as f64);
        eprintln!(
            "{}: {}, {of}: {:.0} requests/s, p99 {:.2} ms, {} BUSY",
            contender.name,
            question.what,
            answers.rate(),
            answers.within(0.99),
            answers.refused
        );
        sizes.check(contender, answers.broken, question.what);
        if *clients == 1 && server::counts_instructions() {
            let (answers, counted) = server.instructions(|| run(Duration::from_secs(1)));
            add("million instructions a request", counted as f64 / 1e6 / answers.count() as f64);
        }
    }
}

/// Asks over so many connections for so long.
pub fn ask(
    contender: &Contender,
    address: SocketAddr,
    question: &Question,
    chat: &Chat,
    clients: usize,
    time: Duration,
) -> Answers {
    let request = |n: u64| question.request(contender, &(question.key)(chat, n));
    client::drive(address, clients, &AtomicU64::new(1), |_, taken| taken < time, request, judge)
}

/// The end of the name of a figure.
pub fn of(clients: usize) -> String {
    format!("{clients} client{}", if clients == 1 { "" } else { "s" })
}

/// The status of an answer: 503 where it is the error BUSY, 500 where it is another. Errors begin or end an answer.
pub fn judge(status: u16, body: &[u8]) -> u16 {
    let ends = [&body[..body.len().min(300)], &body[body.len().saturating_sub(600)..]];
    let has = |what: &str| ends.iter().any(|end| end.windows(what.len()).any(|at| at == what.as_bytes()));
    match status {
        200 if !has("\"errors\"") => 200,
        429 | 503 => 503,
        _ if has("\"BUSY\"") => 503,
        _ => 500,
    }
}

impl Question {
    fn request(&self, contender: &Contender, key: &str) -> Vec<u8> {
        let graphql = |path: &str, document: &str| {
            client::post(path, &json!({"query": document, "variables": {"app": APP, "key": key}}).to_string())
        };
        match &contender.program {
            Program::Chatfold(_) => graphql("/graphql", self.chatfold),
            Program::Peer(peer) => match peer.kind.folder {
                "postgraphile" => graphql("/graphql", self.postgraphile),
                "datasette" => graphql("/graphql/rows", self.datasette),
                _ => client::get(&format!("/{}/{key}", self.path)),
            },
        }
    }

    /// An answer in one form, whoever gave it.
    fn rows(&self, answer: &Value) -> Vec<Vec<String>> {
        let nodes = find(answer, "nodes").and_then(Value::as_array).cloned().unwrap_or_default();
        nodes.iter().map(|node| self.fields.iter().map(|field| told(node, field)).collect()).collect()
    }
}

/// A field of an item as text: numbers, booleans and words are spelled in several ways.
fn told(node: &Value, field: &str) -> String {
    let value = find(node, field).unwrap_or(&Value::Null);
    match (field, value) {
        ("reactions", _) => reactions(value),
        ("online", Value::Number(number)) => (number.as_f64() == Some(1.0)).to_string(),
        ("sentAt", Value::String(text)) => {
            text.parse::<jiff::Timestamp>().map_or_else(|_| text.clone(), |at| at.to_string())
        }
        ("scope", Value::String(text)) => text.to_lowercase(),
        (_, Value::String(text)) => text.clone(),
        _ => value.to_string(),
    }
}

/// How often each reaction was given: told as counts, or as one item a person.
fn reactions(value: &Value) -> String {
    let items = value.get("nodes").unwrap_or(value).as_array().cloned().unwrap_or_default();
    let mut counts = std::collections::BTreeMap::new();
    for item in items {
        let count = item.get("count").map_or(1, |count| count.as_u64().unwrap());
        *counts.entry(item["reaction"].as_str().unwrap().to_owned()).or_insert(0) += count;
    }
    format!("{counts:?}")
}

/// The value of the key that lies least deep.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let mut level = vec![value];
    while !level.is_empty() {
        if let Some(found) = level.iter().find_map(|value| value.get(key)) {
            return Some(found);
        }
        let below = |value: &'a Value| match value {
            Value::Object(object) => object.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        level = level.into_iter().flat_map(below).collect();
    }
    None
}
