//! What is an edit: a text that differs from the text before it in time, whatever order the deliveries arrive in.

mod harness;

use harness::{Harness, NOON, assert_same};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const SECOND: i64 = NOON / 1000;
const EDITS: &str = "SELECT (edited_at / 1000) - 1767614400, text, edited_by FROM message_edits";
const EDITED: &str = "SELECT (edited_at / 1000) - 1767614400, edited_by, text FROM messages WHERE message_id = '7'";

fn event(trigger: &str, message: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","appId":"a","webhook":"w","data":{{"message":{message}}}}}"#)
}

/// Message 7, sent at second 0, with further fields.
fn message(text: &str, more: &str) -> String {
    format!(
        r#"{{"id":"7","sender":"ann","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{SECOND},"data":{{"text":"{text}"}}{more}}}"#
    )
}

fn edited_message(at: i64, by: &str, text: &str) -> String {
    message(text, &format!(r#","editedAt":{},"editedBy":"{by}""#, SECOND + at))
}

fn sent(text: &str) -> String {
    event("message_sent", &message(text, ""))
}

fn edited(at: i64, by: &str, text: &str) -> String {
    event("message_edited", &edited_message(at, by, text))
}

/// The action message that echoes an edit.
fn echo(trigger: &str, at: i64, by: &str, text: &str) -> String {
    let on = edited_message(at, by, text);
    event(
        trigger,
        &format!(
            r#"{{"id":"{}","sender":"{by}","receiverType":"group","receiver":"g","category":"action","type":"message","sentAt":{},"data":{{"action":"edited","entities":{{"on":{{"entity":{on}}}}}}}}}"#,
            1_000 + at,
            SECOND + at
        ),
    )
}

/// A reply that quotes the message as it was after an edit.
fn quoted(at: i64, by: &str, text: &str) -> String {
    event(
        "message_sent",
        &format!(
            r#"{{"id":"{}","sender":"bob","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"quotedMessageId":"7","quotedMessage":{},"data":{{"text":"reply"}}}}"#,
            2_000 + at,
            SECOND + at + 1,
            edited_message(at, by, text)
        ),
    )
}

fn deleted() -> String {
    event("message_deleted", &format!(r#"{{"id":"7","deletedAt":{},"deletedBy":"ann"}}"#, SECOND + 900))
}

fn heard(bodies: &[String]) -> Harness {
    let harness = Harness::new();
    for (at, body) in (NOON..).step_by(100).zip(bodies) {
        harness.post(body, at);
    }
    harness
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(last);
    shorter.iter().flat_map(|order| (0..=last).map(|at| [&order[..at], &[last], &order[at..]].concat())).collect()
}

/// Every order of arrival gives these edits and this row.
fn in_every_order(bodies: &[String], edits: &str, row: &str) {
    for order in permutations(bodies.len()) {
        let harness = heard(&order.iter().map(|at| bodies[*at].clone()).collect::<Vec<_>>());
        assert_eq!(harness.ask(EDITS), edits, "edits, heard in the order {order:?}");
        assert_eq!(harness.ask(EDITED), row, "the message, heard in the order {order:?}");
        harness.explain_all("every order");
    }
}

#[test]
fn a_deleted_message_holds_and_shows_no_text_data_metadata_or_attachments() {
    let more =
        |body: String| body.replace(r#"},"editedAt"#, r#","metadata":{"k":1},"attachments":[{"url":"u"}]},"editedAt"#);
    let bodies = [sent("a"), more(edited(5, "ann", "b")), edited(9, "app_system", "b"), deleted()];
    let held = |harness: &Harness| harness.ask("SELECT text, data, metadata, attachments FROM messages");
    let told = "{message(messageId:\"7\"){text data metadata attachments{url} edits{text}}
        messages(filter:{includeDeleted:true,metadata:{key:\"k\"}}){nodes{messageId}}}";
    let (harness, one) = (heard(&bodies[..2]), json!([{"messageId": "7"}]));
    assert!(held(&harness).ends_with(r#"{"k":1}|[{"url":"u"}]"#));
    assert_eq!(harness.data(told)["messages"]["nodes"], one);
    for order in permutations(bodies.len()) {
        let harness = heard(&order.iter().map(|at| bodies[*at].clone()).collect::<Vec<_>>());
        assert_eq!(held(&harness), "null|null|null|null", "heard in the order {order:?}");
        assert_eq!(harness.ask("SELECT DISTINCT text FROM message_additions"), "null", "heard in the order {order:?}");
        assert_eq!(harness.ask(EDITS), "5|null|ann", "heard in the order {order:?}");
        let edits = json!([{"text": null}]);
        let message = json!({"text": null, "data": null, "metadata": null, "attachments": [], "edits": edits});
        assert_eq!(harness.data(told), json!({"message": message, "messages": {"nodes": []}}));
    }
}

#[test]
fn edit_that_leaves_the_text_is_no_edit() {
    in_every_order(&[sent("a"), edited(9, "app_system", "a")], "", "null|null|a");
}

#[test]
fn what_a_machine_edits_before_any_text_is_known_is_no_edit() {
    in_every_order(&[edited(5, "app_system", "a"), edited(9, "app_system", "a")], "", "null|null|a");
    in_every_order(&[edited(5, "app_system", "a"), edited(9, "ann", "b")], "9|b|ann", "9|ann|b");
}

#[test]
fn edit_between_two_equal_texts_makes_the_second_an_edit() {
    let bodies = [sent("a"), edited(5, "ann", "b"), edited(9, "bob", "a")];
    in_every_order(&bodies, "5|b|ann\n9|a|bob", "9|bob|a");
}

#[test]
fn machine_after_a_person_changes_neither_time_nor_editor() {
    let bodies = [sent("a"), edited(5, "ann", "b"), edited(9, "app_system", "b"), edited(12, "app_system", "b")];
    in_every_order(&bodies, "5|b|ann", "5|ann|b");
}

#[test]
fn what_a_machine_adds_counts() {
    let preview = edited(9, "app_system", "a").replace(r#""text":"a""#, r#""text":"a","metadata":{"preview":1}"#);
    for bodies in [[sent("a"), preview.clone()], [preview, sent("a")]] {
        let harness = heard(&bodies);
        assert_eq!(harness.ask("SELECT metadata, edited_at FROM messages"), "{\"preview\":1}|null");
    }
}

#[test]
fn edit_without_a_text_is_no_edit() {
    let voted = edited(9, "app_system", "").replace(r#""text":"""#, r#""customData":{"votes":1}"#);
    let poll = sent("").replace(r#""text":"""#, r#""customData":{"votes":0}"#);
    for bodies in [[poll.clone(), voted.clone()], [voted, poll]] {
        let harness = heard(&bodies);
        assert_eq!(harness.ask(EDITS), "");
        assert_eq!(
            harness.ask("SELECT data, edited_at, edited_by FROM messages"),
            r#"{"customData":{"votes":1}}|null|null"#
        );
    }
}

#[test]
fn machine_in_the_second_of_a_person_does_not_take_the_edit() {
    for bodies in [
        [
            sent("a"),
            edited(5, "ann", "b"),
            edited(5, "app_system", "b").replace(r#""text":"b""#, r#""text":"b","k":1"#),
        ],
        [
            edited(5, "app_system", "b").replace(r#""text":"b""#, r#""text":"b","k":1"#),
            edited(5, "ann", "b"),
            sent("a"),
        ],
    ] {
        let harness = heard(&bodies);
        assert_eq!(harness.ask(EDITS), "5|b|ann");
        assert_eq!(harness.ask(EDITED), "5|ann|b");
    }
}

#[test]
fn edits_of_one_second_are_listed_as_the_log_has_them() {
    // Enough of them that an order by anything else would show.
    let texts = ["d", "b", "c", "a", "e"];
    let bodies: Vec<String> = std::iter::once(sent("0")).chain(texts.map(|text| edited(5, "ann", text))).collect();
    let harness = heard(&bodies);
    let told = harness.data(r#"{message(messageId:"7"){text edits{text} editsCount}}"#);
    let listed: Vec<&str> =
        told["message"]["edits"].as_array().unwrap().iter().map(|edit| edit["text"].as_str().unwrap()).collect();
    assert_eq!(listed, texts);
    assert_eq!(told["message"]["text"], "e", "the last edit listed is the text shown");
    assert_eq!(told["message"]["editsCount"], 5);
}

#[test]
fn last_edit_listed_is_the_text_shown_though_an_echo_comes_later() {
    let harness =
        heard(&[sent("0"), edited(5, "ann", "z"), edited(5, "ann", "b"), echo("message_sent", 5, "ann", "z")]);
    let told = harness.data(r#"{message(messageId:"7"){text edits{text}}}"#);
    assert_eq!(told["message"], json!({"text": "b", "edits": [{"text": "z"}, {"text": "b"}]}));
}

#[test]
fn text_first_sent_is_told_though_its_edit_time_is_zero() {
    let unedited = event("message_sent", &message("a", r#","editedAt":0"#));
    let harness = heard(&[unedited, edited(5, "ann", "b")]);
    let told = harness.data(r#"{message(messageId:"7"){originalText edits{text}}}"#);
    assert_eq!(told["message"], json!({"originalText": "a", "edits": [{"text": "b"}]}));
}

#[test]
fn deletion_hides_texts_and_changes_no_edit() {
    let bodies = [sent("a"), edited(5, "app_system", "a"), edited(7, "ann", "b"), deleted()];
    in_every_order(&bodies, "7|null|ann", "7|ann|null");
}

#[test]
fn link_preview_and_legacy_reactions_are_no_edits() {
    let preview = include_str!("../fixtures/triggers/message_edited.link_preview.json");
    let reactions = include_str!("../fixtures/triggers/message_edited.legacy_reactions.json");
    let changed = |text: &str, trigger: &str, at: Option<i64>| {
        let mut body: Value = serde_json::from_str(preview).unwrap();
        body["trigger"] = trigger.into();
        let message = body["data"]["message"].as_object_mut().unwrap();
        message["data"]["text"] = text.into();
        message["data"].as_object_mut().unwrap().remove("metadata");
        match at {
            Some(at) => (message["editedAt"], message["editedBy"]) = (at.into(), "m-ines".into()),
            None => message.retain(|name, _| !name.starts_with("edited")),
        }
        body.to_string()
    };
    let first = "Dive log is up: https://reef.example/log/17";
    let sent = changed(first, "message_sent", None);
    let query = r#"{message(messageId:"7001"){text editedAt editedBy{uid} edits{text} reactions{reaction} metadata}}"#;
    for order in permutations(3) {
        let bodies = [&sent, preview, reactions];
        let harness = Harness::new();
        order.iter().for_each(|at| {
            harness.post(bodies[*at], NOON);
        });
        let told = &harness.data(query)["message"];
        assert_eq!((&told["editedAt"], &told["editedBy"]), (&Value::Null, &Value::Null), "{order:?}");
        assert_eq!((&told["edits"], &told["reactions"]), (&json!([]), &json!([])), "{order:?}");
        assert_eq!(told["text"], first);
        let extensions = &told["metadata"]["@injected"]["extensions"];
        assert_eq!(extensions["reactions"]["😊"], json!([]), "{order:?}");
        assert_eq!(extensions["link-preview"]["links"][0]["title"], "Log 17");
    }
    // Between the two a person takes the link away and puts it back: the second machine then finds what she wrote.
    let (away, back) =
        (changed("No", "message_edited", Some(1_795_000_020)), changed(first, "message_edited", Some(1_795_000_030)));
    for order in permutations(5).into_iter().step_by(7) {
        let bodies = [&sent, preview, &away, &back, reactions];
        let harness = Harness::new();
        order.iter().for_each(|at| {
            harness.post(bodies[*at], NOON);
        });
        let edits = harness.ask("SELECT text, edited_by FROM message_edits");
        assert_eq!(edits, format!("No|m-ines\n{first}|m-ines"), "{order:?}");
        assert_eq!(
            harness.ask("SELECT edited_at / 1000 - 1795000000, edited_by FROM messages"),
            "30|m-ines",
            "{order:?}"
        );
    }
}

/// What is told of message 7: by whom, when, as which text, in which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Base,
    Edit { at: i64, by: u8, text: u8, shape: u8 },
    Deleted,
}

const TEXTS: [&str; 3] = ["a", "b", "c"];
const PEOPLE: [&str; 3] = ["ann", "bob", "app_system"];

impl Said {
    fn body(self) -> String {
        match self {
            Self::Base => sent(TEXTS[0]),
            Self::Deleted => deleted(),
            Self::Edit { at, by, text, shape } => {
                let (by, text) = (PEOPLE[usize::from(by % 3)], TEXTS[usize::from(text % 3)]);
                match shape % 4 {
                    0 => edited(at, by, text),
                    1 => echo("message_edited", at, by, text),
                    2 => echo("message_sent", at, by, text),
                    _ => quoted(at, by, text),
                }
            }
        }
    }
}

/// The edits by the contract's words, from what has been heard.
fn model(heard: &[Said]) -> String {
    let mut told: Vec<(i64, &str, &str)> = heard
        .iter()
        .filter_map(|said| match said {
            Said::Edit { at, by, text, .. } => Some((*at, TEXTS[usize::from(text % 3)], PEOPLE[usize::from(by % 3)])),
            _ => None,
        })
        .collect();
    told.sort_unstable();
    told.dedup();
    let mut before = heard.contains(&Said::Base).then_some(TEXTS[0]);
    let mut edits = Vec::new();
    for (at, text, by) in told {
        // Where nothing is known before, a machine is taken to have left the text as it was.
        if before.map_or(by != "app_system", |before| text != before) {
            let text = if heard.contains(&Said::Deleted) { "null" } else { text };
            edits.push(format!("{at}|{text}|{by}"));
        }
        before = Some(text);
    }
    edits.join("\n")
}

fn story() -> impl Strategy<Value = (Vec<Said>, Vec<usize>)> {
    let edit = (any::<u8>(), any::<u8>(), any::<u8>());
    (prop::collection::vec(edit, 1..9), any::<bool>(), any::<bool>()).prop_flat_map(|(edits, base, ends)| {
        let edits = (10i64..).step_by(10).zip(edits).map(|(at, (by, text, shape))| Said::Edit { at, by, text, shape });
        let said: Vec<Said> =
            base.then_some(Said::Base).into_iter().chain(ends.then_some(Said::Deleted)).chain(edits).collect();
        let order: Vec<usize> = (0..said.len()).chain(0..said.len() / 2).collect();
        (Just(said), Just(order).prop_shuffle())
    })
}

fn run(law: impl Fn((Vec<Said>, Vec<usize>)) -> Result<(), TestCaseError>) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]);
    let cases = std::env::var("CHATFOLD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    runner.run(&story(), law).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn edits_are_those_of_a_plain_model_after_every_delivery() {
    run(|(said, order)| {
        let harness = Harness::new();
        let mut heard = Vec::new();
        for (at, which) in order.into_iter().enumerate() {
            harness.post(&said[which].body(), NOON + at as i64 * 100);
            heard.push(said[which]);
            assert_eq!(harness.ask(&format!("{EDITS} ORDER BY edited_at")), model(&heard), "{heard:?}");
            let last = harness.ask("SELECT edited_at, edited_by FROM message_edits ORDER BY edited_at DESC LIMIT 1");
            let row = harness.ask("SELECT edited_at, edited_by FROM messages WHERE message_id = '7'");
            assert_eq!(row, if last.is_empty() { "null|null".to_owned() } else { last }, "{heard:?}");
        }
        harness.explain_all("a story of edits");
        Ok(())
    });
}

#[test]
fn texts_told_in_any_order_end_in_the_same_tables() {
    run(|(said, order)| {
        let straight = heard(&said.iter().map(|said| said.body()).collect::<Vec<_>>());
        let shuffled = heard(&order.iter().map(|at| said[*at].body()).collect::<Vec<_>>());
        assert_same(&straight.truth(), &shuffled.truth(), &format!("{said:?} in the order {order:?}"));
        Ok(())
    });
}
