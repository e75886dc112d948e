//! Signing in to the console: a session in a cookie, which opens pages, and `/graphql` for pages of this server only.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::pages::{cookie, post_form, sign_in, token, with};
use support::{Answer, JSON, TestServer};

const APPS: &str = r#"{"query":"{apps{appId}}"}"#;

fn signed_in(server: &TestServer, token: &str) -> String {
    let answer = sign_in(server, token, "/", None);
    assert_eq!(answer.status, 303, "{answer:?}");
    cookie(&answer)
}

fn sign_out(server: &TestServer, cookie: &str, origin: &str) -> Answer {
    let host = server.address.to_string();
    post_form(server, "/sign-out", &[("Host", &host), ("Origin", origin), ("Cookie", cookie)], "")
}

/// Whether a page opens with a cookie; otherwise its reader is sent to the form.
#[track_caller]
fn opens(server: &TestServer, cookie: &str) -> bool {
    let answer = with(server, "/groups", cookie);
    if answer.status == 200 {
        assert!(answer.body.contains("Sign out"), "{}", answer.body);
        return true;
    }
    assert_eq!((answer.status, answer.header("location")), (303, Some("/sign-in?next=%2Fgroups")));
    false
}

#[test]
fn with_tokens_one_signs_in_and_out_again() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me"]);
    let sent = with(&server, "/group?guid=x", "");
    assert_eq!((sent.status, sent.header("location")), (303, Some("/sign-in?next=%2Fgroup%3Fguid%3Dx")));
    assert!(server.get("/sign-in?next=%2Fgroups").body.contains("name=\"next\" value=\"/groups\""));

    let wrong = sign_in(&server, "cf_wrong", "/groups", None);
    assert!(wrong.status == 401 && wrong.header("set-cookie").is_none() && wrong.body.contains("no valid token"));

    let answer = sign_in(&server, &token, "/groups", None);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/groups")));
    let set = answer.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"), "{set}");
    assert!(set.starts_with("chatfold_session=") && !set.contains("Secure"), "loopback has no TLS: {set}");
    assert!(opens(&server, &cookie(&answer)));
    assert_eq!(sign_in(&server, &token, "//evil.example", None).header("location"), Some("/"));
    assert_eq!(sign_in(&server, &token, "/", Some("https://evil.example")).status, 403);

    let evil = sign_out(&server, &cookie(&answer), "https://evil.example");
    assert!(evil.status == 403 && opens(&server, &cookie(&answer)), "{evil:?}");
    let out = sign_out(&server, &cookie(&answer), &format!("http://{}", server.address));
    assert!(out.status == 303 && out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert!(!opens(&server, &cookie(&answer)), "a copy of the cookie opens nothing any more");
}

#[test]
fn the_cookie_holds_no_token_and_opens_pages_only() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me", "--scope", "admin"]);
    let cookie = signed_in(&server, &token);
    let (_, value) = cookie.split_once('=').unwrap();
    assert!(!cookie.contains(&token) && !token.contains(value) && value.len() >= 43, "{cookie}");
    assert_ne!(signed_in(&server, &token), cookie, "each session is its own");
    assert!(opens(&server, &cookie));
    let bearer = format!("Bearer {value}");
    for header in [("Cookie", cookie.as_str()), ("Authorization", &bearer)] {
        assert_eq!(server.post("/graphql", &[JSON, header], APPS).status, 401, "{header:?}");
        for path in ["/changes", "/metrics"] {
            assert_eq!(server.request("GET", path, &[header], b"").status, 401, "{path} {header:?}");
        }
    }
    assert!(!opens(&server, &format!("chatfold_session={token}")), "a token is no session");
    assert!(!opens(&server, &format!("chatfold_token={token}")));
    let log = server.log();
    assert!(!log.contains(value) && !log.contains(&token), "{log}");
}

#[test]
fn a_session_asks_graphql_from_a_page_of_this_server_and_from_nowhere_else() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me", "--app", "2489f0demo02"]);
    let cookie = signed_in(&server, &token);
    let own = format!("http://{}", server.address);
    let port = format!("http://127.0.0.1:{}", server.address.port() - 1);
    let ask = |headers: &[(&str, &str)]| {
        server.post("/graphql", &[&[JSON, ("Cookie", &cookie)], headers].concat(), r#"{"query":"{apps{appId}}"}"#)
    };
    let apps = ask(&[("Origin", &own)]).json()["data"]["apps"].clone();
    assert_eq!(apps, serde_json::json!([{ "appId": "2489f0demo02" }]), "what its token shows");
    for origin in [&port[..], "http://evil.example", "null", ""] {
        assert_eq!(ask(&[("Origin", origin)]).status, 401, "{origin}");
    }
    assert_eq!(ask(&[]).status, 401, "nothing tells which page asks");
    assert_eq!(ask(&[("Origin", &own), ("Origin", "http://evil.example")]).status, 401, "two origins");
    assert_eq!(ask(&[("Origin", &own), ("Authorization", "Bearer cf_wrong")]).status, 401, "a token is what counts");
    for path in ["/changes", "/metrics"] {
        let headers = [("Cookie", &cookie[..]), ("Origin", &own)];
        assert_eq!(server.request("GET", path, &headers, b"").status, 401, "{path}");
    }
    assert_eq!(sign_out(&server, &cookie, &own).status, 303);
    assert_eq!(ask(&[("Origin", &own)]).status, 401, "signed out");
}

