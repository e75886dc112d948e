//! The server's own TLS, with real clients.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::tls::{Pair, rest};
use support::{JSON, TestServer, WEBHOOK, basic, chatfold, raw};
use tempfile::TempDir;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

const FILES: &str = "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n";
const BODY: &str = include_str!("../fixtures/triggers/message_sent.json");

fn server(pair: &Pair, more: &str) -> TestServer {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    pair.write(dir.path());
    TestServer::within(dir, &format!("{FILES}{more}"))
}

fn folder(pair: &Pair) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    pair.write(dir.path());
    dir
}

/// Whether a client that trusts only this certificate gets an answer.
fn serves(server: &TestServer, pair: &Pair) -> bool {
    let Ok(mut stream) = pair.connect(server.address) else { return false };
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    rest(stream).starts_with(b"HTTP/1.1 200 ")
}

fn wait_until(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn deliveries_queries_pages_and_subscriptions_go_over_tls() {
    let pair = Pair::default();
    let server = server(&pair, "webhook_username = \"vendor\"\nwebhook_password = \"sesame\"");
    let good = basic("vendor:sesame");
    let answer = pair.request(&server, "POST", WEBHOOK, &[JSON, ("Authorization", &good)], BODY.as_bytes());
    assert_eq!((answer.status, answer.header("chatfold-outcome")), (200, Some("applied")));
    let token = support::pages::token(&server, &["--name", "me"]);
    let bearer = format!("Bearer {token}");
    let authorized = ("Authorization", bearer.as_str());
    let answer = pair.request(&server, "POST", "/graphql", &[JSON, authorized], br#"{"query":"{apps{appId}}"}"#);
    assert_eq!(answer.json()["data"]["apps"][0]["appId"], "2489f0demo01");
    let page = pair.request(&server, "GET", "/graphql", &[("Accept", "text/html")], b"");
    assert!(page.status == 200 && page.body.contains("GraphiQL"), "{page:?}");

    // Server-Sent Events.
    let mut stream = pair.connect(server.address).unwrap();
    let head = "GET /changes?afterSeq=0 HTTP/1.1\r\nHost: localhost";
    write!(stream, "{head}\r\nAuthorization: {bearer}\r\n\r\n").unwrap();
    let heard = BufReader::new(stream).lines().map_while(Result::ok).any(|line| line.contains("\"seq\":\"1\""));
    assert!(heard, "the change is told");

    // A websocket.
    let mut request = "wss://localhost/graphql".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
    let (mut socket, _) = tungstenite::client(request, pair.connect(server.address).unwrap()).unwrap();
    let say = |socket: &mut WebSocket<_>, it: serde_json::Value| socket.send(Message::text(it.to_string())).unwrap();
    say(&mut socket, json!({"type": "connection_init", "payload": {"authorization": bearer}}));
    assert!(socket.read().unwrap().into_text().unwrap().contains("connection_ack"));
    let query = "subscription{changes(afterSeq:\"0\"){seq}}";
    say(&mut socket, json!({"id": "1", "type": "subscribe", "payload": {"query": query}}));
    assert!(socket.read().unwrap().into_text().unwrap().contains("\"seq\":\"1\""));
}

#[test]
fn the_cookie_of_the_console_is_for_tls_only_and_so_is_the_form() {
    let pair = Pair::default();
    let server = server(&pair, "");
    let token = support::pages::token(&server, &["--name", "me"]);
    let form = format!("token={token}&next=/groups");
    let own = format!("https://localhost:{}", server.address.port());
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let signed = pair.request(&server, "POST", "/sign-in", &[kind, ("Origin", &own)], form.as_bytes());
    let set = signed.header("set-cookie").unwrap_or_else(|| panic!("{signed:?}"));
    assert!(set.starts_with("__Host-") && set.contains("; Secure"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let page = pair.request(&server, "GET", "/groups", &[("Cookie", cookie)], b"");
    assert!(page.status == 200 && page.body.contains("Sign out"), "{page:?}");
    let asked = pair.request(
        &server,
        "POST",
        "/graphql",
        &[JSON, ("Cookie", cookie), ("Origin", &own)],
        br#"{"query":"{apps{appId}}"}"#,
    );
    assert_eq!(asked.status, 200, "GraphiQL asks with the session: {asked:?}");
    let plain = own.replace("https", "http");
    let refused = pair.request(&server, "POST", "/sign-in", &[kind, ("Origin", &plain)], form.as_bytes());
    assert!(refused.problem(403).contains("another origin"), "a page that came without TLS");
}

#[test]
fn local_requests_over_tls_need_no_secret_and_proxied_ones_are_refused() {
    let pair = Pair::default();
    let server = server(&pair, "");
    let answer = pair.request(&server, "GET", "/metrics", &[], b"");
    assert!(answer.body.contains("\nchatfold_certificate_expires_seconds 32503593600\n"), "{}", answer.body);
    pair.request(&server, "GET", "/metrics", &[("X-Forwarded-For", "127.0.0.1")], b"").problem(403);
}

#[test]
fn a_new_certificate_is_served_after_sighup_and_clients_of_the_old_one_refuse_it() {
    let (old, new) = (Pair::default(), Pair::ends(2998, 1, 1));
    let server = server(&old, "");
    assert!(serves(&server, &old) && !serves(&server, &new));
    new.write(server.dir().path());
    server.signal("HUP");
    server.wait_for_log("serving the new certificate");
    assert!(serves(&server, &new) && !serves(&server, &old));
}

#[test]
fn changed_files_are_served_without_a_signal() {
    let (old, new) = (Pair::default(), Pair::default());
    let server = server(&old, "");
    assert!(serves(&server, &old));
    new.write(server.dir().path());
    wait_until("the files are looked at about once a minute", 150, || serves(&server, &new));
}

#[test]
fn a_pair_that_does_not_fit_changes_nothing_and_is_told_once() {
    let (old, new) = (Pair::default(), Pair::default());
    let server = server(&old, "");
    let problem = "the new certificate is not used, the old one stays: tls_key key.pem does not fit";
    std::fs::write(server.dir().path().join("chain.pem"), &new.certificate).unwrap();
    server.signal("HUP");
    server.wait_for_log(problem);
    assert!(serves(&server, &old));
    std::fs::write(server.dir().path().join("key.pem"), "-----BEGIN").unwrap();
    server.signal("HUP");
    server.wait_for_log("tls_key key.pem holds no key in PEM");
    std::fs::remove_file(server.dir().path().join("key.pem")).unwrap();
    server.signal("HUP");
    server.wait_for_log("reading tls_key key.pem: No such file");
    server.signal("HUP");
    wait_until("the fourth look", 30, || server.log().matches("read the webhook credentials again").count() == 4);
    // The certificate is read on a thread of its own.
    std::thread::sleep(Duration::from_millis(500));
    std::fs::write(server.dir().path().join("key.pem"), &new.key).unwrap();
    server.signal("HUP");
    server.wait_for_log("serving the new certificate");
    assert!(serves(&server, &new) && !serves(&server, &old));
    for told in [problem, "holds no key", "reading tls_key"] {
        assert_eq!(server.log().matches(told).count(), 1, "{told}: {}", server.log());
    }
}

#[test]
fn a_server_whose_pair_cannot_be_served_does_not_start() {
    let (one, other) = (Pair::default(), Pair::default());
    let dir = folder(&one);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (chain, key) = (path("chain.pem"), path("key.pem"));
    let start = |args: &[&str]| chatfold(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
    let (code, _, said) = start(&["--tls-certificate", &chain]);
    assert!(code == 2 && said.contains("tls_key is not"), "{said}");
    let (code, _, said) = start(&["--tls-certificate", &chain, "--tls-key", &path("none.pem")]);
    assert!(code == 2 && said.contains("none.pem: No such file"), "{said}");
    let (code, _, said) = start(&["--tls-certificate", &key, "--tls-key", &key]);
    assert!(code == 2 && said.contains("holds no certificate in PEM"), "{said}");
    std::fs::write(&key, &other.key).unwrap();
    let (code, _, said) = start(&["--tls-certificate", &chain, "--tls-key", &key]);
    assert!(code == 2 && said.contains("does not fit tls_certificate"), "{said}");
}

#[test]
fn a_certificate_that_ends_soon_is_told_in_the_log() {
    let past = Pair::ends(2025, 1, 2);
    server(&past, "").wait_for_log("the certificate ended at 2025-01-02T00:00:00Z: clients refuse to connect");
    let server = server(&Pair::default(), "");
    assert!(!server.log().contains("the certificate end"), "{}", server.log());
}

#[test]
fn http_1_1_is_spoken_and_nothing_below_tls_1_2() {
    let pair = Pair::default();
    let server = server(&pair, "");
    let stream = pair.connect(server.address).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(stream.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(greeted(&server, 3)[0], 22, "TLS 1.2: the handshake goes on");
    let alert = greeted(&server, 2);
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]), "TLS 1.1: a fatal alert, protocol_version");
}

/// The first bytes of the answer to a client whose newest version is 3.x: 3.3 is TLS 1.2.
fn greeted(server: &TestServer, version: u8) -> [u8; 7] {
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 24]);
    // Signatures, groups and points that the server takes.
    hello.extend([0, 13, 0, 4, 0, 2, 4, 3]);
    hello.extend([0, 10, 0, 6, 0, 4, 0, 29, 0, 23]);
    hello.extend([0, 11, 0, 2, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length]).unwrap();
    socket.write_all(&hello).unwrap();
    let mut answer = [0; 7];
    socket.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn who_speaks_no_tls_is_told_so() {
    let server = server(&Pair::default(), "");
    let answer = raw(server.address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.status == 400 && answer.body == "this port speaks TLS: use https:// or wss://", "{answer:?}");
}

/// Connections whose handshake stops after some bytes.
fn half_handshakes(server: &TestServer, count: usize) -> Vec<TcpStream> {
    let begin = |_| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
        stream
    };
    (0..count).map(begin).collect()
}

/// Whether the server has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = (&*stream).read(&mut [0; 1]);
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn handshakes_that_stop_keep_no_delivery_waiting() {
    let pair = Pair::default();
    let server = server(&pair, "workers = 1");
    let slow = half_handshakes(&server, 300);
    assert_eq!(pair.request(&server, "POST", WEBHOOK, &[JSON], BODY.as_bytes()).status, 200);
    drop(slow);
}

#[test]
fn handshakes_that_stop_count_as_silent_connections() {
    let pair = Pair::default();
    let server = server(&pair, "workers = 1\nconnections_per_address = 10");
    let slow = half_handshakes(&server, 30);
    assert_eq!(pair.request(&server, "POST", WEBHOOK, &[JSON], BODY.as_bytes()).status, 200);
    assert!(slow.iter().filter(|stream| is_open(stream)).count() <= 10);
}

#[test]
fn a_handshake_that_stops_ends() {
    let server = server(&Pair::default(), "");
    let stream = half_handshakes(&server, 1).remove(0);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    match (&stream).read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}
