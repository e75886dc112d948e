//! TLS between nodes and PostgreSQL, with a real server: who is trusted, what is encrypted, and what becomes of deliveries
//! where the server is not trusted.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::ids::Time;
use chatfold::store::Delivery;
use chatfold::store::postgres::{Address, Link};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::nodes::{agree, deliver, message, ready, until};
use support::postgres::{Postgres, told};
use support::tls::Authority;
use support::{TestServer, chatfold};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// A server whose certificate names `localhost`, its authority, and a folder with the root certificate.
fn encrypted(settings: &str, access: &str) -> Option<(Postgres, Authority, TempDir)> {
    let (postgres, authority) = (Postgres::start(settings)?, Authority::named("one"));
    postgres.encrypt(&authority.sign("localhost"), access);
    let roots = tempfile::tempdir().unwrap();
    std::fs::write(roots.path().join("ca.pem"), authority.root().0).unwrap();
    Some((postgres, authority, roots))
}

/// The address of a server by this host name.
fn at(host: &str, postgres: &Postgres, more: &str) -> String {
    format!("postgres://chatfold@{host}:{}/postgres?{more}", postgres.port)
}

/// What a connection has to trust.
fn trusting(root: &Path) -> String {
    format!("sslmode=verify-full&sslrootcert={}", root.display())
}

/// Makes the tables: exit code and stderr.
fn init(address: &str) -> (i32, String) {
    let (code, _, err) = chatfold(&["log", "init", "--log", address]);
    (code, err)
}

fn deliveries(postgres: &Postgres) -> String {
    postgres.ask("SELECT count(*) FROM chatfold_deliveries")
}

