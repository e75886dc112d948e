//! A real nginx in front of a real server: as nginx proxies when it is told an address and nothing else, and as the
//! page for operators configures it. Skipped where there is no nginx, unless `CHATFOLD_NGINX=required`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::feed::Client;
use support::pages::token;
use support::{Answer, JSON, TestServer, WEBHOOK, basic, raw, request};
use tempfile::TempDir;
use tungstenite::client::IntoClientRequest;

const PAGE: &str = include_str!("../docs/operate.md");
const HTML: (&str, &str) = ("Accept", "text/html");
const APPS: &str = r#"{"query":"{apps{appId}}"}"#;
const CREDENTIALS: &str = "webhook_username = \"vendor\"\nwebhook_password = \"sesame\"";
const PLAIN: &str = "server { listen 127.0.0.1:8443; location / { proxy_pass http://127.0.0.1:8080; } }";

/// Where Debian puts the binary is not on everybody's path.
fn binary() -> Option<&'static str> {
    ["nginx", "/usr/sbin/nginx"].into_iter().find(|name| Command::new(name).arg("-v").output().is_ok())
}

/// Whether nginx speaks HTTP/1.0 where nobody tells it a version. From 1.29.7 on it speaks HTTP/1.1, and then nothing tells
/// its requests from those of this machine.
fn speaks_http_1_0_by_default() -> bool {
    let said = binary().map(|binary| Command::new(binary).arg("-v").output().unwrap().stderr).unwrap_or_default();
    let said = String::from_utf8(said).unwrap();
    let version = said.split("nginx/").nth(1).and_then(|version| version.split_whitespace().next()).unwrap_or_default();
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    numbers < vec![1, 29, 7]
}

/// A proxy, killed when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Nginx {
    /// In front of a server; `None` where there is no nginx, which is said.
    fn start(test: &str, server: &TestServer, sites: &str) -> Option<Self> {
        let Some(binary) = binary() else {
            assert!(std::env::var("CHATFOLD_NGINX").as_deref() != Ok("required"), "{test}: there is no nginx");
            std::io::stderr().write_all(format!("SKIPPED {test}: there is no nginx\n").as_bytes()).unwrap();
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sites = sites
            .replace("127.0.0.1:8080", &server.address.to_string())
            .replace("127.0.0.1:8443", &address.to_string());
        assert!(sites.contains(&server.address.to_string()) && sites.contains(&address.to_string()), "{sites}");
        // One process, so that killing it ends all of it.
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let folders: String = kinds.iter().map(|kind| format!("{kind}_temp_path {kind};\n")).collect();
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr crit;\nevents {{}}\n\
             http {{\naccess_log off;\n{folders}{sites}\n}}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), text).unwrap();
        let mut command = Command::new(binary);
        command.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "nginx ended: {sites}");
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, address, _dir: dir })
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(self.address, method, path, headers, body.as_bytes())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration that the page for operators shows, less what concerns TLS.
fn documented() -> String {
    let after = PAGE.split_once("```nginx\n").expect("the page configures nginx").1;
    let lines = after.lines().map(str::trim).take_while(|line| *line != "```");
    let plain = lines.filter(|line| !line.starts_with("ssl_")).collect::<Vec<_>>().join("\n");
    plain.replace("listen 443 ssl;", "listen 127.0.0.1:8443;")
}

/// Every way to read, each with the detail of a refusal.
fn reading(nginx: &Nginx, more: &[(&str, &str)]) -> Vec<(String, Answer)> {
    let with = |headers: &[(&'static str, &'static str)]| [headers, more].concat();
    let mut answers = vec![
        ("POST /graphql".to_owned(), nginx.ask("POST", "/graphql", &with(&[JSON]), APPS)),
        ("websocket".to_owned(), handshake(nginx, more)),
    ];
    for path in ["/changes", "/metrics", "/live", "/graphql"] {
        answers.push((path.to_owned(), nginx.ask("GET", path, &with(&[]), "")));
    }
    answers
}

/// The answer to a websocket handshake that the server does not accept.
fn handshake(nginx: &Nginx, more: &[(&str, &str)]) -> Answer {
    let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    raw(
        nginx.address,
        format!(
            "GET /graphql HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n{more}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
            nginx.address
        ),
    )
}

