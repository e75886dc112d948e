use super::harness::{File, ask_as, code};
use chatfold::graphql::{Caller, sdl};
use chatfold::ids::TokenScope;
use serde_json::Value;

const MARK: &str = "said-5f1e";

/// Everything that can be said, said.
fn file() -> File {
    let file = File::new();
    file.app("app").user("app", "a").group("app", "g").message("app", "group_g", "1", "a", 0);
    file.message("app", "group_g", "2", "a", 1);
    let said =
        format!("{{\"text\":\"{MARK}\",\"data\":{{\"message\":{{\"id\":1,\"data\":{{\"text\":\"{MARK}\"}}}}}}}}");
    file.event("app", 1, "message_sent", "applied", &said).event(
        "app",
        2,
        "t",
        "rejected",
        &format!("not JSON {MARK}"),
    );
    let json = format!("{{\"k\":\"{MARK}\"}}");
    let attachments = format!(
        "[{{\"name\":\"{MARK}\",\"extension\":\"{MARK}\",\"mimeType\":\"{MARK}\",\"size\":55119,\"url\":\"{MARK}\"}}]"
    );
    file.sql(&format!(
        "UPDATE messages SET text = '{MARK}', data = '{json}', metadata = '{json}', attachments = '{attachments}';
         UPDATE users SET metadata = '{json}'; UPDATE groups SET metadata = '{json}';
         INSERT INTO event_refs VALUES ('app', 'message', '1', 1);
         INSERT INTO message_edits VALUES ('app', '1', 9, 3, 9, 1, x'00', '{MARK}', NULL);
         INSERT INTO moderation (app_id, message_id, status, failed_at, failure, registers) VALUES ('app', '1', 'approved', 9, '{MARK}', x'');
         INSERT INTO call_sessions (app_id, session_key, kind, anchor, session_id, order_at, news_at) VALUES ('app', 's:1', 'call', 9, '1', 9, 9);
         INSERT INTO recordings VALUES ('app', 's:1', 'call', 9, 9, '{MARK}', 1);
         INSERT INTO transcripts VALUES ('app', 's:1', 'call', 9, 't', '{MARK}', 9, 9)"
    ));
    file
}

fn of(scope: TokenScope) -> Caller {
    Caller { scope, ..Caller::default() }
}

