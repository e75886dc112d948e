use super::harness::{File, T0, code, data};
use async_graphql::{Request, Variables};
use chatfold::graphql::{Api, Caller};
use serde_json::{Value, json};

/// A group of so many members, each with a presence, of whom each said something.
fn group_of(count: i64) -> File {
    let file = File::new();
    file.app("app").group("app", "g");
    for n in 0..count {
        let uid = format!("u{n:02}");
        file.user("app", &uid).member("app", "g", &uid, "joined");
        file.message("app", "group_g", &n.to_string(), &uid, n);
        file.sql(&format!("INSERT INTO presence VALUES ('app', '{uid}', 1, {T0}, 'told', {T0}, 'told', NULL, x'')"));
    }
    file.sql("INSERT INTO conversations (app_id, conversation_id, type, guid) VALUES ('app', 'group_g', 'group', 'g')");
    file
}

fn request(api: &Api, query: &str, variables: Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let request = Request::new(query).variables(Variables::from_json(variables));
    runtime.block_on(api.execute(request, Caller::default()))
}

/// A page and the one partner of each of its rows are one statement: the others find the app, and the group or the
/// conversation.
#[test]
fn a_page_is_read_once_and_with_it_whom_its_rows_are_about() {
    let file = group_of(50);
    let api = file.api();
    let cost = |query: &str| {
        let before = api.statements();
        data(&api, query);
        api.statements() - before
    };
    for (selected, statements) in [
        ("nodes{uid scope state}", 1),
        ("nodes{scope user{uid name}}", 1),
        ("edges{cursor node{user{name presence{online}}}} pageInfo{endCursor}", 1),
        ("nodes{joinedAt changedAt user{name presence{online}}}", 1),
        ("...{nodes{...M}}}}} fragment M on Membership {user{name} ...{...{joinedAt", 1),
        ("nodes{joinedAt}", 2),
        ("nodes{changedBy{uid} user{name presence{connectionsCount}}}", 2),
    ] {
        for first in ["first:50", "last:50", "first:5"] {
            assert_eq!(
                cost(&format!("{{group(guid:\"g\"){{members({first}){{{selected}}}}}}}")),
                2 + statements,
                "{selected}"
            );
        }
    }
    for (selected, statements) in [
        ("nodes{id sentAt}", 1),
        ("nodes{id text sender{name}}", 1),
        ("nodes{text sender{name} reactions{count}}", 2),
        ("nodes{sender{name presence{online}}}", 2),
        ("nodes{text conversation{conversationId}}", 2),
        ("nodes{data}", 2),
    ] {
        let query = format!("{{conversation(conversationId:\"group_g\"){{messages(first:50){{{selected}}}}}}}");
        assert_eq!(cost(&query), 2 + statements, "{selected}");
    }
}

/// What a list reads of its rows is what a look-up by key reads of them.
#[test]
fn a_list_says_of_its_rows_what_a_look_up_says() {
    let file = group_of(5);
    file.sql(
        "DELETE FROM users WHERE uid = 'u01'; DELETE FROM presence WHERE uid = 'u02';
         UPDATE presence SET online = NULL, changed_at = NULL, changed_at_from = NULL WHERE uid = 'u03';
         UPDATE memberships SET scope = 'admin', joined_at = NULL, changed_by = 'u03' WHERE uid = 'u04';
         UPDATE messages SET sender_uid = NULL WHERE message_id = '1'; UPDATE messages SET text = NULL WHERE message_id = '2'",
    );
    let api = file.api();
    let user = "uid name avatar link role statusMessage tags lastActiveAt presence{online changedAt changedAtFrom lastSeenAt connectionsCount}";
    let member = format!(
        "id guid uid state scope joinedAt changedAt changedAtFrom changedBy{{uid name}} isOwner user{{{user}}}"
    );
    let message = format!(
        "id messageId text tags sentAt category type receiverType conversation{{conversationId}} sender{{{user}}}"
    );
    let listed = data(
        &api,
        &format!(
            "{{group(guid:\"g\"){{members{{nodes{{{member}}}}}}} conversation(conversationId:\"group_g\"){{messages{{nodes{{{message}}}}}}}}}"
        ),
    );
    for (nodes, selected, kind) in [
        (&listed["group"]["members"]["nodes"], &member, "Membership"),
        (&listed["conversation"]["messages"]["nodes"], &message, "Message"),
    ] {
        assert_eq!(nodes.as_array().unwrap().len(), 5);
        for node in nodes.as_array().unwrap() {
            let one = data(&api, &format!("{{node(id:{}){{... on {kind} {{{selected}}}}}}}", node["id"]));
            assert_eq!(one["node"], *node);
        }
    }
}