#[track_caller]
fn nobody_reads_or_writes(nginx: &Nginx) {
    for (what, answer) in reading(nginx, &[]) {
        assert!(answer.problem(403).contains("chatfold token create"), "{what}");
    }
    let pages = chatfold::console::PAGES.iter().map(|page| page.path);
    for path in pages.chain(["/sign-in", "/graphql", "/nothing", "/assets/console.css", "/graphql/graphiql.js"]) {
        assert!(nginx.ask("GET", path, &[HTML], "").problem(403).contains("chatfold token create"), "{path}");
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for path in ["/sign-in", "/sign-out"] {
        nginx.ask("POST", path, &[form], "token=x").problem(403);
    }
    let delivery = nginx.ask("POST", WEBHOOK, &[JSON], r#"{"trigger":"t","appId":"a"}"#);
    assert!(delivery.problem(403).contains("webhook credentials"), "{delivery:?}");
    assert_eq!(nginx.ask("GET", "/readyz", &[], "").status, 200, "open to all");
}

#[test]
fn behind_a_plain_proxy_pass_nobody_reads_or_writes() {
    if !speaks_http_1_0_by_default() {
        std::io::stderr().write_all(b"SKIPPED nginx by default: this one speaks HTTP/1.1\n").unwrap();
        return;
    }
    let server = TestServer::with_story("first_steps");
    let Some(nginx) = Nginx::start("nginx by default", &server, PLAIN) else { return };
    nobody_reads_or_writes(&nginx);
    assert_eq!(server.get("/metrics").status, 200, "this machine reads");
    let token = token(&server, &["--name", "me"]);
    for (what, answer) in reading(&nginx, &[]).into_iter().filter(|(what, _)| what != "websocket" && what != "/graphql")
    {
        assert!(answer.problem(401).contains("chatfold token create"), "{what}");
    }
    let bearer = format!("Bearer {token}");
    assert_eq!(nginx.ask("POST", "/graphql", &[JSON, ("Authorization", &bearer)], APPS).status, 200);
}

#[test]
fn behind_a_plain_proxy_pass_credentials_keep_everybody_out_before_the_first_token() {
    let server = TestServer::with(CREDENTIALS);
    let Some(nginx) = Nginx::start("nginx by default, with credentials", &server, PLAIN) else { return };
    let good = basic("vendor:sesame");
    let body = r#"{"trigger":"t","appId":"a"}"#;
    assert_eq!(nginx.ask("POST", WEBHOOK, &[JSON, ("Authorization", &good)], body).status, 200);
    nginx.ask("POST", WEBHOOK, &[JSON], body).problem(401);
    for path in ["/changes", "/metrics"] {
        assert!(nginx.ask("GET", path, &[], "").problem(401).contains("chatfold token create"), "{path}");
    }
    assert!(nginx.ask("POST", "/graphql", &[JSON], APPS).problem(401).contains("chatfold token create"));
    let page = raw(nginx.address, "GET /groups HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(page.header("location").map(|to| to.ends_with("/sign-in?next=%2Fgroups")), Some(true), "{page:?}");
}

#[test]
fn behind_the_documented_proxy_nobody_reads_or_writes_without_secrets() {
    let server = TestServer::with_story("first_steps");
    let Some(nginx) = Nginx::start("nginx as documented, without secrets", &server, &documented()) else { return };
    nobody_reads_or_writes(&nginx);
}

#[test]
fn behind_the_documented_proxy_deliveries_with_credentials_and_readers_with_a_token_pass() {
    let server = TestServer::with(CREDENTIALS);
    let Some(nginx) = Nginx::start("nginx as documented", &server, &documented()) else { return };
    let good = basic("vendor:sesame");
    let deliver = |body: &str| nginx.ask("POST", WEBHOOK, &[JSON, ("Authorization", &good)], body);
    let answer = deliver(include_str!("../fixtures/triggers/message_sent.json"));
    assert_eq!((answer.status, answer.header("chatfold-outcome"), &answer.body[..]), (200, Some("applied"), "{}"));
    let large = json!({ "trigger": "t", "appId": "2489f0demo01", "data": "x".repeat(2_000_000) }).to_string();
    assert_eq!(deliver(&large).header("chatfold-outcome"), Some("ignored"), "as large as chatfold takes");
    nginx.ask("POST", WEBHOOK, &[JSON], &large[..20]).problem(401);
    nginx.ask("GET", "/metrics", &[], "").problem(401);

    let token = token(&server, &["--name", "me"]);
    let bearer = format!("Bearer {token}");
    let authorized = ("Authorization", bearer.as_str());
    let answer = nginx.ask("POST", "/graphql", &[JSON, authorized], r#"{"query":"{apps{appId}}"}"#);
    assert_eq!(answer.json()["data"]["apps"].as_array().map(Vec::len), Some(1), "{answer:?}");
    assert_eq!(nginx.ask("GET", "/metrics", &[authorized], "").status, 200);
    follow_events(&nginx, &bearer);
    follow_by_websocket(&nginx, &token);

    // The console, by the name that the world knows.
    let form = format!("token={token}&next=/groups");
    let host = "Host: chat.example\r\nConnection: close\r\n";
    let answer = raw(
        nginx.address,
        format!(
            "POST /sign-in HTTP/1.1\r\n{host}Origin: https://chat.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    );
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{answer:?}"));
    let cookie = set.split(';').next().unwrap();
    assert!(cookie.starts_with("__Host-") && set.contains("; Secure"), "{set}");
    let page = raw(nginx.address, format!("GET /groups HTTP/1.1\r\n{host}Cookie: {cookie}\r\n\r\n"));
    assert!(page.status == 200 && page.body.contains("Sign out"), "{page:?}");
}

fn told_one_message(server: &TestServer) {
    let (good, body) = (basic("vendor:sesame"), include_str!("../fixtures/triggers/message_sent.json"));
    assert_eq!(server.post(WEBHOOK, &[JSON, ("Authorization", &good)], body).status, 200);
}

/// A connection to the proxy from another address of this machine.
fn from(address: [u8; 4], nginx: &Nginx) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&nginx.address.into()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.into()
}

/// The head of the answer to `GET /changes`; the connection stays open.
fn follow_from(address: [u8; 4], nginx: &Nginx, bearer: &str) -> (TcpStream, String) {
    let mut socket = from(address, nginx);
    write!(socket, "GET /changes HTTP/1.1\r\nHost: chat.example\r\nAuthorization: {bearer}\r\n\r\n").unwrap();
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") && socket.read(&mut byte).unwrap() == 1 {
        head.push(byte[0].into());
    }
    (socket, head)
}

#[test]
fn behind_a_trusted_proxy_each_client_counts_for_itself() {
    let trusted = format!("trusted_proxies = [\"127.0.0.1\"]\nconnections_per_address = 10\n{CREDENTIALS}");
    let server = TestServer::with(&trusted);
    let Some(nginx) = Nginx::start("nginx that is trusted", &server, &documented()) else { return };
    told_one_message(&server);
    let bearer = format!("Bearer {}", token(&server, &["--name", "me"]));
    let (crowd, one) = ([127, 0, 0, 9], [127, 0, 0, 8]);
    let streams: Vec<_> = (0..10).map(|_| follow_from(crowd, &nginx, &bearer)).collect();
    assert!(streams.iter().all(|(_, head)| head.starts_with("HTTP/1.1 200 ")), "{:?}", streams[9].1);
    let (_, refused) = follow_from(crowd, &nginx, &bearer);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.to_lowercase().contains("retry-after: 1"), "{refused}");
    let (_held, other) = follow_from(one, &nginx, &bearer);
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
    assert_eq!(server.get("/healthz").status, 200, "this machine itself");
    drop(streams);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !follow_from(crowd, &nginx, &bearer).1.starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < deadline, "the places are free again");
        std::thread::sleep(Duration::from_millis(200));
    }
    // Who failed is named by its own address.
    let mut socket = from(one, &nginx);
    write!(socket, "POST {WEBHOOK} HTTP/1.1\r\nHost: chat.example\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(socket.read(&mut [0; 64]).unwrap() > 0);
    server.wait_for_log("peer=\"127.0.0.8\"");
}

#[test]
fn behind_a_proxy_that_is_not_trusted_all_clients_are_one() {
    let server = TestServer::with(&format!("connections_per_address = 10\n{CREDENTIALS}"));
    let Some(nginx) = Nginx::start("nginx that is not trusted", &server, &documented()) else { return };
    told_one_message(&server);
    let bearer = format!("Bearer {}", token(&server, &["--name", "me"]));
    let streams: Vec<_> = (0..10).map(|_| follow_from([127, 0, 0, 9], &nginx, &bearer)).collect();
    assert!(streams.iter().all(|(_, head)| head.starts_with("HTTP/1.1 200 ")));
    let (_, refused) = follow_from([127, 0, 0, 8], &nginx, &bearer);
    assert!(!refused.starts_with("HTTP/1.1 200 "), "{refused}");
}

#[test]
fn behind_a_trusted_proxy_with_tls_the_console_and_graphiql_work_under_a_local_name() {
    let server = TestServer::with(&format!("trusted_proxies = [\"127.0.0.0/8\"]\n{CREDENTIALS}"));
    // The documented proxy, as if the client spoke TLS with it, and with the name of the host in a header of its own.
    let sites = documented()
        .replace("$scheme", "https")
        .replace("proxy_set_header Host $http_host;", "proxy_set_header X-Forwarded-Host $http_host;");
    let Some(nginx) = Nginx::start("nginx that tells the scheme", &server, &sites) else { return };
    let form = format!("token={}&next=/", token(&server, &["--name", "me"]));
    let sign_in = |origin: &str| {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        raw(
            nginx.address,
            format!(
                "POST /sign-in HTTP/1.1\r\nHost: localhost:8443\r\nConnection: close\r\nOrigin: {origin}\r\n{kind}\r\n\
                 Content-Length: {}\r\n\r\n{form}",
                form.len()
            ),
        )
    };
    sign_in("http://localhost:8443").problem(403);
    let signed = sign_in("https://localhost:8443");
    let set = signed.header("set-cookie").unwrap_or_else(|| panic!("{signed:?}"));
    assert!(set.starts_with("__Host-") && set.contains("; Secure"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let host = "Host: localhost:8443\r\nConnection: close";
    let page = raw(nginx.address, format!("GET /graphql HTTP/1.1\r\n{host}\r\nAccept: text/html\r\n\r\n"));
    assert!(page.status == 200 && page.body.contains("GraphiQL"), "{page:?}");
    let asked = raw(
        nginx.address,
        format!(
            "POST /graphql HTTP/1.1\r\n{host}\r\nOrigin: https://localhost:8443\r\nCookie: {cookie}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{APPS}",
            APPS.len()
        ),
    );
    assert_eq!(asked.status, 200, "{asked:?}");
}

#[test]
fn a_trusted_proxy_opens_nothing_without_secrets() {
    let server = TestServer::with("trusted_proxies = [\"127.0.0.1\"]").told("first_steps");
    let Some(nginx) = Nginx::start("nginx that is trusted, without secrets", &server, &documented()) else { return };
    nobody_reads_or_writes(&nginx);
}

fn follow_events(nginx: &Nginx, bearer: &str) {
    let mut socket = TcpStream::connect(nginx.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = "GET /changes?afterSeq=0 HTTP/1.1\r\nHost: chat.example";
    write!(socket, "{head}\r\nAuthorization: {bearer}\r\n\r\n").unwrap();
    let (mut heard, mut bytes) = (String::new(), [0; 4096]);
    while !heard.contains("\ndata: {\"seq\":\"1\"") {
        let read = socket.read(&mut bytes).unwrap_or_default();
        assert!(read > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

fn follow_by_websocket(nginx: &Nginx, token: &str) {
    let mut request = format!("ws://{}/graphql", nginx.address).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
    let stream = TcpStream::connect(nginx.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut client = Client(tungstenite::client(request, stream).unwrap().0);
    client.say(&json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}}));
    assert_eq!(client.hear()["type"], "connection_ack");
    client.subscribe("1", "subscription{changes(afterSeq:\"0\"){seq}}");
    assert_eq!(client.seq(), 1);
}

#[test]
fn the_configuration_that_the_page_shows_is_found_and_names_tls() {
    assert!(PAGE.contains("listen 443 ssl;") && documented().contains("listen 127.0.0.1:8443;"));
}
