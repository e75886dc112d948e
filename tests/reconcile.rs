//! `chatfold reconcile`, and the schedule of the server, against a stand-in of CometChat's API: what an outage took is
//! read, what is known to be wrong first.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod support;
mod vendor;

use harness::Harness;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{TestServer, verified};
use vendor::app::App;
use vendor::command::{ask, assert_true};
use vendor::{Fate, KEY, Vendor};

const SCOPES: [&str; 3] = ["participant", "moderator", "admin"];

/// A little CometChat that tells of what happens by webhooks.
struct Chat {
    app: App,
    /// A random number, and the next of a fixed series.
    random: u64,
    now: i64,
    message: i64,
    people: usize,
}

impl Chat {
    /// Groups of five people, of the last days.
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        Self { app: App::default(), random: 7, now: now - 400_000, message: 100, people: 0 }
    }

    fn below(&mut self, most: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % most
    }

    fn event(trigger: &str, data: &Value) -> String {
        json!({ "trigger": trigger, "appId": "app", "region": "eu", "data": data }).to_string()
    }

    fn tick(&mut self) -> i64 {
        self.now += 120;
        self.now
    }

    fn person(&mut self) -> String {
        self.people += 1;
        let uid = format!("u{}", self.people);
        let row = json!({ "uid": uid, "name": format!("Person {}", self.people), "createdAt": self.now });
        self.app.users.insert(uid.clone(), row);
        uid
    }

    fn create(&mut self, guid: &str) -> String {
        let (at, owner) = (self.tick(), self.person());
        let row = json!({ "guid": guid, "name": format!("Group {guid}"), "type": "public", "owner": owner, "createdAt": at,
            "conversationId": format!("group_{guid}") });
        self.app.groups.insert(guid.to_owned(), row);
        self.app.join(guid, &owner, "admin", at);
        let mut group = self.app.group(guid).unwrap();
        (group["scope"], group["joinedAt"]) = (json!("admin"), json!(at));
        Self::event("group_created", &json!({ "group": group, "members": { &owner: { "uid": owner } } }))
    }

    fn group(&self, guid: &str) -> Value {
        let mut group = self.app.group(guid).unwrap();
        group["updatedAt"] = json!(self.now);
        group
    }

    fn join(&mut self, guid: &str) -> String {
        let (at, uid) = (self.tick(), self.person());
        self.app.join(guid, &uid, "participant", at);
        let member = json!({ &uid: self.app.users[&uid] });
        Self::event("group_member_joined", &json!({ "group": self.group(guid), "members": member }))
    }

    fn say(&mut self, guid: &str) -> String {
        let at = self.tick();
        self.message += 1;
        let id = self.message.to_string();
        let sender = self.app.groups[guid]["owner"].clone();
        let row = json!({ "id": id, "conversationId": format!("group_{guid}"), "sender": sender, "receiverType": "group",
            "receiver": guid, "category": "message", "type": "text", "data": { "text": format!("words {id}") },
            "sentAt": at, "updatedAt": at });
        self.app.messages.insert(self.message, row.clone());
        let mut message = row;
        message["data"]["entities"] = json!({ "receiver": { "entity": self.group(guid), "entityType": "group" } });
        Self::event("message_sent", &json!({ "message": message }))
    }

    /// Something happens to the members of a group, and nobody hears of it.
    fn change(&mut self, guid: &str) {
        let members: Vec<String> = self.app.members[guid].keys().cloned().collect();
        let owner = self.app.groups[guid]["owner"].as_str().unwrap().to_owned();
        let uid = members[self.below(members.len())].clone();
        match self.below(6) {
            _ if uid == owner => drop(self.join(guid)),
            0 | 1 => self.app.leave(guid, &uid),
            2 => {
                self.app.leave(guid, &uid);
                self.app.banned.entry(guid.to_owned()).or_default().insert(uid);
            }
            3 => {
                let scope = SCOPES[self.below(3)];
                self.app.members.get_mut(guid).unwrap().get_mut(&uid).unwrap().0 = scope.to_owned();
            }
            _ => drop(self.join(guid)),
        }
        self.tick();
    }
}

fn config(vendor: &Vendor, more: &str) -> String {
    format!("api_key = \"{KEY}\"\napi_region = \"eu\"\napi_url = \"{}\"\n{more}", vendor.url())
}