#[test]
fn a_session_ends_with_its_token() {
    let server = TestServer::with_story("demo");
    let (revoked, expired) =
        (token(&server, &["--name", "one"]), token(&server, &["--name", "two", "--expires", "1h"]));
    let (revoked, expired) = (signed_in(&server, &revoked), signed_in(&server, &expired));
    assert!(opens(&server, &revoked) && opens(&server, &expired));
    assert_eq!(server.run(&["token", "revoke", "one"]).0, 0);
    assert!(!opens(&server, &revoked) && opens(&server, &expired));
    rusqlite::Connection::open(server.db())
        .unwrap()
        .execute("UPDATE tokens SET expires_at = 1 WHERE name = 'two'", [])
        .unwrap();
    assert!(!opens(&server, &expired));
}

#[test]
fn a_restart_signs_everybody_out() {
    let mut server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me"]);
    let cookie = signed_in(&server, &token);
    assert!(opens(&server, &cookie));
    assert_eq!(server.sigterm().code(), Some(0));
    let server = TestServer::within(server.dir(), "");
    assert!(!opens(&server, &cookie));
    assert!(opens(&server, &signed_in(&server, &token)));
}

#[test]
fn signing_in_again_ends_the_session_that_the_browser_had() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me"]);
    let (old, others) = (signed_in(&server, &token), signed_in(&server, &token));
    let host = server.address.to_string();
    let form = format!("token={token}");
    let answer = post_form(&server, "/sign-in", &[("Host", &host), ("Cookie", &old)], &form);
    assert!(opens(&server, &cookie(&answer)) && opens(&server, &others) && !opens(&server, &old));
}

#[test]
fn an_open_page_hears_nothing_once_its_reader_has_signed_out() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me"]);
    let cookie = signed_in(&server, &token);
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(socket, "GET /live HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", server.address).unwrap();
    let mut bytes = [0; 4096];
    assert!(socket.read(&mut bytes).unwrap() > 0);
    assert_eq!(sign_out(&server, &cookie, &format!("http://{}", server.address)).status, 303);
    let deadline = Instant::now() + Duration::from_secs(10);
    while socket.read(&mut bytes).unwrap() > 0 {
        assert!(Instant::now() < deadline, "the stream goes on");
    }
}

#[test]
fn beyond_this_machine_the_cookie_is_for_one_host_and_for_tls_only() {
    let server = TestServer::with_story("demo");
    let token = token(&server, &["--name", "me"]);
    let form = format!("token={token}");
    let local = server.address.to_string();
    for headers in [
        &[("Host", "chat.example")][..],
        &[("Host", "chat.example"), ("X-Forwarded-Proto", "http")],
        &[("Host", local.as_str()), ("X-Forwarded-Proto", "https")],
    ] {
        let answer = post_form(&server, "/sign-in", headers, &form);
        let set = answer.header("set-cookie").unwrap();
        let good = set.starts_with("__Host-chatfold_session=") && set.contains("; Secure") && set.contains("; Path=/");
        assert!(good && !set.contains("Domain"), "{headers:?}: {set}");
        let cookie = cookie(&answer);
        let page = |cookie: &str| {
            let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("Cookie", cookie)]).collect();
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            server.raw(format!("GET /groups HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")).status
        };
        assert_eq!(page(&cookie), 200, "{headers:?}");
        // Whoever can plant a cookie without the prefix must not choose the reader's session.
        assert_eq!(page(cookie.strip_prefix("__Host-").unwrap()), 303, "{headers:?}");
    }
}

#[test]
fn a_proxy_gets_no_form_where_nobody_needs_a_token() {
    let server = TestServer::start();
    for path in ["/sign-in", "/sign-out"] {
        let headers = [("Host", "localhost"), ("X-Forwarded-For", "1.2.3.4")];
        assert_eq!(post_form(&server, path, &headers, "token=x").status, 403, "{path}");
    }
}
