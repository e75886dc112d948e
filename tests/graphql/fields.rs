use super::harness::{File, T0, all, ask, ask_text, code, data};
use chatfold::graphql::{Caller, Limits};
use std::time::Duration;

fn group() -> File {
    let file = File::new();
    file.app("app").group("app", "g").user("app", "a").user("app", "b");
    file.member("app", "g", "a", "joined").member("app", "g", "b", "kicked").member("app", "g", "owner", "joined");
    for (uid, at, state, seq) in
        [("a", T0, "joined", 1), ("b", T0, "joined", 2), ("b", T0 + 60_000, "kicked", 3), ("owner", T0, "joined", 4)]
    {
        file.sql(&format!(
            "INSERT INTO membership_changes VALUES
             ('app', 'g', '{uid}', {at}, x'00', {seq}, 'told', {at}, NULL, 't', 'a', '{state}', NULL, NULL, NULL, NULL)"
        ));
    }
    file
}

#[test]
fn members_now_then_and_before_anything() {
    let file = group();
    let api = file.api();
    let members = |args: &str| {
        data(&api, &format!("{{group(guid:\"g\"){{members{args}{{nodes{{uid}} totalCount}}}}}}"))["group"]["members"]
            .clone()
    };
    assert_eq!(all(&members(""), "uid"), ["a", "owner"]);
    assert_eq!(all(&members("(filter:{states:[KICKED]})"), "uid"), ["b"]);
    assert_eq!(all(&members("(asOf:\"2026-01-05T08:00:30Z\")"), "uid"), ["a", "b", "owner"]);
    assert_eq!(all(&members("(asOf:\"2026-01-05T08:00:30Z\",last:1)"), "uid"), ["owner"]);
    assert_eq!(all(&members("(asOf:\"2026-01-05T08:01:00Z\")"), "uid"), ["a", "owner"]);
    assert_eq!(all(&members("(asOf:\"2999-01-01T00:00:00Z\")"), "uid"), ["a", "owner"]);
    let answer = ask(&api, "{group(guid:\"g\"){guid members(asOf:\"2020-01-01T00:00:00Z\"){nodes{uid}} membersCount}}");
    assert_eq!(code(&answer), "BEFORE_HISTORY");
    assert_eq!(answer["data"]["group"], serde_json::json!({"guid": "g", "members": null, "membersCount": 2}));
    let answer = data(
        &api,
        "{group(guid:\"g\"){b:member(uid:\"b\"){state scope isOwner changedAt user{name}} o:member(uid:\"owner\"){isOwner scope user{uid name}} n:member(uid:\"n\"){uid}
          membershipChanges(first:2){nodes{seq at state by{uid}}} conversation{conversationId type messagesCount}}}",
    );
    insta::assert_json_snapshot!(answer);
}