fn deliver(server: &TestServer, body: String) {
    assert_eq!(server.deliver(body).status, 200);
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the command, and gives its exit code and report.
fn reconcile(server: &TestServer) -> (i32, Value) {
    let (code, out, err) = server.run(&["reconcile", "--app", "app", "--json"]);
    assert!(!out.contains(KEY) && !err.contains(KEY), "the key is shown: {out}{err}");
    let report = lines(&out).pop();
    (code, report.unwrap_or_else(|| panic!("{err}")))
}

/// Groups that heard everything, and a chat to go on with.
fn heard(server: &TestServer, groups: usize) -> Chat {
    let mut chat = Chat::new();
    for n in 0..groups {
        let guid = format!("g{n}");
        let created = chat.create(&guid);
        deliver(server, created);
        for _ in 0..5 {
            let joined = chat.join(&guid);
            deliver(server, joined);
        }
        let said = chat.say(&guid);
        deliver(server, said);
    }
    chat
}

#[test]
fn what_happened_during_an_outage_is_right_after_a_reconcile() {
    let changes = support::number("CHATFOLD_OUTAGE_CHANGES", 120) as usize;
    let mut server = TestServer::start();
    let dir = server.dir();
    let mut chat = heard(&server, 10);
    assert!(server.sigterm().success());
    std::thread::sleep(Duration::from_millis(1_200));
    for change in 0..changes {
        // A group in which as many came as went shows no drift.
        let guid = format!("g{}", change % 9);
        chat.change(&guid);
        if change % 10 == 0 {
            chat.say(&guid);
        }
    }
    for _ in 0..3 {
        chat.join("g9");
        let uid = chat.app.members["g9"].keys().next_back().unwrap().clone();
        chat.app.leave("g9", &uid);
    }
    chat.create("new");
    chat.join("new");
    let vendor = Vendor::of(App::default(), 100);
    let server = TestServer::within(Arc::clone(&dir), &config(&vendor, ""));
    for n in 0..10 {
        let said = chat.say(&format!("g{n}"));
        deliver(&server, said);
    }
    vendor.change(|app| *app = chat.app.clone());

    let gaps = |kind: &str| {
        let (_, out, _) = server.run(&["gaps", "--json"]);
        lines(&out).into_iter().filter(|gap| gap["gap"] == kind).count()
    };
    let (code, out, err) = server.run(&["drift", "--json"]);
    let drifted: Vec<Value> =
        lines(&out).iter().map(|it| json!(format!("group:{}", it["guid"].as_str().unwrap()))).collect();
    assert!(code == 1 && drifted.len() >= 5, "{out}{err}");
    assert_eq!((gaps("NO_SERVER"), gaps("MESSAGE_IDS")), (1, 1));

    let (code, report) = reconcile(&server);
    assert_eq!(code, 0, "{report:#}");
    let (code, out, err) = server.run(&["drift"]);
    assert_eq!((code, out.as_str(), gaps("MESSAGE_IDS")), (0, "", 0), "{err}{report:#}");
    assert_true(&chat.app, &server.db());
    let by_list = [(json!("group:g9"), "members"), (json!("group:new"), "lists")];
    for (what, step) in drifted.into_iter().map(|what| (what, "drift")).chain(by_list) {
        let named = report["changes"].as_array().unwrap().iter().any(|it| it["what"] == what && it["step"] == step);
        assert!(named, "{what} in {step}: {report:#}");
    }
    assert!(report["steps"]["messages"]["new"].as_u64().unwrap() >= changes as u64 / 10, "{report:#}");
    // Each row says why: the lists that were read are among the events that explain it.
    assert!(Harness::copy_of(&server.db()).explain_all("a reconcile") > 100);
    let changed = "SELECT guid || '/' || uid FROM memberships WHERE app_id = 'app' AND state = 'absent' LIMIT 3";
    for membership in ask(&server.db(), changed) {
        let (code, out, _) = server.run(&["explain", &format!("membership:{membership}")]);
        assert!(code == 0 && out.contains("complete member list"), "{out}");
    }
    let listed = ask(&server.db(), "SELECT DISTINCT trigger FROM events WHERE trigger GLOB 'chatfold.*'");
    for trigger in ["banned_roster", "group_roster", "group_snapshot", "message_snapshot"] {
        assert!(listed.contains(&format!("chatfold.{trigger}")), "{listed:?}");
    }
    verified(&server.db());

    // Lists of one second are one.
    std::thread::sleep(Duration::from_millis(3_100));
    let (code, report) = reconcile(&server);
    assert_eq!((code, &report["changes"]), (0, &json!([])), "{report:#}");
    let (code, out, _) = server.run(&["reconcile", "--app", "app"]);
    assert!(code == 0 && out.contains("members") && out.contains("drift"), "{out}");
}

#[test]
fn a_ban_that_named_its_actor_is_read_from_the_banned_list() {
    let vendor = Vendor::of(App::default(), 100);
    let server = TestServer::with(&config(&vendor, ""));
    let mut chat = heard(&server, 2);
    let eve = chat.app.members["g1"].keys().next_back().unwrap().clone();
    chat.app.leave("g1", &eve);
    chat.app.banned.entry("g1".into()).or_default().insert(eve.clone());
    let (owner, mut group) = (chat.app.groups["g1"]["owner"].clone(), chat.group("g1"));
    // Without a number of members there is no drift.
    group.as_object_mut().unwrap().remove("membersCount");
    let (uid, by) = (owner.as_str().unwrap(), json!({ "uid": owner }));
    deliver(&server, Chat::event("group_member_banned", &json!({ "group": group, "members": { uid: by }, "by": by })));
    deliver(&server, Chat::event("user_blocked", &json!({ "user": { "uid": "u2" } })));
    vendor.change(|app| *app = chat.app.clone());
    let not_applied = || {
        let (_, out, _) = server.run(&["gaps", "--json"]);
        lines(&out).into_iter().filter(|gap| gap["gap"] == "NOT_APPLIED").count()
    };
    assert_eq!(not_applied(), 2);
    let (code, report) = reconcile(&server);
    assert_eq!((code, not_applied()), (0, 0), "{report:#}");
    assert_true(&chat.app, &server.db());
    let changes: Vec<_> = report["changes"].as_array().unwrap().iter().map(|it| (&it["what"], &it["step"])).collect();
    assert!(changes.contains(&(&json!("group:g1"), &json!("events"))), "{report:#}");
}

#[test]
fn what_is_known_to_be_wrong_is_read_first_and_a_spent_budget_ends_the_run_until_the_next() {
    let vendor = Vendor::of(App::default(), 100);
    let mut server = TestServer::with(&config(&vendor, ""));
    let dir = server.dir();
    let mut chat = heard(&server, 30);
    for guid in ["g20", "g7"] {
        chat.join(guid);
        chat.join(guid);
        let said = chat.say(guid);
        deliver(&server, said);
    }
    vendor.change(|app| *app = chat.app.clone());
    assert!(server.sigterm().success());
    let server = TestServer::within(dir, &config(&vendor, "[reconcile]\nrequests = 20"));
    let mut read: Vec<String> = Vec::new();
    for run in 0..30 {
        vendor.asked();
        let (code, report) = reconcile(&server);
        assert_eq!(code, 0, "{report:#}");
        let asked = vendor.asked();
        // What was begun is ended.
        assert!(asked.len() <= 23, "{asked:#?}");
        if run == 0 {
            let begin: Vec<&str> = asked.iter().map(|it| it.split('?').next().unwrap()).take(8).collect();
            let group = |guid: &str| ["", "/bannedusers", "/members"].map(|list| format!("/v3/groups/{guid}{list}"));
            let lists = ["/v3/messages".to_owned(), "/v3/groups".to_owned()];
            assert_eq!(begin, [group("g20").as_slice(), &group("g7"), &lists].concat(), "{asked:#?}");
        }
        let members = asked.iter().filter_map(|it| it.strip_prefix("/v3/groups/")?.split_once("/members"));
        let members: Vec<String> = members.map(|(guid, _)| guid.to_owned()).collect();
        let again = members.iter().filter(|guid| read.contains(guid)).count();
        assert_eq!(again, 0, "run {run} read again what others wait for: {asked:#?}");
        read.extend(members);
        if read.len() == 30 {
            break;
        }
        assert!(report["groupsLeft"].as_u64().unwrap() > 0, "{report:#}");
    }
    assert_eq!(read.len(), 30, "{read:?}");
    assert_true(&chat.app, &server.db());
}

#[test]
fn ids_that_cometchat_has_no_message_for_are_asked_for_once() {
    let vendor = Vendor::of(App::default(), 100);
    let server = TestServer::with(&config(&vendor, ""));
    let mut chat = heard(&server, 2);
    chat.message += 1_000;
    let said = chat.say("g0");
    deliver(&server, said);
    chat.app.messages.remove(&101);
    vendor.change(|app| *app = chat.app.clone());
    let messages = || vendor.asked().into_iter().filter(|it| it.starts_with("/v3/messages?")).count();
    reconcile(&server);
    assert_eq!(messages(), 2, "the hole, and what came after the newest message");
    reconcile(&server);
    assert_eq!(messages(), 1);
    let (_, out, _) = server.run(&["gaps", "--json"]);
    assert!(!out.contains("MESSAGE_IDS"), "{out}");
}

fn metric(server: &TestServer, name: &str) -> Option<u64> {
    let page = server.get("/metrics").body;
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_server_with_a_key_reconciles_on_a_schedule_and_says_how_it_went() {
    let vendor = Vendor::of(App::default(), 100);
    let mut server = TestServer::start();
    let dir = server.dir();
    let mut chat = heard(&server, 3);
    assert_eq!(metric(&server, "chatfold_reconciles_total{app=\"app\",result=\"done\"}"), None);
    chat.join("g1");
    vendor.change(|app| *app = chat.app.clone());
    assert!(server.sigterm().success());

    vendor.fate(|_, _, _| Fate::Refused(401, "AUTH_ERR_APIKEY_NOT_FOUND"));
    let toml = config(&vendor, "api_app = \"app\"\n[reconcile]\nevery = \"1m\"");
    let mut server = TestServer::within(Arc::clone(&dir), &toml);
    let done = |server: &TestServer, result: &str| {
        metric(server, &format!("chatfold_reconciles_total{{app=\"app\",result=\"{result}\"}}"))
    };
    wait_for("a run that fails", || done(&server, "failed") == Some(1));
    assert!(server.get("/").body.contains("The newest reconcile failed"), "{}", server.get("/").body);
    assert!(server.log().contains("does not accept the API key") && !server.log().contains(KEY), "{}", server.log());
    assert!(server.sigterm().success());
    assert_eq!(done(&TestServer::within(Arc::clone(&dir), &toml), "done"), Some(0), "a run that failed is not due yet");

    vendor.fate(|_, _, _| Fate::Answered);
    let conn = rusqlite::Connection::open(dir.path().join("chatfold.db")).unwrap();
    conn.execute("UPDATE reconciles SET ended_at = ended_at - 60000", []).unwrap();
    drop(conn);
    let server = TestServer::within(dir, &toml);
    wait_for("a run that is done", || done(&server, "done") == Some(1));
    assert!(metric(&server, "chatfold_reconcile_requests_total{app=\"app\"}") >= Some(9));
    assert!(metric(&server, "chatfold_reconcile_changes_total{app=\"app\"}") >= Some(1));
    assert_eq!(metric(&server, "chatfold_reconcile_groups_left{app=\"app\"}"), Some(0));
    assert_true(&chat.app, &server.db());
    let query = json!({ "query": "{apps{reconcile{beganAt endedAt requests entities changes unreachable error}}}" });
    let answer = server.post("/graphql", &[support::JSON], query.to_string()).json();
    let told = &answer["data"]["apps"][0]["reconcile"];
    assert_eq!((&told["unreachable"], &told["error"]), (&json!("0"), &Value::Null), "{answer}");
    assert!(server.get("/").body.contains("The newest reconcile ended"), "{}", server.get("/").body);
}

#[test]
fn a_run_that_cannot_begin_is_not_tried_again_at_once() {
    let vendor = Vendor::of(App::default(), 100);
    // No delivery has told the region of the app, and no setting does.
    let toml = format!("api_app = \"app\"\napi_key = \"{KEY}\"\napi_url = \"{}\"\n", vendor.url());
    let server = TestServer::with(&toml);
    let failed = || metric(&server, "chatfold_reconciles_total{app=\"app\",result=\"failed\"}");
    wait_for("a run that fails", || failed() >= Some(1));
    assert!(server.log().contains("Set api_region"), "{}", server.log());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(failed(), Some(1));
}

#[test]
fn a_person_who_is_erased_is_not_in_what_reconciles_keep() {
    let vendor = Vendor::of(App::default(), 100);
    let mut server = TestServer::with(&config(&vendor, ""));
    let chat = heard(&server, 1);
    vendor.change(|app| *app = chat.app.clone());
    reconcile(&server);
    let kept = "SELECT key FROM verified WHERE key = 'u3'";
    assert_eq!(ask(&server.db(), kept), ["u3"]);
    assert!(server.sigterm().success());
    let (code, _, err) = server.run(&["erase-user", "--uid", "u3"]);
    assert_eq!(code, 0, "{err}");
    assert!(ask(&server.db(), kept).is_empty());
}
