//! The page of GraphiQL: who is shown it, and how it is fenced in. What it does is seen by a browser, in `tests/npm.rs`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{JSON, TestServer};

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const PATHS: [&str; 3] = ["/graphql", "/graphql/graphiql.js", "/graphql/graphiql.css"];

#[test]
fn a_browser_gets_the_page_and_no_other_client() {
    let server = TestServer::start();
    let page = server.request("GET", "/graphql?query=%7Bapps%7D", &[BROWSER], b"");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.contains("graphql/graphiql.js") && !page.body.contains("{apps}"), "{}", page.body);
    for accept in ["application/json", "*/*", "application/graphql-response+json", "text/plain"] {
        let other = server.request("GET", "/graphql?query=%7B__typename%7D", &[("Accept", accept)], b"");
        assert_eq!(other.json()["data"]["__typename"], "Query", "{accept}");
    }
    let socket = [BROWSER, ("Connection", "Upgrade"), ("Upgrade", "websocket")];
    server.request("GET", "/graphql", &socket, b"").problem(400);
}

#[test]
fn the_page_may_run_its_own_files_only_and_be_framed_by_none() {
    let server = TestServer::start();
    let page = server.request("GET", "/graphql", &[BROWSER], b"");
    let policy = page.header("content-security-policy").unwrap();
    for (rule, what) in policy.split("; ").map(|rule| rule.split_once(' ').unwrap()) {
        match rule {
            "default-src" | "base-uri" | "form-action" | "frame-ancestors" => assert_eq!(what, "'none'", "{rule}"),
            "connect-src" => assert_eq!(what, "'self'"),
            "img-src" | "font-src" => assert_eq!(what, "data:", "{rule}"),
            "script-src" => {
                assert!(what.starts_with("'self' https://unpkg.com/react@18.3.1/") && !what.contains("unsafe"));
            }
            "style-src" => assert!(what.starts_with("'self' 'unsafe-inline' https://unpkg.com/graphiql@4.1.2/")),
            other => panic!("{other}"),
        }
    }
    assert_eq!(policy.matches("; ").count(), 8, "{policy}");
    for (header, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("vary", "accept"),
    ] {
        assert_eq!(page.header(header), Some(value));
    }
    for tag in page.body.split('<').filter(|tag| tag.contains("https://")) {
        assert!(tag.contains("integrity=\"sha384-") && tag.contains("crossorigin=\"anonymous\""), "{tag}");
    }
    assert!(!page.body.contains("<script>"), "no script stands in the page");
}

#[test]
fn the_page_opens_without_a_token_where_one_is_typed_and_else_on_this_machine_only() {
    let server = TestServer::start();
    let proxied = [BROWSER, ("X-Forwarded-For", "1.2.3.4")];
    for path in PATHS {
        assert_eq!(server.request("GET", path, &[BROWSER], b"").status, 200, "{path}");
        assert!(server.request("GET", path, &proxied, b"").problem(403).contains("chatfold token create"));
    }
    assert_eq!(server.run(&["token", "create", "--name", "any"]).0, 0);
    for path in PATHS {
        assert_eq!(server.request("GET", path, &proxied, b"").status, 200, "{path}");
    }
    server.post("/graphql", &[JSON], r#"{"query":"{apps{appId}}"}"#).problem(401);
    server.request("GET", "/graphql/assets/graphiql-4.1.2.js", &proxied, b"").problem(404);
}

#[test]
fn a_folder_without_the_files_is_told_at_the_start() {
    for args in [["serve", "--graphiql-dir", "none"], ["serve", "--graphiql-dir", "."]] {
        let (exit, _, stderr) = support::chatfold(&args);
        assert!(exit == 2 && stderr.contains("graphiql.min.css") && stderr.contains("graphiql 4.1.2"), "{stderr}");
    }
}
