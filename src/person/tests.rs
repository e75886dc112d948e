use super::*;
use std::collections::HashMap;

/// Ann, who wrote message 7 and took part in the call s1.
struct Ann;

impl Erased for Ann {
    fn uid(&self, uid: &str) -> Option<&str> {
        (uid == "ann").then_some("P")
    }

    fn name(&self, name: &str) -> Option<&str> {
        (name == "Ann Lee").then_some("P")
    }

    fn owns(&self, value: &str) -> bool {
        value == "https://x/ann.png"
    }

    fn wrote(&self, message_id: &str) -> Option<&str> {
        (message_id == "7").then_some("P")
    }

    fn attended(&self, session_id: &str) -> bool {
        session_id == "s1"
    }

    fn without_names(&self, sentence: &str) -> Option<String> {
        sentence.contains("Ann Lee").then(|| sentence.replace("Ann Lee", "P"))
    }
}

/// The number 5.
struct Five;

impl Erased for Five {
    fn uid(&self, uid: &str) -> Option<&str> {
        (uid == "5").then_some("P")
    }

    fn name(&self, _: &str) -> Option<&str> {
        None
    }

    fn owns(&self, _: &str) -> bool {
        false
    }
}

fn of(erased: &dyn Erased, body: &str) -> Option<String> {
    redact(&Document::parse(body.as_bytes().to_vec()).unwrap(), erased).map(|it| it.body)
}

#[track_caller]
fn becomes(data: &str, expected: &str) {
    let whole = |data: &str| format!("{{\"trigger\":\"t\",\"data\":{data}}}");
    assert_eq!(of(&Ann, &whole(data)), (data != expected).then(|| whole(expected)), "{data}");
}

#[test]
fn of_a_person_only_the_facts_stay() {
    becomes(
        r#"{"members":{"ann":{"uid":"ann","name":"Ann Lee","avatar":"a","metadata":{"x":[1]},"scope":"admin","joinedAt":5}}}"#,
        r#"{"members":{"P":{"uid":"P","name":"P","avatar":null,"metadata":null,"scope":"admin","joinedAt":5}}}"#,
    );
    becomes(
        r#"{"by":{"uid":"bob","name":"Ann Lee","avatar":"https://x/ann.png"}}"#,
        r#"{"by":{"uid":"bob","name":"Ann Lee","avatar":"https://x/ann.png"}}"#,
    );
}

#[test]
fn what_a_person_wrote_goes_and_when_they_wrote_it_stays() {
    becomes(
        r#"{"id":"8","sender":"ann","receiverType":"user","receiver":"bob","conversationId":"ann_user_bob","sentAt":1,"muid":"m",
            "tags":["x"],"data":{"text":"hello","url":"u","mentions":{"bob":{"uid":"bob","name":"Bob"}},"metadata":{"incrementUnreadCount":true,"a":1}}}"#,
        r#"{"id":"8","sender":"P","receiverType":"user","receiver":"bob","conversationId":"P_user_bob","sentAt":1,"muid":null,
            "tags":null,"data":{"text":null,"url":null,"mentions":{"bob":{"uid":"bob","name":"Bob"}},"metadata":{"incrementUnreadCount":true}}}"#,
    );
    // A copy that does not tell who wrote it.
    becomes(
        r#"{"quotedMessage":{"id":"7","data":{"text":"x"}}}"#,
        r#"{"quotedMessage":{"id":"7","data":{"text":null}}}"#,
    );
    becomes(
        r#"{"quotedMessage":{"id":"9","data":{"text":"x"}}}"#,
        r#"{"quotedMessage":{"id":"9","data":{"text":"x"}}}"#,
    );
}

#[test]
fn what_others_wrote_keeps_all_but_the_mention() {
    becomes(
        r#"{"message":{"id":"8","sender":"bob","receiver":"ann","receiverType":"user","data":{"text":"<@uid:ann>, Ann Lee","metadata":{"who":"ann","n":5}}}}"#,
        r#"{"message":{"id":"8","sender":"bob","receiver":"P","receiverType":"user","data":{"text":"<@uid:P>, Ann Lee","metadata":{"who":"P","n":5}}}}"#,
    );
    // What CometChat words about a message of another's, and that message.
    becomes(
        r#"{"category":"action","data":{"text":"Ann Lee read","entities":{"on":{"entity":{"id":"8","data":{"text":"Dear Ann Lee"}}}}}}"#,
        r#"{"category":"action","data":{"text":"P read","entities":{"on":{"entity":{"id":"8","data":{"text":"Dear Ann Lee"}}}}}}"#,
    );
    // A number that is also that of a message of the person's.
    becomes(
        r#"{"by":{"uid":"ann","statusMessage":"Hi"},"moderation":{"condition":{"id":"7","category":"pattern"}}}"#,
        r#"{"by":{"uid":"P","statusMessage":null},"moderation":{"condition":{"id":"7","category":"pattern"}}}"#,
    );
    becomes(
        r#"{"category":"action","data":{"text":"Ann Lee left"}}"#,
        r#"{"category":"action","data":{"text":"P left"}}"#,
    );
}

