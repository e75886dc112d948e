//! The console in the reader's time zone: one zone for all that a page shows and for all that a form asks.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chatfold::ids::Time;
use serde_json::json;
use support::TestServer;

const NEW_YORK: &str = "America/New_York";

/// A group that ann joins and leaves on the day of 25 hours in New York: at 01:30 before the clocks go back, and at 01:30
/// after.
fn autumn() -> TestServer {
    let server = TestServer::start();
    let second = |at: &str| Time::parse(at).unwrap().0 / 1000;
    let member = |uid: &str, at: &str| json!({ "members": { (uid): { "uid": uid, "name": "Ann" } }, "group": { "guid": "g", "name": "G", "updatedAt": second(at) } });
    let message = |id: u32, at: &str| {
        json!({ "message": { "id": id.to_string(), "conversationId": "group_g", "sender": "ann", "receiver": "g", "receiverType": "group",
            "category": "message", "type": "text", "sentAt": second(at), "data": { "text": "hello" } } })
    };
    for (trigger, data) in [
        (
            "group_created",
            json!({ "group": { "guid": "g", "name": "G", "createdAt": second("2026-10-31T12:00:00Z") } }),
        ),
        ("group_member_joined", member("ann", "2026-11-01T05:30:00Z")),
        ("group_member_left", member("ann", "2026-11-01T06:30:00Z")),
        ("message_sent", message(1, "2026-11-01T03:59:00Z")),
        ("message_sent", message(2, "2026-11-01T04:01:00Z")),
        ("message_sent", message(3, "2026-11-02T04:59:00Z")),
    ] {
        let body = json!({ "trigger": trigger, "appId": "a", "webhook": "w", "data": data });
        assert_eq!(server.deliver(body.to_string()).header("chatfold-outcome"), Some("applied"), "{body}");
    }
    server
}

