//! A token of one app gets nothing of another, by no path: asked of a file with both apps, everything is answered as by
//! a file that has never heard of the other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::TokenScope;
use harness::{Harness, NOON, fixtures};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OURS: &str = "ours";
const THEIRS: &str = "theirs-7f3a";
/// In every text of the other app that is no id.
const MARK: &str = "FOREIGN";

/// The same deliveries for an app: equal ids everywhere; of the other one, other texts and another order of time.
fn deliver(harness: &Harness, app: &str) {
    let mark = |body: &mut Value| {
        body["appId"] = app.into();
        if app == THEIRS {
            foreign(body);
        }
        body.to_string()
    };
    let bodies = harness::story("demo").into_iter().chain(fixtures().into_iter().map(|(_, body)| body));
    let bodies: Vec<String> =
        bodies.filter_map(|body| serde_json::from_str(&body).ok()).map(|mut body: Value| mark(&mut body)).collect();
    for body in bodies {
        harness.post(&body, NOON + i64::from(app == THEIRS) * 1000);
    }
}

fn foreign(value: &mut Value) {
    const TEXTS: &[&str] =
        &["name", "text", "avatar", "icon", "description", "link", "statusMessage", "role", "url", "muid", "reason"];
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match member {
                    Value::String(text) if TEXTS.contains(&key.as_str()) => text.push_str(MARK),
                    other => foreign(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(foreign),
        _ => {}
    }
}

fn api(harness: &Harness) -> Api {
    let limits = Limits {
        complexity: 1_000_000,
        depth: 30,
        selections: 100_000,
        aliases: 1_000,
        root_fields: 200,
        ..Limits::default()
    };
    Api::open(&harness.path(), limits).unwrap()
}

fn bound() -> Caller {
    Caller {
        apps: Some(vec![OURS.into()]),
        default_app: Some(THEIRS.into()),
        scope: TokenScope::Admin,
        ..Caller::default()
    }
}

fn all() -> Caller {
    Caller { apps: None, default_app: Some(THEIRS.into()), ..Caller::default() }
}

/// The answer, less what tells where the log stands, which is one for all apps.
fn ask(api: &Api, query: &str, caller: Caller) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let text = runtime.block_on(api.execute_text(async_graphql::Request::new(query), caller));
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    if let Some(told) = answer.pointer_mut("/extensions/chatfold").and_then(Value::as_object_mut) {
        told.remove("seq");
    }
    answer
}

/// What the schema says, from the schema.
struct Schema {
    types: BTreeMap<String, Value>,
}

impl Schema {
    fn of(api: &Api) -> Self {
        let kind = "type{kind name ofType{kind name ofType{kind name ofType{kind name}}}}";
        let query = format!(
            "{{__schema{{types{{name kind inputFields{{name {kind}}} fields{{name args{{name {kind}}} {kind}}}}}}}}}"
        );
        let answer = ask(api, &query, bound());
        assert!(answer.get("errors").is_none(), "{answer}");
        let types = answer["data"]["__schema"]["types"].as_array().unwrap().iter();
        Self { types: types.map(|it| (it["name"].as_str().unwrap().to_owned(), it.clone())).collect() }
    }

    fn fields(&self, name: &str) -> &[Value] {
        self.types.get(name).and_then(|it| it["fields"].as_array()).map_or(&[], Vec::as_slice)
    }

    fn inputs(&self, name: &str) -> &[Value] {
        self.types[name]["inputFields"].as_array().unwrap()
    }

    /// The named type inside lists and non-nulls.
    fn named(field: &Value) -> (&str, &str) {
        let mut kind = &field["type"];
        while !kind["ofType"].is_null() {
            kind = &kind["ofType"];
        }
        (kind["name"].as_str().unwrap(), kind["kind"].as_str().unwrap())
    }
}

/// Small, seeded numbers: a failure repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most.max(1)
    }

    fn one<'a>(&mut self, all: &'a [String]) -> &'a str {
        all.get(self.below(all.len())).map_or("none", String::as_str)
    }
}

