//! Private data is shown to tokens of the scope admin, where a setting names its keys, and nowhere else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::{JSON, TestServer};

const APP: &str = "vault";
/// What only `User.private` may show.
const SHOWN: &str = "kanarie@example.com";
/// What nothing may show.
const HIDDEN: &str = "kanarie-iban";
const SETTING: &str = "[privacy]\nshow_private = [\"email\"]";

fn delivery(id: u32, metadata: &Value) -> String {
    let ann = json!({ "uid": "ann", "name": "Ann", "metadata": metadata });
    json!({ "trigger": "message_sent", "appId": APP, "data": { "message": { "id": id.to_string(), "sender": "ann",
        "receiverType": "user", "receiver": "bob", "category": "message", "type": "text", "sentAt": 1_767_614_400 + id,
        "data": { "text": "hi", "entities": { "sender": { "entity": ann, "entityType": "user" } } } } } })
    .to_string()
}

/// A server that heard of Ann's address, and then of another one.
fn server(toml: &str) -> TestServer {
    let server = TestServer::with(toml);
    for (id, email) in [(1, "old@example.com"), (2, SHOWN)] {
        let metadata = json!({ "team": "dive", "@private": { "email": email, "iban": HIDDEN, "more": [HIDDEN] } });
        assert_eq!(server.deliver(delivery(id, &metadata)).status, 200);
    }
    server
}

fn token(server: &TestServer, scope: &str) -> String {
    let (code, out, err) = server.run(&["token", "create", "--name", scope, "--scope", scope]);
    assert_eq!(code, 0, "{err}");
    out.trim().to_owned()
}

fn ask(server: &TestServer, token: &str, query: &str) -> Value {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    server.post("/graphql", &headers, json!({ "query": query }).to_string()).json()
}

const PRIVATE: &str = "{ user(uid: \"ann\") { uid private } }";

#[test]
fn private_keys_are_shown_to_admins_alone_and_only_those_that_the_setting_names() {
    let server = server(SETTING);
    let admin = token(&server, "admin");
    assert_eq!(ask(&server, &admin, PRIVATE)["data"]["user"]["private"], json!({ "email": SHOWN }));
    let many = ask(&server, &admin, "{ users { nodes { uid private } } }");
    let expected = json!([{ "uid": "ann", "private": { "email": SHOWN } }, { "uid": "bob", "private": null }]);
    assert_eq!(many["data"]["users"]["nodes"], expected);
    for scope in ["content", "metadata"] {
        let token = token(&server, scope);
        let answer = ask(&server, &token, PRIVATE);
        assert_eq!(answer["data"]["user"]["private"], Value::Null, "{scope}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{scope}");
        assert!(!answer.to_string().contains("kanarie"), "{scope}: {answer}");
    }
    // No other door shows them, to admins neither.
    let all =
        "{ user(uid: \"ann\") { metadata } messages { nodes { data sender { metadata } } } events { nodes { body } } }";
    let mut said = ask(&server, &admin, all).to_string();
    let bearer = format!("Bearer {admin}");
    for page in ["/user?uid=ann", "/users", "/events", "/event?seq=2", "/message?messageId=2"] {
        said += &server.request("GET", page, &[("Authorization", bearer.as_str())], b"").body;
    }
    for args in [
        &["events", "--json"][..],
        &["explain", "user:ann", "--json"],
        &["export-user", "--uid", "ann"],
        &["export", "--view", "v_events"],
        &["export", "--view", "v_users"],
    ] {
        let (code, out, err) = server.run(args);
        assert_eq!(code, 0, "{args:?}: {err}");
        said += &(out + &err);
    }
    assert!(said.contains("dive") && !said.contains("kanarie"), "{said}");
    assert!(!server.log().contains("kanarie"));
}

#[test]
fn without_the_setting_nobody_sees_private_data() {
    let server = server("");
    let admin = token(&server, "admin");
    let answer = ask(&server, &admin, PRIVATE);
    assert_eq!(answer["data"]["user"], json!({ "uid": "ann", "private": null }), "{answer}");
}

#[test]
fn an_erased_person_has_no_private_data() {
    let mut server = server(SETTING);
    let admin = token(&server, "admin");
    assert!(server.sigterm().success());
    let (code, out, err) = server.run(&["erase-user", "--uid", "ann", "--json"]);
    assert_eq!(code, 0, "{err}");
    let erased: Value = serde_json::from_str(&out).unwrap();
    let server = TestServer::within(server.dir(), SETTING);
    let query = format!("{{ user(uid: {}) {{ uid private }} }}", erased["pseudonym"]);
    let answer = ask(&server, &admin, &query);
    assert_eq!(answer["data"]["user"], json!({ "uid": erased["pseudonym"], "private": null }), "{answer}");
    assert!(!answer.to_string().contains("kanarie"));
}
