use super::harness::{File, T0, data};

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
