//! Rules of style and Relay's rules, for whatever the schema holds.

use super::harness::{all, data};
use super::lists::full;
use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{
    FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Types = BTreeMap<String, TypeDefinition>;

fn types() -> Types {
    let document = parse_schema(include_str!("../../schema/schema.graphql")).unwrap();
    let types = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(it) => Some((it.node.name.node.to_string(), it.node)),
        _ => None,
    });
    types.collect()
}

fn fields(kind: &TypeKind) -> Vec<&FieldDefinition> {
    match kind {
        TypeKind::Object(it) => it.fields.iter().map(|field| &field.node).collect(),
        TypeKind::Interface(it) => it.fields.iter().map(|field| &field.node).collect(),
        _ => Vec::new(),
    }
}

fn inputs(kind: &TypeKind) -> Vec<&InputValueDefinition> {
    match kind {
        TypeKind::InputObject(it) => it.fields.iter().map(|field| &field.node).collect(),
        kind => fields(kind).into_iter().flat_map(|it| it.arguments.iter().map(|argument| &argument.node)).collect(),
    }
}

fn values(kind: &TypeKind) -> Vec<(String, Option<&str>)> {
    let TypeKind::Enum(it) = kind else { return Vec::new() };
    let value = |it: &async_graphql_parser::types::EnumValueDefinition| it.value.node.to_string();
    it.values.iter().map(|it| (value(&it.node), it.node.description.as_ref().map(|it| it.node.as_str()))).collect()
}

/// `[Message!]!` is about `Message`.
fn named(ty: &str) -> &str {
    ty.trim_matches(|mark| "[]!".contains(mark))
}

/// Type of each field of a type.
fn shape(types: &Types, name: &str) -> BTreeMap<String, String> {
    let kind = &types.get(name).unwrap_or_else(|| panic!("there is no {name}")).kind;
    fields(kind).into_iter().map(|field| (field.name.node.to_string(), field.ty.node.to_string())).collect()
}

