//! Bodies, sequences of deliveries and cursors that nobody has thought of. (Credentials and the check of GraphQL
//! documents are tried beside their code.)
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
#[path = "support/mutate.rs"]
mod mutate;

use async_graphql::{Request, Variables};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatfold::envelope::Envelope;
use chatfold::graphql::{Api, Caller, Limits};
use chatfold::ids::Time;
use chatfold::log::Source;
use harness::{Harness, NOON, story};
use mutate::{corpus, fuzz, within};
use serde_json::{Value, json};
use std::time::Duration;

/// A debug build on a busy machine included.
const LONGEST: Duration = Duration::from_secs(3);

#[test]
fn a_body_is_kept_byte_for_byte_or_refused_and_none_that_is_whole_is_refused() {
    let corpus = corpus(&["triggers", "corpus/envelope"]);
    fuzz("envelope", &corpus, 4, |bodies| {
        for body in bodies {
            let read = within(LONGEST, "an envelope", || Envelope::parse(body));
            // What another reader understands is a delivery here.
            let other = serde_json::from_slice::<Value>(body).ok();
            let whole = other.is_some_and(|other| other["trigger"].is_string() && other["appId"].is_string());
            match read {
                Ok(envelope) => {
                    assert_eq!(envelope.body.as_bytes(), body);
                    assert!(!envelope.reason.is_some_and(|reason| reason.contains("a bug in chatfold")));
                }
                Err(problem) => assert!(!whole, "refused: {problem}: {}", String::from_utf8_lossy(body)),
            }
        }
    });
}

#[test]
fn any_sequence_of_deliveries_folds_and_verifies() {
    let corpus = corpus(&["triggers", "corpus/fold"]);
    fuzz("fold", &corpus, 24, |bodies| {
        // Verified when it is dropped.
        let harness = Harness::new();
        harness.transaction(|| {
            for (at, body) in (NOON..).step_by(977).zip(bodies) {
                let Ok(envelope) = Envelope::parse(body) else { continue };
                let appended = within(LONGEST, "a fold", || harness.append(&envelope, Time(at), Source::Http));
                let kept = harness.ask(&format!("SELECT body FROM events WHERE seq = {}", appended.seq));
                assert!(appended.duplicate || kept.as_bytes() == body);
            }
        });
        assert_eq!(harness.ask("SELECT reason FROM events WHERE reason LIKE '% failed: %'"), "");
    });
}

#[test]
fn a_cursor_is_answered_with_a_page_or_with_bad_input() {
    let harness = Harness::new();
    harness.ingest(story("demo").iter().map(String::as_str));
    let api = Api::open(&harness.path(), Limits::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask = |query: &str, variables: Value| -> Value {
        let request = Request::new(query).variables(Variables::from_json(variables));
        let answer = runtime.block_on(api.execute_text(request, Caller::default()));
        serde_json::from_str(&answer).unwrap()
    };
    let app = harness.ask("SELECT min(app_id) FROM messages");
    let list = |name: &str| {
        format!(
            "query($c: String) {{list: {name}(appId: \"{app}\", first: 2, after: $c) {{nodes {{id}} pageInfo {{endCursor hasPreviousPage}}}}}}"
        )
    };
    let lists = ["messages", "users", "groups"].map(list);
    let mut corpus = corpus(&["corpus/cursor"]);
    for query in &lists {
        let answer = ask(query, json!({}));
        let cursor = answer["data"]["list"]["pageInfo"]["endCursor"].as_str().unwrap_or_else(|| panic!("{answer}"));
        corpus.push(cursor.into());
        corpus.push(URL_SAFE_NO_PAD.decode(cursor).unwrap());
    }
    fuzz("cursor", &corpus, 2, |cursors| {
        for cursor in cursors {
            // As it is, and inside what all cursors are wrapped in.
            for text in [String::from_utf8_lossy(cursor).into_owned(), URL_SAFE_NO_PAD.encode(cursor)] {
                for query in &lists {
                    let answer = within(LONGEST, "a page", || ask(query, json!({ "c": text })));
                    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
                    let refused = errors.iter().all(|error| error["extensions"]["code"] == "BAD_INPUT");
                    assert!(refused && errors.is_empty() == answer["data"]["list"]["nodes"].is_array(), "{answer}");
                }
            }
        }
    });
}