fn page(server: &TestServer, path: &str, zone: &str) -> String {
    let answer = server.request("GET", path, &[("Cookie", &format!("chatfold_zone={zone}"))], b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[test]
fn every_time_of_a_page_is_in_the_one_zone_that_it_names() {
    let server = autumn();
    for path in [
        "/group?guid=g",
        "/conversation?conversationId=group_g",
        "/events",
        "/event?seq=2",
        "/why?entity=membership:g/ann",
        "/why?entity=group:g",
        "/event?seq=1",
        "/user?uid=ann",
    ] {
        let html = page(&server, path, NEW_YORK);
        assert!(html.contains("Times in </span>America/New_York"), "{path}");
        assert!(!html.contains("UTC</small>") && !html.contains("(UTC)"), "{path}: {html}");
        let times = html.split("<time datetime=\"").skip(1);
        let mut shown = 0;
        for time in times {
            let exact = time.split('"').next().unwrap();
            if exact.len() == 10 {
                // The head of a day.
                continue;
            }
            assert!(exact.ends_with('Z') && time.contains(&format!("title=\"{exact}\"")), "{path}: {exact}");
            shown += 1;
        }
        assert!(shown > 0, "{path}");
        // No other text of the page tells an instant.
        let text: String = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        let text = text.split("curl http").next().unwrap();
        assert!(!["2026-10-31T", "2026-11-01T", "2026-11-02T"].iter().any(|day| text.contains(day)), "{path}: {text}");
    }
    assert!(page(&server, "/events", "").contains("Times in </span>UTC"));
    assert!(page(&server, "/events", "Mars/Crater").contains("Times in </span>UTC"));
}

#[test]
fn an_hour_that_comes_twice_is_two_instants() {
    let server = autumn();
    let first = page(&server, &format!("/group?guid=g&asOf=2026-11-01T01:45&zone={NEW_YORK}"), NEW_YORK);
    assert!(first.contains("01:45:00 <small>EDT</small>") && first.contains("is-participant"), "{first}");
    assert!(first.contains("This hour comes twice") && first.contains("value=\"2026-11-01T01:45:00\""));
    let second =
        page(&server, &format!("/group?guid=g&asOf=2026-11-01T01:45&asOfHour=second&zone={NEW_YORK}"), NEW_YORK);
    assert!(second.contains("01:45:00 <small>EST</small>") && second.contains("is-left"), "{second}");
    assert!(second.contains("value=\"second\" selected"));
    assert!(!page(&server, "/group?guid=g&asOf=2026-11-01T09:00", NEW_YORK).contains("comes twice"));
}

#[test]
fn a_link_means_the_same_instant_in_every_zone() {
    let server = autumn();
    for link in
        ["asOf=2026-11-01T05:45:00Z", "asOf=2026-11-01T05:45", &format!("asOf=2026-11-01T01:45&zone={NEW_YORK}")]
    {
        let here = page(&server, &format!("/group?guid=g&{link}"), "");
        assert!(here.contains("as of <time datetime=\"2026-11-01T05:45:00Z\""), "{link}");
        assert!(here.contains("05:45:00 <small>UTC</small>") && here.contains("value=\"2026-11-01T05:45:00\""));
        let there = page(&server, &format!("/group?guid=g&{link}"), NEW_YORK);
        assert!(there.contains("as of <time datetime=\"2026-11-01T05:45:00Z\""), "{link}");
        assert!(
            there.contains("value=\"2026-11-01T01:45:00\"")
                && there.contains("name=\"zone\" value=\"America/New_York\"")
        );
    }
}

#[test]
fn days_of_a_conversation_are_those_of_the_zone() {
    let server = autumn();
    let days = |zone: &str| {
        let html = page(&server, "/conversation?conversationId=group_g", zone);
        let days = html.split("<li class=\"day\"><time datetime=\"").skip(1).map(|day| day[..10].to_owned());
        days.collect::<Vec<_>>()
    };
    assert_eq!(days(""), ["2026-11-01", "2026-11-02"]);
    assert_eq!(days(NEW_YORK), ["2026-10-31", "2026-11-01"]);
}

#[test]
fn an_open_page_is_refreshed_in_its_own_zone() {
    let server = autumn();
    let fresh = |zone: &str| {
        let cookie = format!("chatfold_zone={zone}");
        let headers = [("Cookie", cookie.as_str()), ("Chatfold-Min-Seq", "6")];
        server.request("GET", "/group?guid=g", &headers, b"").body
    };
    assert!(fresh(NEW_YORK).contains("Times in </span>America/New_York"));
    assert!(fresh("Europe/Berlin").contains("Times in </span>Europe/Berlin"));
}

#[test]
fn one_link_asks_for_the_members_at_the_end_of_a_day_of_the_last_week() {
    let server = autumn();
    let html = page(&server, "/group?guid=g", NEW_YORK);
    let (_, days) = html.split_once("At the end of").unwrap();
    let (days, _) = days.split_once("</p>").unwrap();
    let links: Vec<&str> = days.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.len(), 7, "{days}");
    let yesterday = links[0].replace("&#38;", "&").replace("&amp;", "&");
    assert!(yesterday.contains("zone=America%2FNew_York") && yesterday.contains("T23%3A59%3A59"), "{yesterday}");
    let html = page(&server, &yesterday, NEW_YORK);
    let (_, title) = html.split_once("id=\"members-title\"").unwrap();
    assert!(title.split("</h2>").next().unwrap().contains(" 23:59:59 <small>E"), "{html}");
    assert!(html.contains("aria-current=\"true\">"), "{html}");
}

#[test]
fn a_field_asks_for_milliseconds_only_where_the_instant_has_some() {
    let server = autumn();
    let html = page(&server, "/group?guid=g&asOf=2026-11-01T06:00:00Z", "");
    assert!(html.contains("step=\"1\" name=\"asOf\"") && !html.contains("step=\"0.001\""), "{html}");
    assert!(page(&server, "/group?guid=g&asOf=2026-11-01T06:00:00.25Z", "").contains("step=\"0.001\" name=\"asOf\""));
}
