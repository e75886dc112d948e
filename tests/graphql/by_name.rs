//! Memberships by a part of a name.

use super::harness::{File, T0, all, ask, code, data};
use super::lists::full;

/// The group `g` with five people, of whom two are called Berg and one has no name.
fn group() -> File {
    let file = File::new();
    file.app("app").group("app", "g");
    for (index, (uid, name, state)) in [
        ("a", "'Ann Berg'", "joined"),
        ("b", "'Bob'", "joined"),
        ("c", "'CEM BERGÖ'", "joined"),
        ("d", "'Dan Berg'", "left"),
        ("e", "NULL", "joined"),
    ]
    .into_iter()
    .enumerate()
    {
        file.user("app", uid).member("app", "g", uid, state);
        file.sql(&format!("UPDATE users SET name = {name} WHERE uid = '{uid}'"));
        for (at, state) in [(T0, "joined"), (T0 + 1_000, state)] {
            let seq = at + index as i64;
            file.sql(&format!(
                "INSERT INTO membership_changes (app_id, guid, uid, at, digest, seq, at_from, occurred_at, trigger, state)
                 VALUES ('app', 'g', '{uid}', {at}, x'', {seq}, 'told', {at}, 't', '{state}')"
            ));
        }
    }
    file
}

#[test]
fn members_are_found_by_a_part_of_the_name_now_and_then() {
    let file = group();
    let api = file.api();
    for (arguments, expected) in [
        ("filter:{nameContains:\"bERg\"}", vec!["a", "c"]),
        ("filter:{nameContains:\"bergö\"}", vec!["c"]),
        ("filter:{nameContains:\"berg\",states:[LEFT]}", vec!["d"]),
        ("filter:{nameContains:\"berg\",states:[JOINED,LEFT]}", vec!["a", "c", "d"]),
        ("filter:{nameContains:\"berg\",scopes:[ADMIN]}", vec![]),
        ("filter:{nameContains:\"b%g\"}", vec![]),
        ("filter:{nameContains:\"berg\"},last:1", vec!["c"]),
        ("filter:{nameContains:\"berg\"},asOf:\"2026-01-05T08:00:00Z\"", vec!["a", "c", "d"]),
        ("filter:{nameContains:\"berg\"},asOf:\"2026-01-05T08:00:01Z\"", vec!["a", "c"]),
        ("filter:{nameContains:\"berg\"},asOf:\"2026-01-05T08:00:00Z\",last:1", vec!["d"]),
    ] {
        let answer = data(&api, &format!("{{group(guid:\"g\"){{members({arguments}){{nodes{{uid}}}}}}}}"));
        assert_eq!(all(&answer["group"]["members"], "uid"), expected, "{arguments}");
    }
}

#[test]
fn memberships_of_a_person_are_found_by_a_part_of_the_groups_name() {
    let file = full();
    file.sql(
        "UPDATE groups SET name = 'Night shift' WHERE guid = 'g3'; UPDATE groups SET deleted_at = 5 WHERE guid = 'g3'",
    );
    let api = file.api();
    for (filter, expected) in [
        ("nameContains:\"GROUP\"", vec!["g1"]),
        ("nameContains:\"shift\"", vec![]),
        ("nameContains:\"shift\",includeDeleted:true", vec!["g3"]),
        ("nameContains:\"shift\",includeDeleted:true,states:[JOINED,LEFT]", vec!["g3"]),
    ] {
        let answer = data(&api, &format!("{{user(uid:\"a\"){{memberships(filter:{{{filter}}}){{nodes{{guid}}}}}}}}"));
        assert_eq!(all(&answer["user"]["memberships"], "guid"), expected, "{filter}");
    }
}

#[test]
fn a_cursor_of_one_name_is_none_of_another_and_two_characters_are_too_few() {
    let file = group();
    let api = file.api();
    let members = |arguments: &str| {
        ask(&api, &format!("{{group(guid:\"g\"){{members({arguments}){{nodes{{uid}} pageInfo{{endCursor}}}}}}}}"))
    };
    let first = members("filter:{nameContains:\"berg\"},first:1");
    let cursor = first["data"]["group"]["members"]["pageInfo"]["endCursor"].to_string();
    let next = members(&format!("filter:{{nameContains:\"berg\"}},after:{cursor}"));
    assert_eq!(all(&next["data"]["group"]["members"], "uid"), ["c"]);
    for other in ["", "filter:{nameContains:\"bergö\"},"] {
        assert_eq!(code(&members(&format!("{other}after:{cursor}"))), "BAD_INPUT", "{other}");
    }
    assert_eq!(code(&members("filter:{nameContains:\"be\"}")), "BAD_INPUT");
    assert_eq!(
        code(&ask(&api, "{user(uid:\"a\"){memberships(filter:{nameContains:\"be\"}){nodes{guid}}}}")),
        "BAD_INPUT"
    );
}

/// The names are read in the walk, not person by person.
#[test]
fn a_page_by_name_costs_the_same_statements_whatever_its_length() {
    let file = group();
    for n in 0..100 {
        file.user("app", &format!("u{n}")).member("app", "g", &format!("u{n}"), "joined");
    }
    let api = file.api();
    let cost = |arguments: &str| {
        let before = api.statements();
        data(&api, &format!("{{group(guid:\"g\"){{members({arguments}){{nodes{{uid user{{name}}}}}}}}}}"));
        api.statements() - before
    };
    let named = "filter:{nameContains:\"name of\"}";
    assert_eq!(cost(&format!("{named},first:2")), cost(&format!("{named},first:100")));
    let then = "asOf:\"2026-01-05T08:00:01Z\"";
    assert_eq!(cost(&format!("{then},first:2")) + 1, cost(&format!("{then},first:2,filter:{{nameContains:\"berg\"}}")));
}