#[test]
fn everything_is_described_in_sentences() {
    let mut wrong = Vec::new();
    let mut check = |what: String, text: Option<&str>| {
        let first = text.and_then(|text| text.trim().chars().next());
        if !first.is_some_and(char::is_uppercase) || !text.is_some_and(|text| text.trim().ends_with('.')) {
            wrong.push(format!("{what}: {text:?}"));
        }
    };
    for (name, it) in &types() {
        check(name.clone(), it.description.as_ref().map(|it| it.node.as_str()));
        for field in fields(&it.kind) {
            check(format!("{name}.{}", field.name.node), field.description.as_ref().map(|it| it.node.as_str()));
        }
        for input in inputs(&it.kind) {
            check(format!("{name}({})", input.name.node), input.description.as_ref().map(|it| it.node.as_str()));
        }
        for (value, text) in values(&it.kind) {
            check(format!("{name}.{value}"), text);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_are_written_as_everywhere() {
    let letters = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let pascal = |name: &str| letters(name) && name.starts_with(|it: char| it.is_ascii_uppercase());
    let camel = |name: &str| letters(name) && name.starts_with(|it: char| it.is_ascii_lowercase());
    let upper = |name: &str| {
        name.starts_with(|it: char| it.is_ascii_uppercase())
            && name.bytes().all(|it| it == b'_' || it.is_ascii_uppercase() || it.is_ascii_digit())
    };
    for (name, it) in &types() {
        assert!(pascal(name), "{name}");
        fields(&it.kind).iter().for_each(|field| assert!(camel(&field.name.node), "{name}.{}", field.name.node));
        inputs(&it.kind).iter().for_each(|input| assert!(camel(&input.name.node), "{name}({})", input.name.node));
        values(&it.kind).iter().for_each(|(value, _)| assert!(upper(value), "{name}.{value}"));
        let is_input = matches!(it.kind, TypeKind::InputObject(_));
        assert_eq!(is_input, ["Filter", "Order", "Input"].iter().any(|end| name.ends_with(end)), "{name}");
    }
}

#[test]
fn every_type_is_used_and_no_list_has_holes_but_that_of_nodes() {
    let types = types();
    let mut used: BTreeSet<String> = ["Query", "Subscription"].map(String::from).into();
    for (name, it) in &types {
        let of_fields = fields(&it.kind).into_iter().map(|field| (&field.name.node, field.ty.node.to_string()));
        let of_inputs = inputs(&it.kind).into_iter().map(|input| (&input.name.node, input.ty.node.to_string()));
        for (part, ty) in of_fields.chain(of_inputs) {
            used.insert(named(&ty).to_owned());
            let holes = ty.starts_with('[') && !ty.trim_end_matches('!').ends_with("!]");
            assert_eq!(holes, (name.as_str(), part.as_str()) == ("Query", "nodes"), "{name}.{part}: {ty}");
        }
        // An object is met through its interface too.
        if let TypeKind::Object(it) = &it.kind
            && !it.implements.is_empty()
        {
            used.insert(name.clone());
        }
    }
    let unused: Vec<_> = types.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn connections_edges_and_pages_have_relays_shape() {
    let types = types();
    let connections: Vec<&str> = types.keys().filter_map(|name| name.strip_suffix("Connection")).collect();
    assert!(connections.len() > 8, "{connections:?}");
    for item in connections {
        let connection = shape(&types, &format!("{item}Connection"));
        assert_eq!(connection["edges"], format!("[{item}Edge!]!"));
        assert_eq!(connection["nodes"], format!("[{item}!]!"));
        assert_eq!(connection["pageInfo"], "PageInfo!");
        let edge = shape(&types, &format!("{item}Edge"));
        assert_eq!((&edge["cursor"][..], &edge["node"]), ("String!", &format!("{item}!")), "{item}");
    }
    let told = ["endCursor String", "hasNextPage Boolean!", "hasPreviousPage Boolean!", "startCursor String"];
    let info: Vec<_> = shape(&types, "PageInfo").into_iter().map(|(name, ty)| format!("{name} {ty}")).collect();
    assert_eq!(info, told);
    for (name, it) in &types {
        for field in fields(&it.kind) {
            let arguments: BTreeMap<&str, String> =
                field.arguments.iter().map(|it| (it.node.name.node.as_str(), it.node.ty.node.to_string())).collect();
            let paging = ["first", "after", "last", "before"].map(|it| arguments.get(it).map(String::as_str));
            let is_list = named(&field.ty.node.to_string()).ends_with("Connection");
            let expected = [Some("Int"), Some("String"), Some("Int"), Some("String")];
            assert_eq!(paging == expected, is_list, "{name}.{}: {arguments:?}", field.name.node);
        }
    }
}

#[test]
fn nodes_have_relays_shape() {
    let types = types();
    assert_eq!(shape(&types, "Node"), BTreeMap::from([("id".into(), "ID!".into())]));
    let query = fields(&types["Query"].kind);
    for (name, argument, ty) in [("node", "id: ID!", "Node"), ("nodes", "ids: [ID!]!", "[Node]!")] {
        let field = query.iter().find(|it| it.name.node == name).unwrap();
        let arguments: Vec<_> =
            field.arguments.iter().map(|it| format!("{}: {}", it.node.name.node, it.node.ty.node)).collect();
        assert_eq!((arguments, field.ty.node.to_string()), (vec![argument.to_owned()], ty.to_owned()));
    }
    // What has a global id says so.
    for (name, it) in &types {
        let TypeKind::Object(object) = &it.kind else { continue };
        let is_node = object.implements.iter().any(|it| it.node == "Node");
        assert_eq!(is_node, shape(&types, name).get("id").is_some_and(|ty| ty == "ID!"), "{name}");
    }
}

/// Fields of a type that need no selection and no argument.
fn leaves(types: &Types, name: &str) -> Vec<String> {
    let is_leaf =
        |ty: &str| types.get(named(ty)).is_none_or(|it| matches!(it.kind, TypeKind::Scalar | TypeKind::Enum(_)));
    let leaf = |field: &&FieldDefinition| field.arguments.is_empty() && is_leaf(&field.ty.node.to_string());
    fields(&types[name].kind).iter().filter(|it| leaf(it)).map(|field| field.name.node.to_string()).collect()
}

#[test]
fn the_global_id_of_every_kind_of_node_gives_the_same_object_back() {
    let (types, file) = (types(), full());
    let api = file.api();
    let nodes = types.iter().filter(|(_, it)| match &it.kind {
        TypeKind::Object(object) => object.implements.iter().any(|it| it.node == "Node"),
        _ => false,
    });
    let mut kinds = 0;
    for (name, _) in nodes {
        let leaves = leaves(&types, name).join(" ");
        let lists = shape(&types, "Query");
        let list = lists.iter().find(|(_, ty)| named(ty).strip_suffix("Connection") == Some(name));
        let found = match list {
            Some((list, _)) => data(&api, &format!("{{{list}{{nodes{{__typename {leaves}}}}}}}"))[list].clone(),
            None => {
                assert_eq!(name, "Membership", "a kind of node that no list here gives");
                let members = format!("members{{nodes{{__typename {leaves}}}}}");
                data(&api, &format!("{{group(guid:\"g1\"){{{members}}}}}"))["group"]["members"].clone()
            }
        };
        let found = found["nodes"].as_array().unwrap();
        assert!(!found.is_empty(), "{name}");
        for node in found {
            let query = format!("{{node(id:{}){{__typename ...on {name}{{{leaves}}}}}}}", node["id"]);
            assert_eq!(&data(&api, &query)["node"], node);
        }
        kinds += 1;
    }
    assert_eq!(kinds, 7);
}

#[test]
fn every_edge_is_a_place_to_go_on_from_in_both_directions() {
    let file = full();
    let api = file.api();
    for (list, field) in [
        ("groups", "guid"),
        ("groups(orderBy:{field:NAME,direction:DESC},", "guid"),
        ("users", "uid"),
        ("conversations", "conversationId"),
        ("messages", "messageId"),
        ("callSessions", "id"),
        ("events", "id"),
    ] {
        let ask = |args: &str| {
            let call = match list.ends_with(',') {
                true => format!("{list}{args})"),
                false => format!("{list}({args})"),
            };
            let pages =
                format!("nodes{{{field}}} edges{{cursor node{{{field}}}}} pageInfo{{hasNextPage hasPreviousPage}}");
            data(&api, &format!("{{list:{call}{{{pages}}}}}"))["list"].clone()
        };
        let whole = ask("first:200");
        let names = all(&whole, field);
        let edges = whole["edges"].as_array().unwrap();
        for (at, edge) in edges.iter().enumerate() {
            assert_eq!(edge["node"][field], names[at], "edges and nodes are the same items");
            let after = ask(&format!("first:200,after:{}", edge["cursor"]));
            let before = ask(&format!("last:200,before:{}", edge["cursor"]));
            assert_eq!(all(&after, field), names[at + 1..], "{list} after {at}");
            assert_eq!(all(&before, field), names[..at], "{list} before {at}");
            assert_eq!(after["pageInfo"]["hasNextPage"], Value::Bool(false));
            assert_eq!(before["pageInfo"]["hasPreviousPage"], Value::Bool(false));
            assert_eq!(after["pageInfo"]["hasPreviousPage"], Value::Bool(true), "{list} after {at}");
            for (until, other) in edges.iter().enumerate().skip(at + 1) {
                for size in ["first:200", "last:200"] {
                    let between = ask(&format!("{size},after:{},before:{}", edge["cursor"], other["cursor"]));
                    assert_eq!(all(&between, field), names[at + 1..until], "{list} {size} between {at} and {until}");
                    let info = &between["pageInfo"];
                    let beyond = (&info["hasPreviousPage"], &info["hasNextPage"]);
                    assert_eq!(beyond, (&true.into(), &true.into()), "{list} {size} between {at} and {until}");
                }
            }
        }
    }
}
