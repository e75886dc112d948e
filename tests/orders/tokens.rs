//! Tokens of several nodes.

use super::{agree, ask, caught_up, deliver, killed, log, message, node, until, within};
use crate::support::{TestServer, chatfold};

const TOKENS: &str =
    "SELECT group_concat(id || ' ' || name || ' ' || hex(hash) || ' ' || scope || ' ' || coalesce(apps, '') || ' '
    || created_at || ' ' || coalesce(revoked_at, ''), char(10)) FROM (SELECT * FROM tokens ORDER BY id)";

fn create(node: &TestServer, name: &str) -> (i32, String, String) {
    node.run(&["token", "create", "--name", name, "--scope", "admin", "--app", "a"])
}

fn status(node: &TestServer, token: &str) -> u16 {
    let bearer = format!("Bearer {}", token.trim());
    node.request("GET", "/metrics", &[("Authorization", &bearer)], b"").status
}

#[test]
fn a_token_made_or_revoked_on_one_node_is_so_on_every_node() {
    let Some(postgres) = log() else { return };
    let (one, two, three) = (node(&postgres), node(&postgres), node(&postgres));
    deliver(&one, &message(1));
    let (code, secret, err) = create(&one, "ci");
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("this is token 1 (ci)") && err.contains("every other node"), "{err}");
    for node in [&one, &two, &three] {
        until("node that takes the token", || status(node, &secret) == 200);
        assert_eq!(node.get("/metrics").status, 401, "every reader needs one now");
    }
    // PostgreSQL holds a hash, and no token.
    let bodies = "SELECT string_agg(encode(body, 'escape'), ' ') FROM chatfold_deliveries";
    assert!(!postgres.ask(bodies).contains(secret.trim()));
    // The name is taken on every node.
    let (code, out, err) = create(&two, "ci");
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("already a token with the name"), "{err}");
    assert_eq!(create(&two, "other").0, 0);

    // Of a node without a server, too.
    let dir = killed(three);
    let db = dir.path().join("chatfold.db");
    let log = postgres.address();
    let of_three = |args: &[&str]| chatfold(&[args, &["--db", db.to_str().unwrap(), "--log", &log]].concat());
    let (code, _, err) = of_three(&["token", "revoke", "ci"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("this node has not read the log so far"), "{err}");
    let (code, later, err) = of_three(&["token", "create", "--name", "later"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("this is token (later)"), "{err}");
    assert_eq!(of_three(&["token", "create", "--name", "later"]).0, 1, "its own file does not know the name yet");
    for node in [&one, &two] {
        until("node that refuses the token", || status(node, &secret) == 401);
        until("node that takes the next one", || status(node, &later) == 200);
    }
    let three = within(dir, &postgres);
    // Until it is connected it knows what it knew before.
    caught_up(&postgres, &[&three]);
    assert_eq!((status(&three, &secret), status(&three, &later)), (401, 200));
    agree(&postgres, &[&one, &two, &three]);
    let tokens = ask(&one.db(), TOKENS);
    assert_eq!(tokens.lines().count(), 3, "{tokens}");
    for node in [&two, &three] {
        assert_eq!(ask(&node.db(), TOKENS), tokens, "ids too");
    }
    // A token is made once, however often a node begins again.
    let three = within(killed(three), &postgres);
    assert_eq!(ask(&three.db(), TOKENS), tokens);
}

#[test]
fn the_last_use_of_a_token_is_the_nodes_own() {
    let Some(postgres) = log() else { return };
    let (one, two) = (node(&postgres), node(&postgres));
    let (_, secret, _) = create(&one, "ci");
    caught_up(&postgres, &[&one, &two]);
    assert_eq!(status(&one, &secret), 200);
    let used = "SELECT CAST(count(last_used_at) AS TEXT) FROM tokens";
    until("note of the use", || ask(&one.db(), used) == "1");
    assert_eq!(ask(&two.db(), used), "0");
}

#[test]
fn while_postgresql_is_away_a_token_is_neither_made_nor_revoked_and_the_command_says_so() {
    let Some(mut postgres) = log() else { return };
    let one = node(&postgres);
    let (_, secret, _) = create(&one, "ci");
    postgres.stop();
    for args in [&["token", "create", "--name", "x"][..], &["token", "revoke", "ci"]] {
        let (code, out, err) = one.run(args);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("Nothing was done, on no node"), "{err}");
    }
    assert_eq!(status(&one, &secret), 200);
    postgres.serve();
    let (code, _, err) = one.run(&["token", "revoke", "ci"]);
    assert_eq!(code, 0, "{err}");
    until("node that refuses the token", || status(&one, &secret) == 401);
    assert_eq!(ask(&one.db(), "SELECT group_concat(name) FROM tokens"), "ci");
    // Without the address of the log nothing is written into the file past the log.
    let db = one.db();
    let (code, _, err) = chatfold(&["token", "create", "--name", "x", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("is the file of a node") && err.contains("--log"), "{err}");
}