/// What there is to ask for, as the other app's owner sees it: the ids are equal, node ids and cursors are not.
#[derive(Default)]
struct Known(BTreeMap<&'static str, Vec<String>>);

impl Known {
    fn of(api: &Api) -> Self {
        let page = "pageInfo{startCursor endCursor}";
        let query = format!(
            "{{groups(includeDeleted){{nodes{{id guid members{{nodes{{id}} {page}}} membershipChanges{{{page}}}}} {page}}}
              users{{nodes{{id uid memberships{{{page}}}}} {page}}}
              conversations{{nodes{{id conversationId}} {page}}}
              messages(filter:{{includeDeleted:true,includeBlocked:true}}){{nodes{{id messageId}} {page}}}
              blocks{{{page}}} callSessions{{nodes{{id sessionId}} {page}}} events(first:200){{nodes{{id seq}} {page}}}}}"
        )
        .replace("(includeDeleted)", "(filter:{includeDeleted:true})");
        let answer = ask(api, &query, all());
        assert!(answer.get("errors").is_none(), "{answer}");
        let mut known = Self::default();
        known.gather(&answer["data"]);
        known
    }

    fn gather(&mut self, value: &Value) {
        if let Value::Array(items) = value {
            items.iter().for_each(|item| self.gather(item));
        }
        for (key, member) in value.as_object().into_iter().flatten() {
            let kind = match key.as_str() {
                "startCursor" | "endCursor" => "cursor",
                "id" => "id",
                "guid" => "guid",
                "uid" => "uid",
                "messageId" => "messageId",
                "conversationId" => "conversationId",
                "sessionId" => "sessionId",
                "seq" => "seq",
                _ => {
                    self.gather(member);
                    continue;
                }
            };
            if let Some(text) = member.as_str() {
                self.0.entry(kind).or_default().push(text.to_owned());
            }
        }
    }

    fn all(&self, kind: &str) -> &[String] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }

    /// A value for an argument; `None` leaves it out.
    fn value(&self, argument: &str, required: bool, dice: &mut Dice) -> Option<String> {
        let text = |value: &str| Some(json!(value).to_string());
        match argument {
            "appId" => [None, text(OURS), text(THEIRS)][dice.below(3)].clone(),
            "id" => text(dice.one(self.all("id"))),
            "ids" => Some(json!([dice.one(self.all("id")), dice.one(self.all("id"))]).to_string()),
            "guid" | "uid" | "messageId" | "conversationId" | "sessionId" | "seq" if required || dice.below(2) == 0 => {
                text(dice.one(self.all(argument)))
            }
            "after" | "before" if dice.below(6) == 0 => text(dice.one(self.all("cursor"))),
            "first" if dice.below(2) == 0 => Some((1 + dice.below(20)).to_string()),
            "after" if required => text("2026-01-01T00:00:00Z"),
            "before" if required => text("2026-03-01T00:00:00Z"),
            "entity" => {
                let kinds = [("group", "guid"), ("user", "uid"), ("message", "messageId"), ("call", "sessionId")];
                let (kind, id) = kinds[dice.below(4)];
                text(&format!("{kind}:{}", dice.one(self.all(id))))
            }
            "step" => Some("HOUR".to_owned()),
            "last" | "hours" if required => Some((1 + dice.below(20)).to_string()),
            "by" => Some("MONTH".to_owned()),
            "asOf" if dice.below(4) == 0 => text("2026-02-01T00:00:00Z"),
            _ => None,
        }
    }
}

/// A filter with some of its fields, also such as only the other app's texts fit.
fn filter(schema: &Schema, known: &Known, name: &str, dice: &mut Dice) -> Option<String> {
    let mut fields = Vec::new();
    for it in schema.inputs(name) {
        let field = it["name"].as_str().unwrap();
        let (kind, _) = Schema::named(it);
        let text = match field {
            _ if dice.below(5) != 0 => continue,
            "guids" | "guid" => dice.one(known.all("guid")),
            "uids" | "owner" | "uid" | "memberUid" | "senderUid" | "mentionsUid" | "unreadBy" => {
                dice.one(known.all("uid"))
            }
            "conversationId" => dice.one(known.all("conversationId")),
            "parentId" | "callMessageId" => dice.one(known.all("messageId")),
            "nameContains" | "search" | "bodyContains" => MARK,
            "about" => {
                let kind = ["guid", "uid", "messageId"][dice.below(3)];
                dice.one(known.all(kind))
            }
            _ if kind == "Boolean" => {
                fields.push(format!("{field}:{}", dice.below(3) != 0));
                continue;
            }
            _ => continue,
        };
        let list = it["type"]["kind"] == "LIST";
        fields.push(format!("{field}:{}", if list { json!([text]) } else { json!(text) }));
    }
    (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(",")))
}