/// A document is parsed and checked once for each shape of its variables, and what a check finds is found each time.
#[test]
fn a_known_document_is_not_checked_again() {
    let file = group_of(5);
    let api = file.api();
    let checks = |query: &str, variables: Value| {
        let before = api.checks();
        let answer = request(&api, query, variables);
        (api.checks() - before, answer)
    };
    let query = "query($guid: String!, $first: Int) {group(guid: $guid) {members(first: $first) {nodes {uid}}}}";
    let (once, answer) = checks(query, json!({"guid": "g", "first": 2}));
    assert_eq!((once, answer["extensions"]["chatfold"]["cost"].as_i64()), (1, Some(6)));
    for guid in ["g", "other"] {
        let (again, answer) = checks(query, json!({"guid": guid, "first": 2}));
        assert_eq!((again, answer["extensions"]["chatfold"]["cost"].as_i64()), (0, Some(6)), "{answer}");
        assert_eq!(answer["data"]["group"].is_null(), guid == "other");
    }
    let (other, answer) = checks(query, json!({"guid": "g", "first": 4}));
    assert_eq!((other, answer["extensions"]["chatfold"]["cost"].as_i64()), (1, Some(10)), "the cost counts the page");
    for _ in 0..2 {
        let (refused, answer) = checks(query, json!({"guid": 7, "first": 2}));
        assert_eq!((refused, code(&answer)), (1, "BAD_INPUT"), "{answer}");
        let (refused, answer) = checks("{group(guid: \"g\") {nothing}}", json!({}));
        assert_eq!((refused, code(&answer)), (1, "BAD_INPUT"), "{answer}");
        let dear = "{groups(first: 200) {nodes {members(first: 200) {nodes {uid}}}}}";
        let (refused, answer) = checks(dear, json!({}));
        assert_eq!((refused, code(&answer)), (1, "TOO_COMPLEX"), "{answer}");
        assert!(answer["extensions"]["chatfold"]["cost"].as_i64() > Some(5_000), "{answer}");
    }
}

/// Written at once or merged, an answer is the same: here fields stand twice, there they do not.
#[test]
fn a_field_that_is_selected_twice_is_answered_once() {
    let file = group_of(3);
    let api = file.api();
    let twice =
        data(&api, "{group(guid:\"g\"){guid members{nodes{uid user{uid}}} guid members{nodes{scope user{name uid}}}}}");
    let once = data(&api, "{group(guid:\"g\"){guid members{nodes{uid user{uid name} scope}}}}");
    assert_eq!(twice, once);
}

/// The same question about 5 rows and about 50 costs the same statements.
#[test]
fn statements_do_not_grow_with_rows() {
    let file = File::new();
    file.app("app").group("app", "g");
    for n in 0..50 {
        let uid = format!("u{n:02}");
        file.user("app", &uid).member("app", "g", &uid, "joined");
        file.message("app", "group_g", &n.to_string(), &uid, n);
        file.sql(&format!(
            "INSERT INTO reactions VALUES ('app', '{n}', 'x', 'r1', 'x', 1, 1, 'told', 1, ''), ('app', '{n}', 'y', 'r2', 'y', 1, 1, 'told', 1, '');
             INSERT INTO receipts VALUES ('app', '{n}', 'r3', {T0}, 'told', NULL, NULL);
             UPDATE messages SET mentions = '[\"m{n}\",\"r4\"]' WHERE message_id = '{n}'"
        ));
    }
    let api = file.api();
    let cost = |query: &str| {
        let before = api.statements();
        data(&api, query);
        api.statements() - before
    };
    for query in [
        "{group(guid:\"g\"){members(first:COUNT){nodes{user{name}}}}}",
        "{group(guid:\"g\"){members(first:COUNT){nodes{isOwner user{name presence{online}} group{name owner{name}}}}}}",
        "{group(guid:\"g\"){members(first:COUNT,asOf:\"2026-06-01T00:00:00Z\"){nodes{user{name}}}}}",
        "{messages(first:COUNT){nodes{text sender{name} reactions{reaction users{name}} receipts{user{name}} mentions{name} edits{text} moderation{status} repliesCount}}}",
        "{messages(first:COUNT){edges{cursor node{sender{name}}} pageInfo{hasNextPage}}}",
    ] {
        let (few, many) = (cost(&query.replace("COUNT", "5")), cost(&query.replace("COUNT", "50")));
        assert_eq!(few, many, "{query}");
        assert!(many <= 14, "{query}: {many}");
    }
}
