//! What every page of the console has: the app and its switch, spans up to now, tables to take away, and problems that
//! say what was looked for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use support::TestServer;
use support::pages::{cookie, sign_in, token, with};

const APP: &str = "2489f0demo01";
const PAGES: [&str; 15] = [
    "/?",
    "/groups?",
    "/group?guid=night-shift",
    "/users?",
    "/user?uid=mira",
    "/conversations?",
    "/conversation?conversationId=group_night-shift",
    "/message?messageId=2007",
    "/calls?",
    "/call?sessionId=night-shift-debrief",
    "/events?",
    "/event?seq=31",
    "/search?q=night",
    "/why?entity=group:night-shift",
    "/health?",
];

/// The addresses of a page that hold a text.
fn links(html: &str, part: &str) -> Vec<String> {
    let hrefs = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    hrefs.map(|href| href.replace("&#38;", "&").replace("&amp;", "&")).filter(|href| href.contains(part)).collect()
}

#[test]
fn the_app_is_named_and_switched_on_every_page() {
    let server = TestServer::with_story("demo");
    for page in PAGES {
        let html = server.get(&format!("{page}&appId={APP}")).body;
        let (head, _) = html.split_once("</header>").unwrap();
        assert!(head.contains(&format!("App <b><bdi class=\"name\">{APP}</bdi></b>")), "{page}: {head}");
        let other = links(head, "appId=2489f0demo02");
        assert!(!other.is_empty(), "{page}");
        for link in other {
            assert_eq!(server.get(&link).status, 200, "{page} leads to {link}");
        }
    }
}

#[test]
fn each_table_is_taken_away_as_csv_and_json() {
    let server = TestServer::with_story("demo");
    let mut tables = BTreeSet::new();
    for page in PAGES {
        let html = server.get(&format!("{page}&appId={APP}")).body;
        for link in links(&html, "format=") {
            let file = server.get(&link);
            let kind = if link.contains("format=csv") { "text/csv; charset=utf-8" } else { "application/json" };
            assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{link}: {}", file.body);
            let table = link.split("table=").nth(1).unwrap().split('&').next().unwrap().to_owned();
            let name = format!("attachment; filename=\"{table}.{}\"", link.rsplit("format=").next().unwrap());
            assert_eq!(file.header("content-disposition"), Some(name.as_str()), "{link}");
            if kind == "application/json" {
                assert!(file.json().as_array().is_some_and(|items| !items.is_empty()), "{link}");
            } else {
                assert!(file.body.lines().count() > 1, "{link}: {}", file.body);
            }
            tables.insert(table);
        }
    }
    for table in [
        "groups",
        "group.members",
        "group.changes",
        "user.memberships",
        "conversation.messages",
        "callSessions",
        "events",
        "explain.row",
        "explain.deliveries",
        "status.settings",
        "newest.participants",
        "message.receipts",
        "apps",
        "messages",
    ] {
        assert!(tables.contains(table) || table == "messages", "{table}: {tables:?}");
    }
    let csv = server.get(&format!("/group?guid=night-shift&appId={APP}&table=group.members&format=csv")).body;
    assert!(csv.lines().next().unwrap().contains("user.name") && csv.contains("Mira Halonen"), "{csv}");
    let csv = server.get(&format!("/why?entity=group:night-shift&appId={APP}&table=explain.row&format=csv")).body;
    assert!(csv.lines().count() == 2 && csv.contains("guid") && csv.contains("night-shift"), "{csv}");
    assert_eq!(server.get(&format!("/groups?appId={APP}&table=nothing&format=csv")).status, 404);
}

#[test]
fn a_file_holds_no_more_than_the_page() {
    let server = TestServer::with_story("demo");
    let few = token(&server, &["--name", "few", "--scope", "metadata"]);
    let few = cookie(&sign_in(&server, &few, "/", None));
    let path = format!("/conversation?conversationId=group_night-shift&appId={APP}&table=conversation.messages");
    for format in ["csv", "json"] {
        let file = with(&server, &format!("{path}&format={format}"), &few);
        assert!(file.status == 200 && file.body.contains("Mira Halonen"), "{}", file.body);
        assert!(!file.body.contains("Coffee for six") && !file.body.contains("The comet rises"), "{}", file.body);
    }
}

#[test]
fn what_a_token_may_not_see_is_neither_linked_nor_asked_for() {
    let server = TestServer::with_story("demo");
    let content = token(&server, &["--name", "content", "--scope", "content"]);
    let content = cookie(&sign_in(&server, &content, "/", None));
    for page in PAGES {
        let html = with(&server, &format!("{page}&appId={APP}"), &content).body;
        assert!(links(&html, "/why").is_empty(), "{page}: {:?}", links(&html, "/why"));
        assert!(!html.contains("name=\"bodyContains\"") && !html.contains("name=\"earlier\""), "{page}");
    }
}

#[test]
fn a_span_up_to_now_is_one_click() {
    let server = TestServer::with_story("demo");
    for page in ["/events?", "/calls?", "/search?q=night"] {
        let html = server.get(&format!("{page}&appId={APP}")).body;
        let spans: Vec<String> =
            ["After=1h", "After=today", "After=24h", "After=7d"].iter().flat_map(|it| links(&html, it)).collect();
        assert_eq!(spans.iter().collect::<BTreeSet<_>>().len(), 4, "{page}: {spans:?}");
        for span in spans {
            let shown = server.get(&span);
            assert_eq!(shown.status, 200, "{span}");
            assert!(shown.body.contains("aria-current=\"true\""), "{span} does not say that it is chosen");
        }
    }
    let events = server.get(&format!("/events?receivedAfter=1h&appId={APP}")).body;
    assert!(events.contains("seq=68"), "they came just now");
}

