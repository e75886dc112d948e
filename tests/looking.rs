//! What the console shows, asked of the API: traffic, periods, events about an entity, explanations.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use chatfold::clock;
use chatfold::graphql::{Caller, Limits};
use chatfold::ids::TokenScope;
use harness::{Harness, NOON};
use serde_json::{Value, json};

const APP: &str = "app";

fn member(trigger: &str, second: i64, uid: &str) -> String {
    let data = json!({
        "members": { (uid): { "uid": uid, "name": uid } },
        "group": { "guid": "g", "name": "Group", "updatedAt": NOON / 1000 + second },
    });
    json!({ "trigger": trigger, "appId": APP, "webhook": "w", "region": "eu", "data": data }).to_string()
}

fn ask_as(harness: &Harness, query: &str, scope: TokenScope) -> Value {
    harness.answer(query, Limits::default(), Caller { scope, ..Caller::default() })
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("fixtures/triggers/{name}.json")).unwrap()
}

#[test]
fn periods_are_what_as_of_answers_within_them() {
    let harness = Harness::new();
    for name in ["group_created", "group_member_joined", "group_member_scope_changed", "group_member_kicked"] {
        harness.post(&fixture(name), NOON);
    }
    let groups = harness.data(
        "{groups(first:5){nodes{guid members(first:20,filter:{states:[JOINED,LEFT,KICKED,BANNED,UNBANNED,ABSENT]}){nodes{uid periods{state scope from until seq}}}}}}",
    );
    let mut checked = 0;
    for group in groups["groups"]["nodes"].as_array().unwrap() {
        let guid = &group["guid"];
        for member in group["members"]["nodes"].as_array().unwrap() {
            let periods = member["periods"].as_array().unwrap();
            assert!(!periods.is_empty(), "{member}");
            for (at, period) in periods.iter().enumerate() {
                let from = &period["from"];
                let then = harness.data(&format!(
                    "{{group(guid:{guid}){{member(uid:{},asOf:{from}){{state scope}}}}}}",
                    member["uid"]
                ));
                let then = &then["group"]["member"];
                assert_eq!((&then["state"], &then["scope"]), (&period["state"], &period["scope"]), "{member}");
                let next = periods.get(at + 1).map_or(&Value::Null, |next| &next["from"]);
                assert_eq!(next, &period["until"], "{member}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 4, "only {checked} periods");
}

#[test]
fn changes_of_members_are_found_before_and_after_an_instant() {
    let harness = Harness::new();
    for (second, trigger) in [(10, "group_member_joined"), (20, "group_member_left"), (30, "group_member_joined")] {
        harness.post(&member(trigger, second, "ann"), NOON + second * 1000);
    }
    let at = |second: i64| chatfold::ids::Time(NOON + second * 1000).rfc3339();
    let changes = |arguments: String| {
        let found = harness.data(&format!("{{group(guid:\"g\"){{membershipChanges({arguments}){{nodes{{at}}}}}}}}"));
        let nodes = found["group"]["membershipChanges"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["at"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(changes(format!("first:1,changedBefore:\"{}\"", at(20))), [at(10)]);
    assert_eq!(changes(format!("last:1,changedAfter:\"{}\"", at(20))), [at(20)]);
    assert_eq!(changes(format!("uid:\"ann\",changedAfter:\"{}\",changedBefore:\"{}\"", at(11), at(30))), [at(20)]);
}

#[test]
fn an_event_names_its_entities_and_they_name_their_events() {
    let harness = Harness::new();
    harness.post(&member("group_member_joined", 10, "ann"), NOON);
    harness.post(&member("group_member_joined", 11, "bob"), NOON);
    harness.post(&member("group_member_left", 12, "ann"), NOON);
    let event = harness.data("{event(seq:1){entities{name node{id} events{nodes{seq}}}}}");
    let entities = event["event"]["entities"].as_array().unwrap();
    let events = |name: &str| {
        let entity = entities.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}: {event}"));
        assert!(entity["node"]["id"].is_string(), "{entity}");
        let nodes = entity["events"]["nodes"].as_array().unwrap();
        nodes.iter().map(|it| it["seq"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events("membership:g/ann"), ["3", "1"]);
    assert_eq!(events("group:g"), ["3", "2", "1"]);
    let about = |id: &str| {
        let found = harness.data(&format!("{{events(filter:{{about:\"{id}\"}}){{nodes{{seq}} totalCount}}}}"));
        found["events"]["totalCount"].as_i64().unwrap()
    };
    assert_eq!(
        [about("g"), about("ann"), about("user:bob"), about("membership:g/bob"), about("nobody")],
        [3, 2, 1, 1, 0]
    );
}

#[test]
fn bodies_are_searched_for_admins_only() {
    let harness = Harness::new();
    harness.post(&member("group_member_joined", 10, "ann"), NOON);
    harness.post(&member("group_member_joined", 11, "bob"), NOON);
    let query = "{events(filter:{bodyContains:\"\\\"bob\\\"\"}){nodes{seq}}}";
    assert_eq!(harness.data(query)["events"]["nodes"], json!([{ "seq": "2" }]));
    for scope in [TokenScope::Metadata, TokenScope::Content] {
        assert_eq!(ask_as(&harness, query, scope)["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}

#[test]
fn a_secret_is_not_found_by_what_it_says() {
    let harness = Harness::new();
    let body = |n: u32| {
        json!({ "trigger": "campaign_sent", "appId": APP, "data": { "n": n, "wsChannel": { "secret": "s3cr3t" }, "metadata": { "@private": { "email": "ann@example.com" }, "shown": "x" } } }).to_string()
    };
    harness.post(&body(1), NOON);
    let found = |text: &str| {
        let found =
            harness.data(&format!("{{events(filter:{{bodyContains:\"{text}\"}}){{totalCount nodes{{body}}}}}}"));
        found["events"]["totalCount"].as_i64().unwrap()
    };
    assert_eq!([found("campaign_sent"), found("shown")], [1, 1]);
    assert_eq!([found("s3cr3t"), found("ann@example"), found("@private")], [0, 0, 0]);
}

#[test]
fn traffic_counts_deliveries_and_tells_the_newest_of_each_trigger() {
    let harness = Harness::new();
    let now = clock::now().0;
    let join = member("group_member_joined", 10, "ann");
    harness.post(&join, now - 2 * 3_600_000);
    harness.post(&join, now);
    harness.post(r#"{"trigger":"campaign_sent","appId":"app","data":{}}"#, now);
    let found = harness.data(
        "{apps{traffic(step:HOUR,last:3){at deliveriesCount outcomes{applied duplicate ignored}} triggers(hours:1){trigger deliveriesCount lastAt}}}",
    );
    let traffic = found["apps"][0]["traffic"].as_array().unwrap();
    let counts: Vec<i64> = traffic.iter().map(|it| it["deliveriesCount"].as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 0, 2], "{traffic:?}");
    assert_eq!(traffic[2]["outcomes"], json!({ "applied": 0, "duplicate": 1, "ignored": 1 }));
    let triggers = found["apps"][0]["triggers"].as_array().unwrap();
    assert_eq!(triggers.len(), 2, "{triggers:?}");
    assert_eq!((&triggers[0]["trigger"], &triggers[0]["deliveriesCount"]), (&json!("campaign_sent"), &json!(1)));
    assert_eq!(triggers[1]["lastAt"], chatfold::ids::Time(now - 2 * 3_600_000).rfc3339());
    let answer = ask_as(&harness, "{apps{traffic(last:0){at}}}", TokenScope::Admin);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
}

#[test]
fn an_explanation_tells_what_stood_before() {
    let harness = Harness::new();
    for (second, name) in [(1, "One"), (2, "Two")] {
        let data = json!({ "group": { "guid": "g", "name": name, "updatedAt": NOON / 1000 + second }, "sentAt": NOON / 1000 + second });
        harness.post(&json!({ "trigger": "group_updated", "appId": APP, "data": data }).to_string(), NOON);
    }
    let found = harness.data("{explain(entity:\"group:g\")}");
    assert_eq!(found["explain"]["agrees"], true, "{found}");
    let effects = found["explain"]["deliveries"][1]["effects"].as_array().unwrap();
    let name = effects.iter().find(|it| it["register"] == "name").unwrap();
    assert_eq!((&name["before"], &name["value"], &name["won"]), (&json!("One"), &json!("Two"), &json!(true)));
    assert_eq!(harness.data("{explain(entity:\"group:nothing\")}"), json!({ "explain": null }));
    let answer = ask_as(&harness, "{explain(entity:\"room:7\")}", TokenScope::Admin);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_INPUT");
    // It tells what the log says, of what is deleted too.
    for scope in [TokenScope::Metadata, TokenScope::Content] {
        for query in ["{explain(entity:\"group:g\")}", "{event(seq:1){entities(first:1){explanation}}}"] {
            let answer = ask_as(&harness, query, scope);
            assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{query}");
        }
    }
}

#[test]
fn an_entity_of_an_event_is_explained_from_its_own_events() {
    let harness = Harness::new();
    for (second, uid) in [(1, "ann"), (2, "bob"), (3, "ann")] {
        harness.post(&member("group_member_joined", second, uid), NOON);
    }
    let found = harness.data("{event(seq:3){entities(first:1){name explanation(seq:\"3\")}}}");
    let entities = found["event"]["entities"].as_array().unwrap();
    assert_eq!(entities.len(), 1, "{found}");
    let deliveries = entities[0]["explanation"]["deliveries"].as_array().unwrap();
    assert_eq!((deliveries.len(), &deliveries[0]["seq"]), (1, &json!(3)));
    let whole = harness.data("{event(seq:3){entities(first:1){name explanation}}}");
    let whole = &whole["event"]["entities"][0];
    let asked = harness.data(&format!("{{explain(entity:{})}}", whole["name"]));
    assert_eq!(whole["explanation"], asked["explain"]);
    let code = |query: &str, scope| ask_as(&harness, query, scope)["errors"][0]["extensions"]["code"].clone();
    assert_eq!(code("{event(seq:3){entities(first:1){explanation}}}", TokenScope::Metadata), "FORBIDDEN");
    assert_eq!(code("{event(seq:3){entities(first:201){name}}}", TokenScope::Admin), "BAD_INPUT");
    // Each explanation is paid for.
    assert_eq!(code("{event(seq:3){entities{explanation}}}", TokenScope::Admin), "TOO_COMPLEX");
}

#[test]
fn events_before_and_behind_a_position_are_its_neighbours() {
    let harness = Harness::new();
    for second in 1..6 {
        harness.post(&member("group_member_joined", second, "ann"), NOON);
    }
    let seqs = |arguments: &str| {
        let found = harness.data(&format!("{{events({arguments}){{nodes{{seq}} pageInfo{{endCursor}}}}}}"));
        let nodes = found["events"]["nodes"].as_array().unwrap().clone();
        let seqs: Vec<String> = nodes.iter().map(|it| it["seq"].as_str().unwrap().to_owned()).collect();
        (seqs, found["events"]["pageInfo"]["endCursor"].to_string())
    };
    assert_eq!(seqs("filter:{beforeSeq:3},first:1").0, ["2"]);
    assert_eq!(seqs("filter:{afterSeq:3},last:1").0, ["4"]);
    let (page, cursor) = seqs("filter:{beforeSeq:5},first:2");
    assert_eq!(page, ["4", "3"]);
    assert_eq!(seqs(&format!("filter:{{beforeSeq:5}},first:9,after:{cursor}")).0, ["2", "1"]);
    assert_eq!(seqs("filter:{beforeSeq:5,afterSeq:1,about:\"ann\"},last:2").0, ["3", "2"]);
    assert_eq!(seqs("filter:{beforeSeq:1}").0, Vec::<String>::new());
}

#[test]
fn events_about_a_membership_are_found_by_the_name_the_log_gives() {
    let harness = Harness::new();
    let body = member("group_member_joined", 1, "ann%/b").replace("\"guid\":\"g\"", "\"guid\":\"g/1\"");
    harness.post(&body, NOON);
    let event = harness.data("{event(seq:1){entities{name}}}");
    let names: Vec<String> =
        event["event"]["entities"].as_array().unwrap().iter().map(|it| it["name"].to_string()).collect();
    assert!(names.contains(&"\"membership:g%2F1/ann%25%2Fb\"".to_owned()), "{names:?}");
    for name in names {
        let found = harness.data(&format!("{{events(filter:{{about:{name}}}){{totalCount}} explain(entity:{name})}}"));
        assert_eq!(found["events"]["totalCount"], 1, "{name}");
        assert_eq!(found["explain"]["agrees"], true, "{name}");
    }
}

#[test]
fn calls_of_a_group_are_found() {
    let harness = Harness::new();
    for (id, kind, receiver) in [("1", "group", "g"), ("2", "group", "other"), ("3", "user", "g")] {
        let call = json!({
            "id": id, "conversationId": "c", "sender": "ann", "receiverType": kind, "receiver": receiver, "category": "call",
            "type": "audio", "sentAt": NOON / 1000,
            "data": { "action": "initiated", "entities": { "on": { "entity": { "sessionid": format!("s{id}"), "status": "initiated",
                "type": "audio", "initiator": "ann", "receiver": receiver, "receiverType": kind, "initiatedAt": NOON / 1000 }, "entityType": "call" } } },
        });
        harness.post(&json!({ "trigger": "call_initiated", "appId": APP, "data": { "call": call } }).to_string(), NOON);
    }
    let found = harness.data("{callSessions{nodes{sessionId}} of:callSessions(filter:{guid:\"g\"}){nodes{sessionId}}}");
    assert_eq!(found["callSessions"]["nodes"].as_array().unwrap().len(), 3, "{found}");
    assert_eq!(found["of"]["nodes"], json!([{ "sessionId": "s1" }]));
}

#[test]
fn thousands_of_dead_letters_keep_nothing_from_being_explained() {
    let harness = Harness::new();
    harness.post(&member("group_member_joined", 1, "ann"), NOON);
    for n in 0..2_100 {
        harness.post(&json!({ "trigger": "group_created", "appId": APP, "data": { "n": n } }).to_string(), NOON);
    }
    let data = json!({ "group": { "name": "no guid" }, "members": { "ann": { "uid": "ann" } } });
    harness.post(&json!({ "trigger": "group_member_left", "appId": APP, "data": data }).to_string(), NOON);
    let found = harness.data("{explain(entity:\"user:ann\") event(seq:1){entities(first:1){explanation}}}");
    assert_eq!(found["explain"]["agrees"], true, "{found}");
    let deliveries = found["explain"]["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.last().unwrap()["outcome"], "rejected", "the newest are looked at");
    assert!(found["explain"]["notes"].to_string().contains("the newest 2000 dead letters"), "{found}");
    assert_eq!(found["event"]["entities"][0]["explanation"]["agrees"], true, "{found}");
}
