//! Reactions: an emoji with and without the variation selector U+FE0F is one.

mod harness;

use harness::{Harness, NOON, assert_same};
use serde_json::{Value, json};

const SECOND: i64 = NOON / 1000;
const PLAIN: &str = "\u{1f44d}";
const STYLED: &str = "\u{1f44d}\u{fe0f}";

fn reaction(verb: &str, id: Option<u8>, who: &str, emoji: &str, at: i64) -> String {
    let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
    format!(
        r#"{{"trigger":"message_reaction_{verb}","appId":"a","webhook":"w","data":{{"reaction":{{{id}"messageId":"7","reaction":"{emoji}","uid":"{who}","reactedAt":{},"reactedBy":{{"uid":"{who}","name":"{who}"}}}}}}}}"#,
        SECOND + at
    )
}

fn sent() -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"a","webhook":"w","data":{{"message":{{"id":"7","sender":"ann","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{SECOND},"data":{{"text":"a"}}}}}}}}"#
    )
}

fn groups(harness: &Harness) -> Value {
    harness.data(r#"{message(messageId:"7"){reactionsCount reactions{reaction count users{uid}}}}"#)["message"].clone()
}

/// Every reaction of every order, newest state.
fn heard(bodies: &[&str]) -> Harness {
    let harness = Harness::new();
    harness.post(&sent(), NOON);
    for (at, body) in (NOON..).step_by(1_000).zip(bodies) {
        harness.post(body, at);
    }
    harness
}

#[test]
fn person_who_reacts_in_two_spellings_counts_once() {
    let (one, two) = (reaction("added", Some(1), "wen", PLAIN, 10), reaction("added", Some(2), "wen", STYLED, 20));
    let back = reaction("removed", Some(1), "wen", PLAIN, 10);
    let one_group =
        json!({"reactionsCount": 1, "reactions": [{"reaction": PLAIN, "count": 1, "users": [{"uid": "wen"}]}]});
    for bodies in [vec![&*one, &two], vec![&two, &one], vec![&one, &two, &back], vec![&back, &two, &one]] {
        let harness = heard(&bodies);
        assert_eq!(groups(&harness), one_group, "{bodies:?}");
        assert_eq!(harness.ask("SELECT reaction, uid FROM v_reactions"), format!("{PLAIN}|wen"));
        harness.explain_all("two spellings");
    }
}

#[test]
fn rows_keep_the_spelling_told() {
    let (one, two) = (reaction("added", Some(1), "wen", PLAIN, 10), reaction("added", Some(2), "wen", STYLED, 20));
    let harness = heard(&[&one, &two]);
    assert_eq!(harness.ask("SELECT count(DISTINCT reaction) FROM reactions WHERE present"), "2");
}

#[test]
fn people_of_both_spellings_are_one_group_shown_as_first_told() {
    let bodies = [
        reaction("added", Some(1), "wen", STYLED, 10),
        reaction("added", Some(2), "bob", PLAIN, 20),
        reaction("added", Some(3), "cem", PLAIN, 30),
        reaction("added", Some(4), "cem", "\u{1f3d2}", 40),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let harness = heard(&order.map(|at: usize| bodies[at].as_str()));
        let told = groups(&harness);
        assert_eq!(told["reactionsCount"], 4);
        let mut listed: Vec<(String, i64)> = told["reactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| (group["reaction"].as_str().unwrap().to_owned(), group["count"].as_i64().unwrap()))
            .collect();
        listed.sort();
        assert_eq!(listed, [("\u{1f3d2}".to_owned(), 1), (STYLED.to_owned(), 3)]);
    }
}

#[test]
fn removal_in_the_other_spelling_ends_the_reaction() {
    let added = reaction("added", Some(1), "wen", STYLED, 10);
    let nameless = reaction("added", None, "wen", STYLED, 10);
    for (add, remove) in [
        (&added, reaction("removed", Some(1), "wen", PLAIN, 10)),
        (&nameless, reaction("removed", None, "wen", PLAIN, 10)),
    ] {
        let (before, after) = (heard(&[&remove, add]), heard(&[add, &remove]));
        for harness in [&before, &after] {
            assert_eq!(groups(harness), json!({"reactionsCount": 0, "reactions": []}), "{remove}");
            harness.explain_all("a removal in the other spelling");
        }
        assert_same(&before.truth(), &after.truth(), "a removal before and after");
    }
}

#[test]
fn top_reactions_count_both_spellings_as_one() {
    let bodies = [
        reaction("added", Some(1), "wen", PLAIN, 10),
        reaction("added", Some(2), "wen", STYLED, 20),
        reaction("added", Some(3), "bob", STYLED, 30),
        reaction("added", Some(4), "bob", "x", 40),
    ];
    let harness = heard(&bodies.each_ref().map(String::as_str));
    let query = r#"{group(guid:"g"){activity(after:"2026-01-05T00:00:00Z",before:"2026-01-06T00:00:00Z"){topReactions{reaction count} days{reactionsCount}}}}"#;
    let told = harness.data(query);
    let activity = &told["group"]["activity"];
    assert_eq!(activity["topReactions"], json!([{"reaction": PLAIN, "count": 2}, {"reaction": "x", "count": 1}]));
    assert_eq!(activity["days"][0]["reactionsCount"], 3);
}