#[test]
fn events_are_counted_by_outcome_and_trigger() {
    let html = TestServer::with_story("demo").get(&format!("/events?appId={APP}")).body;
    assert!(
        html.contains("outcomes=IGNORED\">ignored <b>1</b>") && html.contains("outcomes=APPLIED\">applied <b>"),
        "{html}"
    );
    assert!(
        html.contains("triggers=group_member_kicked\"><bdi class=\"name\">group_member_kicked</bdi> <b>1</b>"),
        "{html}"
    );
}

#[test]
fn a_problem_says_what_was_looked_for_and_keeps_the_form() {
    let server = TestServer::with_story("demo");
    let page = server.get(&format!("/group?guid=no+such&appId={APP}"));
    assert_eq!(page.status, 404);
    assert!(page.body.contains("<input name=\"guid\" value=\"no such\"") && page.body.contains(APP), "{}", page.body);
    assert!(
        page.body.contains("/search?appId=2489f0demo01&#38;q=no+such")
            || page.body.contains("/search?appId=2489f0demo01&amp;q=no+such")
    );
    let page = server.get(&format!("/events?receivedAfter=soon&appId={APP}"));
    assert_eq!(page.status, 400);
    assert!(page.body.contains("<input name=\"receivedAfter\" value=\"soon\""), "{}", page.body);
    for path in ["/nowhere", "/a/deep/path", "/groups/7"] {
        let page = server.request("GET", path, &[("Accept", "text/html")], b"");
        assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")), "{path}");
        let last = path.rsplit('/').next().unwrap();
        assert!(page.body.contains(path) && page.body.contains(&format!("/search?q={last}\"")), "{}", page.body);
        let answer = server.request("GET", path, &[], b"");
        assert!(answer.status == 404 && answer.header("content-type").unwrap().contains("json"), "{path}");
    }
}

#[test]
fn a_page_that_is_not_told_what_to_show_asks_for_it() {
    let server = TestServer::with_story("demo");
    for (path, title, field) in [
        ("/group", "Which group?", "guid"),
        ("/user", "Which user?", "uid"),
        ("/message", "Which message?", "messageId"),
        ("/event", "Which delivery?", "seq"),
    ] {
        let page = server.get(&format!("{path}?appId={APP}"));
        assert_eq!(page.status, 400, "{path}");
        assert!(page.body.contains(&format!("<h1>{title}</h1>")), "{}", page.body);
        assert!(page.body.contains(&format!("<input name=\"{field}\" value=\"\"")), "{}", page.body);
    }
    for path in ["/group?guid=none", "/event?seq=9999", "/message?messageId=none"] {
        let page = server.get(&format!("{path}&appId={APP}"));
        assert!(page.status == 404 && page.body.contains("<h1>No such "), "{path}: {}", page.body);
    }
    assert!(
        server.get(&format!("/event?seq=x&appId={APP}")).body.contains(">expected a whole number of up to 64 bits<")
    );
}

#[test]
fn an_app_that_nothing_came_from_is_a_problem_that_names_the_others() {
    let server = TestServer::with_story("demo");
    for path in ["/", "/groups", "/users", "/events", "/search", "/group?guid=night-shift"] {
        let page = server.get(&format!("{path}{}appId=nope", if path.contains('?') { '&' } else { '?' }));
        assert_eq!(page.status, 404, "{path}");
        assert!(page.body.contains("No delivery of an app nope has come"), "{path}: {}", page.body);
        assert!(!links(&page.body, "appId=2489f0demo02").is_empty(), "{path}: {}", page.body);
        let again = links(&page.body, "appId=nope");
        assert!(again.is_empty(), "{path} leads to it again: {again:?}");
    }
    let empty = TestServer::start().get("/groups");
    assert!(empty.status == 200 && empty.body.contains("<h1>No delivery yet</h1>"), "{}", empty.body);
}

#[test]
fn who_may_not_read_an_app_is_led_back_to_the_own_one() {
    let server = TestServer::with_story("demo");
    let one = token(&server, &["--name", "one", "--app", "2489f0demo02"]);
    let one = cookie(&sign_in(&server, &one, "/", None));
    for path in ["/groups?", "/group?guid=night-shift&", "/?"] {
        let page = with(&server, &format!("{path}appId={APP}"), &one);
        assert_eq!(page.status, 403, "{path}: {}", page.body);
        let pages = links(&page.body, APP).into_iter().filter(|link| !link.starts_with("/graphql?"));
        assert_eq!(pages.collect::<Vec<_>>(), [""; 0], "{path}");
        assert!(!page.body.contains("Mira Halonen"), "{path}");
    }
    let few = token(&server, &["--name", "few", "--scope", "metadata"]);
    let few = cookie(&sign_in(&server, &few, "/", None));
    let page = with(&server, &format!("/group?guid=night-shift&appId={APP}"), &few);
    let told = "A part of this page is hidden: this needs a token of the scope content";
    assert!(page.status == 200 && page.body.contains(told), "{}", page.body);
}