#[test]
fn deleted_groups_keep_their_members_and_leave_the_lists() {
    let file = group();
    file.sql("UPDATE groups SET deleted_at = 5");
    let api = file.api();
    let answer = data(
        &api,
        "{group(guid:\"g\"){deletedAt members{nodes{uid}}} groups{nodes{guid}}
          user(uid:\"a\"){memberships{nodes{guid}} all:memberships(filter:{includeDeleted:true}){nodes{guid}}}}",
    );
    assert_eq!(all(&answer["group"]["members"], "uid"), ["a", "owner"]);
    assert!(all(&answer["groups"], "guid").is_empty());
    assert!(all(&answer["user"]["memberships"], "guid").is_empty());
    assert_eq!(all(&answer["user"]["all"], "guid"), ["g"]);
}

#[test]
fn messages_tell_all_about_themselves() {
    let file = group();
    file.message("app", "group_g", "1", "a", 0)
        .message("app", "group_g", "2", "b", 1)
        .message("app", "group_g", "3", "b", 2);
    file.sql(&format!(
        "INSERT INTO conversations VALUES ('app', 'group_g', 0, 'group', 'g', NULL, NULL, 3, '3', {T0}, {T0});
         UPDATE messages SET parent_id = '1', quoted_id = '1', mentions = '[\"a\"]', pinned_at = {T0} WHERE message_id = '2';
         UPDATE messages SET attachments = '[{{\"name\":\"n\",\"size\":5,\"mimeType\":\"m\",\"url\":\"u\"}}]' WHERE message_id = '1';
         INSERT INTO reactions VALUES ('app', '1', 'x', 'a', 'x', 1, 1, 'told', 1, ''), ('app', '1', 'x', 'b', 'x', 1, 1, 'told', 1, ''), ('app', '1', 'y', 'b', 'y', 0, 1, 'told', 1, '');
         INSERT INTO receipts VALUES ('app', '1', 'b', {T0}, 'told', NULL, NULL);
         INSERT INTO message_edits VALUES ('app', '1', {T0}, 3, {T0}, 1, x'00', 'was', 'a');
         INSERT INTO read_markers VALUES ('app', 'group_g', 0, 'a', 1, 2, '2', {T0});
         INSERT INTO moderation (app_id, message_id, status, registers) VALUES ('app', '1', 'approved', x'')"
    ));
    let api = file.api();
    let answer = data(
        &api,
        "{message(messageId:\"1\"){text data sender{uid} receiverType receiverGroup{guid} conversation{conversationId readMarkers{user{uid} messageId} readMarkersCount
            unreadCount(uid:\"a\") unreadCountExact(uid:\"a\") lastMessage{messageId}}
            attachments{name size mimeType url} attachmentsCount reactions{reaction count users{uid}} reactionsCount receipts{user{uid} deliveredAt deliveredAtFrom readAt readAtFrom} receiptsCount
            edits{text editedBy{uid}} editsCount replies{nodes{messageId parent{messageId} quoted{messageId} mentions{uid} pinnedAt}} repliesCount
            threadParticipants{uid} threadParticipantsCount moderation{status reviewed rule}}}",
    );
    insta::assert_json_snapshot!(answer);
}