/// One field with random arguments, and below it every scalar and a few links.
fn field(schema: &Schema, known: &Known, field: &Value, depth: usize, dice: &mut Dice) -> Option<String> {
    let mut arguments = Vec::new();
    for argument in field["args"].as_array().unwrap() {
        let name = argument["name"].as_str().unwrap();
        let required = argument["type"]["kind"] == "NON_NULL";
        let value = match name {
            "filter" => filter(schema, known, Schema::named(argument).0, dice),
            _ => known.value(name, required, dice),
        };
        match value {
            Some(value) => arguments.push(format!("{name}:{value}")),
            None if required => panic!("no value for the argument {name}"),
            None => {}
        }
    }
    let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(",")) };
    let (name, kind) = Schema::named(field);
    let below = match kind {
        "OBJECT" => set(schema, known, name, depth, dice)?,
        "INTERFACE" => {
            let of = ["Group", "Membership", "User", "Conversation", "Message", "CallSession", "Event"];
            let parts = of.iter().filter_map(|of| Some(format!("...on {of}{}", set(schema, known, of, depth, dice)?)));
            format!("{{__typename id {}}}", parts.collect::<Vec<_>>().join(" "))
        }
        _ => String::new(),
    };
    Some(format!("{}{arguments}{below}", field["name"].as_str().unwrap()))
}

fn set(schema: &Schema, known: &Known, name: &str, depth: usize, dice: &mut Dice) -> Option<String> {
    let mut parts = vec!["__typename".to_owned()];
    for it in schema.fields(name) {
        let leaf = matches!(Schema::named(it).1, "SCALAR" | "ENUM");
        let page = matches!(it["name"].as_str().unwrap(), "nodes" | "edges" | "node" | "pageInfo");
        // The position of the whole file, and the hash that only tokens of all apps get.
        if name == "Status" && it["name"] == "seq" {
            continue;
        }
        if leaf || (depth > 0 && (page || dice.below(6) == 0)) {
            parts.extend(field(schema, known, it, depth - usize::from(!leaf && !page), dice));
        }
    }
    (parts.len() > 1).then(|| format!("{{{}}}", parts.join(" ")))
}

#[test]
fn nothing_of_another_app_comes_through_by_any_path() {
    let (alone, beside) = (Harness::new(), Harness::new());
    deliver(&alone, OURS);
    deliver(&beside, OURS);
    deliver(&beside, THEIRS);
    let (alone_api, beside_api) = (api(&alone), api(&beside));
    let (schema, known) = (Schema::of(&beside_api), Known::of(&beside_api));
    for kind in ["cursor", "id", "guid", "uid", "messageId", "conversationId", "sessionId", "seq"] {
        assert!(!known.all(kind).is_empty(), "nothing known of {kind}");
    }
    let theirs = ask(&beside_api, "{users{nodes{name}} groups{nodes{name}} messages{nodes{text}}}", all()).to_string();
    assert!(theirs.contains(MARK), "the other app has what could leak: {theirs}");

    // Every root field, the other app named.
    for it in schema.fields("Query") {
        let name = it["name"].as_str().unwrap();
        if !it["args"].as_array().unwrap().iter().any(|argument| argument["name"] == "appId") {
            assert!(
                ["node", "nodes", "apps", "status"].contains(&name),
                "{name} names no app: does it obey the token?"
            );
            continue;
        }
        for _ in 0..5 {
            let query = format!("{{{}}}", field(&schema, &known, it, 1, &mut Dice(7)).unwrap());
            let named = match query.split_once("appId:\"") {
                Some((before, after)) => format!("{before}appId:\"{THEIRS}{}", &after[after.find('"').unwrap()..]),
                None if query.starts_with(&format!("{{{name}(")) => {
                    query.replacen('(', &format!("(appId:\"{THEIRS}\","), 1)
                }
                None => query.replacen(name, &format!("{name}(appId:\"{THEIRS}\")"), 1),
            };
            let answer = ask(&beside_api, &named, bound());
            assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{named}\n{answer}");
            assert!(answer["data"].is_null() || answer["data"][name].is_null(), "{named}\n{answer}");
        }
    }

    // Every node id of the other app.
    for ids in known.all("id").chunks(100) {
        let answer = ask(&beside_api, &format!("{{nodes(ids:{}){{id}}}}", json!(ids)), bound());
        assert!(answer["data"]["nodes"].as_array().unwrap().iter().all(Value::is_null), "{answer}");
    }

    // Whatever the schema lets one ask, at random.
    let cases = std::env::var("CHATFOLD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let mut told = 0;
    for seed in 0..cases {
        let mut dice = Dice(seed);
        let roots = schema.fields("Query");
        let root = &roots[seed as usize % roots.len()];
        let query = format!("{{{}}}", field(&schema, &known, root, 3, &mut dice).unwrap());
        let (with, without) = (ask(&beside_api, &query, bound()), ask(&alone_api, &query, bound()));
        assert_eq!(with, without, "seed {seed}: {query}");
        let text = with.to_string();
        assert!(!text.contains(MARK), "seed {seed}: {query}\n{text}");
        told += usize::from(with["data"].as_object().is_some_and(|data| data.values().any(|it| !it.is_null())));
    }
    assert!(told > cases as usize / 3, "only {told} of {cases} questions were answered with anything");
}