#[test]
fn nodes_append_follow_and_listen_over_tls_alone() {
    // As the page says: a role with a password. Without TLS this role is not let in.
    let access = "hostssl all node all scram-sha-256\nhost all node all reject";
    let settings = "log_statement = 'all'\nlog_line_prefix = '<%p> '\npassword_encryption = 'scram-sha-256'";
    let Some((postgres, _, roots)) = encrypted(settings, access) else { return };
    postgres
        .ask("CREATE ROLE node LOGIN PASSWORD 'sesame'; GRANT pg_monitor TO node; GRANT ALL ON SCHEMA public TO node");
    let address = at("localhost", &postgres, &trusting(&roots.path().join("ca.pem"))).replace("chatfold@", "node@");
    let toml = format!("log = \"{address}\"\nlog_password = \"sesame\"");
    std::fs::write(roots.path().join("chatfold.toml"), &toml).unwrap();
    let (code, _, err) = chatfold(&["log", "init", "--config", roots.path().join("chatfold.toml").to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let nodes = [ready(TestServer::with(&toml)), ready(TestServer::with(&toml))];
    (0..10).for_each(|n| drop(deliver(&nodes[n % 2], &message(n))));
    agree(&postgres, &[&nodes[0], &nodes[1]]);
    assert_eq!(deliveries(&postgres), "10");

    // Each node has three connections: one appends, one follows, one tells that the node is there.
    let sessions =
        "SELECT string_agg(pid || ' ' || ssl, ',' ORDER BY pid) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE usename = 'node'";
    until("six sessions", || postgres.ask(sessions).split(',').count() == 6);
    let sessions = postgres.ask(sessions);
    assert!(sessions.split(',').all(|session| session.ends_with(" true")), "{sessions}");
    let log = postgres.log();
    let listening = log.lines().filter(|line| line.contains("LISTEN chatfold"));
    let listening = listening.filter_map(|line| line.split(['<', '>']).nth(1));
    let encrypted = listening.filter(|pid| sessions.split(',').any(|session| session == format!("{pid} true")));
    assert_eq!(encrypted.count(), 2, "{sessions} {log}");
    let (code, err) = init(&address.replace("verify-full", "disable").replace("&sslrootcert", "&application_name"));
    assert!(code == 1 && err.contains("no encryption"), "{err}");
}

#[test]
fn an_append_wakes_who_listens_over_tls() {
    let Some((postgres, _, roots)) = encrypted("", "") else { return };
    let address = at("localhost", &postgres, &trusting(&roots.path().join("ca.pem")));
    assert_eq!(init(&address).0, 0);
    let address = Address::parse(&address).unwrap();
    Runtime::new().unwrap().block_on(async {
        let (appends, listens) = (Link::open(&address).await.unwrap(), Link::open(&address).await.unwrap());
        assert!(listens.listen().await);
        let (app_id, body) = ("a".to_owned(), message(1).into_bytes());
        let delivery = Delivery { id: [1; 16], received_at: Time(1), app_id, webhook: None, body };
        assert_eq!(appends.append(&[&delivery]).await.unwrap(), 1);
        timeout(Duration::from_secs(60), listens.news().behind(0)).await.unwrap();
        let (_, rows) = listens.after(0, 10, 1 << 20).await.unwrap();
        assert_eq!(rows[0].body, delivery.body);
    });
}

#[test]
fn each_sslmode_does_what_the_page_says() {
    let (Some((with, _, roots)), Some(without)) = (encrypted("", ""), Postgres::start("")) else { return };
    let runtime = Runtime::new().unwrap();
    // Whether the connection is encrypted, or why there is none.
    let connect = |postgres: &Postgres, mode: &str| {
        let address = at("localhost", postgres, mode);
        let (code, err) = init(&address);
        if code != 0 {
            return Err(err);
        }
        let name = "application_name=asked";
        let separator = if mode.is_empty() { "" } else { "&" };
        let address = Address::parse(&format!("{address}{separator}{name}")).unwrap();
        let link = runtime.block_on(Link::open(&address)).unwrap();
        let ssl = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'asked'";
        let is_encrypted = postgres.ask(ssl);
        drop(link);
        until("a closed session", || postgres.ask(ssl).is_empty());
        Ok(is_encrypted == "t")
    };
    for (mode, expected) in
        [("", true), ("sslmode=prefer", true), ("sslmode=require", true), ("sslmode=disable", false)]
    {
        assert_eq!(connect(&with, mode), Ok(expected), "{mode}");
    }
    let verified = trusting(&roots.path().join("ca.pem"));
    assert_eq!(connect(&with, &verified), Ok(true));
    for mode in ["", "sslmode=prefer", "sslmode=disable"] {
        assert_eq!(connect(&without, mode), Ok(false), "{mode}");
    }
    for mode in ["sslmode=require", &verified] {
        let error = connect(&without, mode).unwrap_err();
        assert!(error.contains("server does not support TLS") && error.contains("`ssl = on`"), "{error}");
    }
}

#[test]
fn a_new_node_that_cannot_trust_the_server_does_not_start_and_says_what_to_do() {
    let Some((postgres, authority, roots)) = encrypted("", "") else { return };
    let ca = roots.path().join("ca.pem");
    assert_eq!(init(&at("localhost", &postgres, &trusting(&ca))).0, 0);
    let new = Arc::new(tempfile::tempdir().unwrap());
    let refused = |address: &str, expected: &[&str]| {
        std::fs::write(new.path().join("chatfold.toml"), format!("log = \"{address}\"")).unwrap();
        let (status, started) = TestServer::launch(Arc::clone(&new), |_| {}).err().unwrap();
        let (code, made) = init(address);
        assert!(!status.success() && code == 1, "{started}{made}");
        for words in expected {
            assert!(started.contains(words) && made.contains(words), "{words}: {started}{made}");
        }
    };
    // Another authority, and one of the same name.
    for (name, problem) in [("other", "UnknownIssuer"), ("one", "BadSignature")] {
        let other = roots.path().join("other.pem");
        std::fs::write(&other, Authority::named(name).root().0).unwrap();
        refused(&at("localhost", &postgres, &trusting(&other)), &[problem, "sslrootcert has to hold"]);
    }
    refused(&at("127.0.0.1", &postgres, &trusting(&ca)), &["\"127.0.0.1\"", "localhost", "subjectAltName"]);
    // What `openssl req -x509` makes is the certificate of an authority.
    postgres.encrypt(&authority.root(), "");
    refused(&at("localhost", &postgres, &trusting(&ca)), &["CaUsedAsEndEntity", "basicConstraints=CA:FALSE"]);
    // Nothing is in the way of a start that is right.
    postgres.encrypt(&authority.sign("localhost"), "");
    let toml = format!("log = \"{}\"", at("localhost", &postgres, &trusting(&ca)));
    let node = ready(TestServer::within(new, &toml));
    deliver(&node, &message(1));
    agree(&postgres, &[&node]);
}

#[test]
fn a_node_that_does_not_trust_the_server_any_more_keeps_deliveries_until_it_does() {
    let Some((postgres, _, roots)) = encrypted("", "") else { return };
    std::fs::write(roots.path().join("other.pem"), Authority::named("other").root().0).unwrap();
    let address = |host: &str, root: &str| at(host, &postgres, &trusting(&roots.path().join(root)));
    let good = address("localhost", "ca.pem");
    assert_eq!(init(&good).0, 0);
    let mut node = ready(TestServer::with(&format!("log = \"{good}\"")));
    deliver(&node, &message(0));
    agree(&postgres, &[&node]);
    for (n, (bad, words)) in (1..)
        .zip([(address("localhost", "other.pem"), "sslrootcert"), (address("127.0.0.1", "ca.pem"), "subjectAltName")])
    {
        let dir = node.dir();
        drop(node);
        let wrong = TestServer::within(dir, &format!("log = \"{bad}\""));
        assert_eq!(told(&wrong.deliver(message(n))), (None, "queued"));
        wrong.wait_for_log("deliveries go to the outbox");
        assert!(wrong.log().contains(words), "{words}: {}", wrong.log());
        let is_told = || !wrong.get("/readyz").json()["logTrouble"].is_null();
        until("trouble that is told", is_told);
        assert_eq!(deliveries(&postgres), n.to_string(), "nothing goes to a server that is not trusted");
        let dir = wrong.dir();
        drop(wrong);
        node = ready(TestServer::within(dir, &format!("log = \"{good}\"")));
        agree(&postgres, &[&node]);
        assert_eq!(deliveries(&postgres), (n + 1).to_string());
    }
}