const ALL: &str = "{messages{nodes{messageId text originalText data metadata attachments{name extension mimeType size url} attachmentsCount edits{text editedAt} moderation{status failure}}}
    users{nodes{name metadata}} groups{nodes{name metadata}} callSession(sessionId:\"1\"){recordings{url durationSeconds} transcripts{transcriptId url}}}";

#[test]
fn metadata_shows_who_and_when_and_nothing_that_was_said() {
    let file = file();
    let api = file.api();
    let answer = ask_as(&api, ALL, of(TokenScope::Metadata));
    let data = &answer["data"];
    assert!(!data.to_string().contains(MARK) && !data.to_string().contains("55119"), "{data:#}");
    let first = &data["messages"]["nodes"][0];
    assert!(first.is_object(), "{answer:#}");
    assert_eq!((&first["messageId"], &first["attachmentsCount"]), (&"2".into(), &1.into()));
    assert_eq!(data["messages"]["nodes"][1]["moderation"]["status"], "approved");
    assert_eq!(data["users"]["nodes"][0]["name"], "Name of a");
    assert_eq!(data["callSession"]["transcripts"][0]["transcriptId"], "t");
    let errors = answer["errors"].as_array().unwrap();
    assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORBIDDEN"), "{errors:#?}");
    assert!(!answer.to_string().contains(MARK));
}

#[test]
fn a_forbidden_field_tells_so_once_however_many_rows_it_has() {
    let answer = ask_as(&file().api(), "{messages{nodes{text data}}}", of(TokenScope::Metadata));
    let paths: Vec<String> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["path"].to_string()).collect();
    assert_eq!(paths, [r#"["messages","nodes",0,"text"]"#, r#"["messages","nodes",0,"data"]"#]);
}

#[test]
fn content_shows_what_was_said_and_admin_the_bodies_of_events() {
    let file = file();
    let api = file.api();
    let answer = ask_as(&api, ALL, of(TokenScope::Content));
    assert!(answer.get("errors").is_none(), "{answer:#}");
    // Two messages of a text, data, metadata and four texts of an attachment; a first text, edit, failure, person, group,
    // two URLs.
    assert_eq!(answer.to_string().matches(MARK).count(), 2 * 7 + 7);
    let explained = "{explain(entity:\"message:1\")}";
    for scope in [TokenScope::Metadata, TokenScope::Content] {
        assert_eq!(code(&ask_as(&api, explained, of(scope))), "FORBIDDEN");
    }
    assert_ne!(code(&ask_as(&api, explained, of(TokenScope::Admin))), "FORBIDDEN");
    let bodies = "{events{nodes{seq trigger body bodyError}}}";
    for scope in [TokenScope::Metadata, TokenScope::Content] {
        let answer = ask_as(&api, bodies, of(scope));
        assert_eq!(code(&answer), "FORBIDDEN");
        assert!(!answer.to_string().contains(MARK) && answer["data"]["events"]["nodes"][0]["trigger"] == "t");
        assert!(answer["data"]["events"]["nodes"][0]["bodyError"].is_null());
    }
    let answer = ask_as(&api, bodies, of(TokenScope::Admin));
    assert_eq!(answer["data"]["events"]["nodes"][1]["body"]["text"], MARK);
    assert!(answer.get("errors").is_none() && answer["data"]["events"]["nodes"][0]["bodyError"].is_string());
}

#[test]
fn every_field_that_may_hold_what_was_said_is_among_those_asked_above() {
    let names = ["text: String", "originalText: String", "data: JSON", "failure: String", "url: String"];
    let sdl = sdl();
    let (mut of, mut named, mut found) = ("", "", Vec::new());
    for line in sdl.lines() {
        if let Some(rest) = line.strip_prefix("type ") {
            of = rest.split(' ').next().unwrap();
        }
        let field = line.trim();
        // The type of a field with arguments stands behind them.
        if field.ends_with('(') {
            named = field.trim_end_matches('(');
        }
        let field = if field.starts_with("): ") { format!("{named}{}", &field[1..]) } else { field.to_owned() };
        if names.contains(&field.as_str()) || (field.ends_with(": JSON") && !field.starts_with('"')) {
            found.push(format!("{of}.{}", field.split(':').next().unwrap()));
        }
    }
    let asked = [
        "Attachment.url",
        "Entity.explanation",
        "Event.body",
        "Group.metadata",
        "Message.text",
        "Message.originalText",
        "Message.data",
        "Message.metadata",
        "MessageEdit.text",
        "Moderation.failure",
        "Query.explain",
        "Recording.url",
        "Transcript.url",
        "User.metadata",
    ];
    // It needs the scope admin and a setting: `tests/private.rs`.
    found.retain(|field| field != "User.private");
    assert_eq!(found, asked);
}

#[test]
fn an_edit_seen_through_another_message_is_guarded_too() {
    let file = file();
    file.sql("UPDATE messages SET parent_id = '1', quoted_id = '1' WHERE message_id = '2'");
    let query = "{message(messageId:\"2\"){parent{text edits{text}} quoted{data}} node(id:\"WyJNIiwiYXBwIiwiMSJd\"){...on Message{text}}}";
    let answer = ask_as(&file.api(), query, of(TokenScope::Metadata));
    assert!(!answer.to_string().contains(MARK), "{answer:#}");
    let null = |pointer: &str| answer.pointer(pointer).is_some_and(Value::is_null);
    assert!(null("/data/node/text") && null("/data/message/parent/text") && null("/data/message/quoted/data"));
}

/// Whoever may not see custom data cannot find out what they are, either.
#[test]
fn custom_data_are_not_guessed_by_filtering() {
    let file = file();
    let query = "{messages(filter:{metadata:{key:\"k\"}}){nodes{messageId}}}";
    assert_eq!(code(&ask_as(&file.api(), query, of(TokenScope::Metadata))), "FORBIDDEN");
    let answer = ask_as(&file.api(), query, of(TokenScope::Content));
    assert_eq!(answer["data"]["messages"]["nodes"].as_array().map(Vec::len), Some(2), "{answer}");
}
