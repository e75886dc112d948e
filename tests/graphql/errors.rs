use super::harness::{File, ask, ask_as, code, data};
use chatfold::graphql::{Caller, Limits};
use std::time::{Duration, Instant};

#[test]
fn apps_never_meet() {
    let file = File::new();
    file.app("one").user("one", "a").app("two").user("two", "b");
    let api = file.api();
    assert_eq!(code(&ask(&api, "{users{nodes{uid}}}")), "APP_ID_REQUIRED");
    assert_eq!(data(&api, "{users(appId:\"two\"){nodes{uid}}}")["users"]["nodes"][0]["uid"], "b");
    assert!(data(&api, "{user(appId:\"one\",uid:\"b\"){uid}}")["user"].is_null());
    let one = Caller { apps: Some(vec!["one".into()]), default_app: Some("two".into()), ..Caller::default() };
    let answer = ask_as(&api, "{apps{appId} users{nodes{uid}}}", one.clone());
    assert_eq!(answer["data"], serde_json::json!({"apps": [{"appId": "one"}], "users": {"nodes": [{"uid": "a"}]}}));
    assert_eq!(code(&ask_as(&api, "{users(appId:\"two\"){nodes{uid}}}", one)), "FORBIDDEN");
    let two = Caller { apps: None, default_app: Some("two".into()), ..Caller::default() };
    assert_eq!(ask_as(&api, "{users{nodes{uid}}}", two)["data"]["users"]["nodes"][0]["uid"], "b");
}

#[test]
fn a_nullable_field_fails_alone_and_a_required_one_with_its_parent() {
    let file = File::new();
    file.app("one").user("one", "a");
    let api = file.api();
    let one = Caller { apps: Some(vec!["one".into()]), default_app: None, ..Caller::default() };
    let answer = ask_as(&api, "{user(uid:\"a\"){uid} no:user(appId:\"two\",uid:\"a\"){uid}}", one);
    assert_eq!((code(&answer), &answer["data"]), ("FORBIDDEN", &serde_json::json!({"user": {"uid": "a"}, "no": null})));
    let answer = ask(&api, "{user(uid:\"a\"){uid memberships(first:500){nodes{uid}}}}");
    assert_eq!((code(&answer), &answer["data"]), ("BAD_INPUT", &serde_json::json!({"user": null})));
    assert_eq!(answer["extensions"]["chatfold"]["seq"], "0");
}

#[test]
fn what_is_no_query_is_bad_input() {
    let file = File::new();
    file.app("one");
    let api = file.api();
    for query in
        ["{", "{nothing}", "{event(seq:\"x\"){seq}}", "{users(filter:{lastSeenAfter:\"yesterday\"}){nodes{uid}}}"]
    {
        let answer = ask(&api, query);
        assert_eq!(code(&answer), "BAD_INPUT", "{answer}");
    }
    let long = ask(&api, &format!("{{{}", "a".repeat(5_000)));
    assert!(long["errors"][0]["message"].as_str().unwrap().chars().count() <= 300);
    let many: String = (0..15).map(|n| format!(" nothing{n}")).collect();
    assert_eq!(ask(&api, &format!("{{{many}}}"))["errors"].as_array().unwrap().len(), 10);
}

#[test]
fn what_would_cost_too_much_is_refused_at_once() {
    let file = File::new();
    file.app("one");
    let api = file.api();
    let mut bomb = String::from("{users{nodes{...f0}}} ");
    for n in 0..40 {
        bomb.push_str(&format!("fragment f{n} on User{{...f{m} ...f{m}}} ", m = n + 1));
    }
    bomb.push_str("fragment f40 on User{uid}");
    let cycle = "{users{nodes{...a}}} fragment a on User{...b} fragment b on User{...a}".to_owned();
    let aliases = format!("{{users{{nodes{{{}}}}}}}", (0..31).map(|n| format!("a{n}:uid ")).collect::<String>());
    let roots = format!("{{{}}}", "apps{appId} ".repeat(21));
    let deep = format!("{{messages{{nodes{}{{messageId}}{}}}}}", "{parent".repeat(12), "}".repeat(12));
    let dear = "{groups(first:200){nodes{members(first:200){nodes{uid}}}}}".to_owned();
    let tokens = format!("{{apps{{{}}}}}", "appId ".repeat(2_600));
    let bytes = format!("{{apps{{appId}}}}#{}", "x".repeat(17_000));
    let directives = format!("{{apps{{appId {}}}}}", "@include(if:true) ".repeat(6));
    for query in [bomb, cycle, aliases, roots, deep, dear, tokens, bytes, directives] {
        let start = Instant::now();
        let answer = ask(&api, &query);
        assert_eq!(code(&answer), "TOO_COMPLEX", "{} {answer}", &query[..60.min(query.len())]);
        assert!(start.elapsed() < Duration::from_millis(500), "{}", &query[..60.min(query.len())]);
    }
}

#[test]
fn a_slow_query_and_a_large_answer_are_cut() {
    let file = File::new();
    file.app("one");
    let api = file.api_with(Limits { timeout: Duration::ZERO, ..Limits::default() });
    assert!(matches!(code(&ask(&api, "{users{nodes{uid}}}")), "TIMEOUT"));
    let api = file.api_with(Limits { answer_bytes: 10, ..Limits::default() });
    let answer = ask(&api, "{apps{appId}}");
    assert_eq!(code(&answer), "TOO_COMPLEX");
    assert_eq!(answer["extensions"]["chatfold"]["seq"], "0");
}

#[test]
fn introspection_passes_the_limits() {
    let file = File::new();
    let api = file.api();
    let deep = "{kind name ofType".repeat(9) + "{kind name}" + &"}".repeat(9);
    let query = format!(
        "{{__schema{{queryType{{name}} types{{kind name description fields(includeDeprecated:true){{name args{{name type{deep} defaultValue}} type{deep}}} inputFields{{name type{deep}}} enumValues{{name}}}} directives{{name locations}}}}}}"
    );
    assert!(data(&api, &query)["__schema"]["types"].as_array().unwrap().len() > 50);
}