#[test]
fn calls_blocks_presence() {
    let file = group();
    let now = chatfold::clock::now().0;
    file.sql(&format!(
        "INSERT INTO call_sessions VALUES
            ('app', 's:1', 'call', 1, '1', 'audio', 'ended', 'a', 'user', 'b', '77', 1, 2, 3, 4, 2, 3),
            ('app', 's:1', 'call', 9, '1', 'audio', 'ongoing', 'a', 'group', 'g', NULL, NULL, NULL, NULL, NULL, 9, {now});
         INSERT INTO call_participants VALUES
            ('app', 's:1', 'call', 9, 'u:b', 9, 'b', 'Bee', 10, 0), ('app', 's:1', 'call', 9, 'u:b', 11, 'b', 'Bee', NULL, 1),
            ('app', 's:1', 'call', 9, 'n:9:Zed', 0, NULL, 'Zed', NULL, NULL);
         INSERT INTO recordings VALUES ('app', 's:1', 'call', 9, 0, '', 1.5);
         INSERT INTO transcripts VALUES ('app', 's:1', 'call', 9, 't', 'u', NULL, NULL);
         INSERT INTO blocks VALUES ('app', 'a', 'b', {T0}, 'feed', 1, '');
         INSERT INTO presence VALUES ('app', 'a', 1, {T0}, 'told', {T0}, 'told', 50, x'');
         INSERT INTO connections VALUES ('app', 'a', 'web', 40, 1, 40, x''), ('app', 'a', '', 0, 1, 60, x''), ('app', 'a', 'ios', 1, 0, 90, x'')"
    ));
    let api = file.api();
    let answer = data(
        &api,
        "{callSession(sessionId:\"1\"){kind status receiverGroup{guid} participants{name uid user{name} stays{joinedAt audioOnly} staysCount} participantsCount
            recordings{url startedAt durationSeconds} recordingsCount transcripts{transcriptId url} transcriptsCount}
          active:callSessions(filter:{active:true}){nodes{status}} by:callSessions(filter:{callMessageId:\"77\"}){nodes{durationSeconds}}
          of:callSessions(filter:{uid:\"b\"}){totalCount} blocks{nodes{blocker{uid} blocked{name} sinceFrom}}
          user(uid:\"a\"){presence{online changedAt connections{platform connectedAt} connectionsCount} blocks{totalCount} blockedBy{totalCount}}
          b:user(uid:\"b\"){presence{online} blockedBy{nodes{blocker{uid}}}}}",
    );
    insta::assert_json_snapshot!(answer);
}

#[test]
fn events_show_what_was_received_without_secrets_and_in_order() {
    let file = File::new();
    file.app("app");
    file.event(
        "app",
        1,
        "t",
        "applied",
        r#"{"z":1,"a":{"wsChannel":{"secret":"s","id":1},"@private":1},"b":[{"@private":2,"c":3}]}"#,
    );
    file.event("app", 2, "t", "rejected", "nonsense");
    let api = file.api();
    let text = ask_text(&api, "{event(seq:1){seq body bodyError outcome}}", Caller::default());
    assert!(text.contains(r#""body":{"z":1,"a":{},"b":[{"c":3}]}"#), "{text}");
    assert!(text.contains(r#""chatfold":{"seq":"2","receivedAt":"2026-01-05T08:00:00Z","#), "{text}");
    let answer = data(&api, "{event(seq:\"2\"){body bodyError} none:event(seq:99){seq}}");
    assert!(answer["event"]["body"].is_null() && answer["event"]["bodyError"].is_string() && answer["none"].is_null());
}

#[test]
fn fields_come_in_the_order_asked() {
    let file = group();
    let text = ask_text(
        &file.api(),
        "{user(uid:\"a\"){uid presence{online} name appId} group(guid:\"g\"){name guid}}",
        Caller::default(),
    );
    let at = |part: &str| text.find(part).unwrap();
    assert!(
        at("\"uid\"") < at("\"presence\"") && at("\"presence\"") < at("\"name\"") && at("\"appId\"") < at("\"group\""),
        "{text}"
    );
}

#[test]
fn nodes_are_found_again() {
    let file = group();
    file.message("app", "group_g", "1", "a", 0).event("app", 1, "t", "applied", "{}");
    file.sql("INSERT INTO conversations VALUES ('app', 'group_g', 0, 'group', 'g', NULL, NULL, 1, '1', 1, 1);
              INSERT INTO call_sessions (app_id, session_key, kind, anchor, order_at, news_at) VALUES ('app', 's:1', 'call', 9, 9, 9)");
    let api = file.api();
    let found = data(
        &api,
        "{group(guid:\"g\"){id member(uid:\"b\"){id}} user(uid:\"a\"){id} message(messageId:\"1\"){id} conversation(conversationId:\"group_g\"){id} callSession(sessionId:\"1\"){id} event(seq:1){id}}",
    );
    let ids =
        ["group", "user", "message", "conversation", "callSession", "event"].map(|name| found[name]["id"].to_string());
    let membership = found["group"]["member"]["id"].to_string();
    let query = format!("{{nodes(ids:[{},{membership},\"junk\"]){{id __typename}}}}", ids.join(","));
    let nodes = data(&api, &query);
    let names: Vec<_> =
        nodes["nodes"].as_array().unwrap().iter().map(|node| node["__typename"].as_str().unwrap_or("null")).collect();
    assert_eq!(names, ["Group", "User", "Message", "Conversation", "CallSession", "Event", "Membership", "null"]);
    let caller = Caller { apps: Some(vec!["other".into()]), default_app: None, ..Caller::default() };
    let answer = super::harness::ask_as(&api, &format!("{{node(id:{membership}){{id}}}}"), caller);
    assert!(answer["data"]["node"].is_null() && answer.get("errors").is_none());
}

#[test]
fn members_at_an_instant_go_on_behind_a_person_with_more_facts_than_a_page_examines() {
    let file = File::new();
    file.app("app").group("app", "g");
    file.sql(&format!(
        "INSERT INTO membership_changes (app_id, guid, uid, at, digest, seq, at_from, occurred_at, trigger, state)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10051)
         SELECT 'app', 'g', 'b', {T0} + i * 1000, x'', i, 'told', {T0} + i * 1000, 't', iif(i % 2, 'joined', 'left') FROM n
         UNION ALL SELECT 'app', 'g', u.column1, {T0}, x'', 0, 'told', {T0}, 't', 'joined'
         FROM (VALUES ('a'), ('c'), ('d')) u"
    ));
    // This is about what is answered, not about how fast.
    let patient = Limits { timeout: Duration::from_secs(60), ..Limits::default() };
    let api = file.api_with(patient.clone());
    let members = |arguments: &str| {
        let query = format!(
            "{{group(guid:\"g\"){{members(asOf:\"2027-01-01T00:00:00Z\"{arguments}){{nodes{{uid}} pageInfo{{hasNextPage hasPreviousPage endCursor startCursor}}}}}}}}"
        );
        data(&api, &query)["group"]["members"].clone()
    };
    for (direction, more, end) in [("after", "hasNextPage", "endCursor"), ("before", "hasPreviousPage", "startCursor")]
    {
        let size = if direction == "after" { "first" } else { "last" };
        let (mut found, mut from) = (Vec::new(), String::new());
        for _ in 0..10 {
            let page = members(&format!(",{size}:2{from}"));
            found.extend(all(&page, "uid").into_iter().map(str::to_owned));
            if page["pageInfo"][more] == false {
                break;
            }
            from = format!(",{direction}:{}", page["pageInfo"][end]);
        }
        found.sort();
        assert_eq!(found, ["a", "b", "c", "d"], "{direction}");
    }
    let limits = Limits { rows: 5_000, ..patient };
    let query = "{group(guid:\"g\"){members(asOf:\"2027-01-01T00:00:00Z\"){nodes{uid}}}}";
    let answer = ask(&file.api_with(limits), query);
    assert_eq!(code(&answer), "TOO_COMPLEX", "no silence where the request may not read so much: {answer}");
}

#[test]
fn a_history_too_long_for_a_page_is_an_error_and_hides_no_other() {
    let file = File::new();
    file.app("app").group("app", "g");
    for uid in ["a", "b", "c"] {
        file.member("app", "g", uid, "joined");
    }
    file.sql(&format!(
        "INSERT INTO membership_changes (app_id, guid, uid, at, digest, seq, at_from, occurred_at, trigger, state)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
         SELECT 'app', 'g', u.column1, {T0} + i * 1000, x'', i, 'told', {T0} + i * 1000, 't', iif(i % 2, 'joined', 'left')
         FROM n, (VALUES ('a'), ('b'), ('c')) u"
    ));
    let query = "{group(guid:\"g\"){members{nodes{uid periods{from}}}}}";
    let api = file.api();
    let nodes = data(&api, query)["group"]["members"]["nodes"].clone();
    let told: Vec<usize> =
        nodes.as_array().unwrap().iter().map(|it| it["periods"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(told, [200, 200, 200]);
    file.sql(&format!(
        "INSERT INTO membership_changes (app_id, guid, uid, at, digest, seq, at_from, occurred_at, trigger, state)
         WITH RECURSIVE n(i) AS (SELECT 6001 UNION ALL SELECT i + 1 FROM n WHERE i < 10010)
         SELECT 'app', 'g', 'b', {T0} + i * 1000, x'', i, 'told', {T0} + i * 1000, 't', 'joined' FROM n"
    ));
    assert_eq!(code(&ask(&api, query)), "TOO_COMPLEX");
}

#[test]
fn status_tells_how_far_our_clock_is_off() {
    let file = File::new();
    file.app("app").app("other");
    file.sql("INSERT INTO feeds (app_id, lags, clock_offset, newest_seq) VALUES ('app', '[]', -5000, 1), ('other', '[]', 0, 2), ('third', '[]', 7000, 3)");
    let query = "{status{clockOffsets{appId offsetMs}}}";
    let told = data(&file.api(), query)["status"]["clockOffsets"].to_string();
    assert_eq!(told, r#"[{"appId":"app","offsetMs":"-5000"},{"appId":"third","offsetMs":"7000"}]"#);
    let caller = Caller { apps: Some(vec!["third".into()]), ..Caller::default() };
    let told = super::harness::ask_as(&file.api(), query, caller)["data"]["status"]["clockOffsets"].to_string();
    assert_eq!(told, r#"[{"appId":"third","offsetMs":"7000"}]"#);
}