#[test]
fn lists_read_from_the_api_keep_their_facts() {
    becomes(
        r#"{"uid":"ann","blocked":{"bob":{"blockedAt":5}},"reactions":[{"id":"1","reaction":"x","uid":"ann","reactedAt":5}]}"#,
        r#"{"uid":"P","blocked":{"bob":{"blockedAt":5}},"reactions":[{"id":"1","reaction":"x","uid":"P","reactedAt":5}]}"#,
    );
    becomes(r#"{"blocked":{"ann":{"blockedAt":5}}}"#, r#"{"blocked":{"P":{"blockedAt":5}}}"#);
}

#[test]
fn a_group_that_is_called_as_the_person_stays() {
    for data in [
        r#"{"receiver":"ann","receiverType":"group","sender":"bob","data":{}}"#,
        r#"{"group":{"guid":"ann","name":"ann","conversationId":"group_ann"}}"#,
        r#"{"type":"ann","status":"ann","id":"ann"}"#,
    ] {
        becomes(data, data);
    }
}

#[test]
fn people_are_found_in_texts_that_are_json_and_in_free_data() {
    becomes(
        r#"{"metadata":"{\"votes\":[\"ann\"],\"x\":1}","polls":{"1":{"voters":{"ann":{"name":"Ann Lee"}}}},"by":"Ann Lee","img":"https://x/ann.png"}"#,
        r#"{"metadata":"{\"votes\":[\"P\"],\"x\":1}","polls":{"1":{"voters":{"P":{"name":"P"}}}},"by":"P","img":null}"#,
    );
}

#[test]
fn a_uid_that_is_a_number_is_found_only_where_a_uid_stands() {
    let body =
        r#"{"data":{"uid":5,"options":{"5":{"count":5,"voters":{"5":{}}}},"size":"5","sender":"5","messageId":"5"}}"#;
    let expected =
        r#"{"data":{"uid":"P","options":{"5":{"count":5,"voters":{"P":{}}}},"size":"5","sender":"P","messageId":"5"}}"#;
    assert_eq!(of(&Five, body).as_deref(), Some(expected));
}

#[test]
fn what_is_redacted_stays_so() {
    for body in [
        r#"{"trigger":"recording_generated","data":{"sessionId":"s1","recording_url":"u","startTime":"5"}}"#,
        r#"{"trigger":"user_connection_status_changed","data":{"user":{"uid":"ann","name":"A"},"ip":"1","timestamp":5}}"#,
        r#"{"trigger":"sms-notification-payload-generated","data":{"to":{"uid":"ann","contactNumber":"5"},"smsContent":"Hi"}}"#,
        r#"{"trigger":"moderation_engine_failed","data":{"resource":{"id":"7","conversationId":"g"},"failures":[{"errorMessage":"m","category":"c"}]}}"#,
    ] {
        let once = of(&Ann, body).unwrap();
        let again = of(&Ann, &once);
        assert_eq!(again.unwrap_or_else(|| once.clone()), once);
        let shape = |text: &str| text.matches([':', '{', '[']).count();
        assert_eq!(shape(&once), shape(body), "{once}");
    }
}

#[test]
fn what_names_nobody_is_left_alone_whatever_it_holds() {
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["[]", "{}", "5", r#"{"data":{"wsChannel":{"a":1},"text":"\ud83d anna 1e999"}}"#, &deep] {
        assert_eq!(of(&Ann, body), None);
    }
    let found: HashMap<&str, bool> =
        ["ann", "5", "12", "1042", "a1", "mira-7"].map(|uid| (uid, is_distinct(uid))).into();
    assert_eq!(found.values().filter(|it| **it).count(), 2, "{found:?}");
}
