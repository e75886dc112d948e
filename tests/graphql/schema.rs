use chatfold::graphql::sdl;

#[test]
fn committed_schema_is_the_one_served() {
    let committed = include_str!("../../schema/schema.graphql");
    assert!(
        committed.trim() == sdl().trim(),
        "schema/schema.graphql is old: cargo run -- schema > schema/schema.graphql"
    );
}

#[test]
fn everything_in_the_schema_is_described() {
    let sdl = sdl();
    let lines: Vec<&str> = sdl.lines().collect();
    let mut described = false;
    let mut inside = false;
    let mut bare = Vec::new();
    for line in &lines {
        let text = line.trim();
        if text == "\"\"\"" {
            inside = !inside;
            described = true;
        } else if text.starts_with("\"\"\"") && text.len() > 5 && text.ends_with("\"\"\"") {
            described = true;
        } else if !inside
            && !text.is_empty()
            && text != "}"
            && !text.starts_with("directive")
            && !text.starts_with("schema")
        {
            if !described
                && !["query:", "subscription:"].iter().any(|it| text.starts_with(it))
                && !text.starts_with(')')
            {
                bare.push(text);
            }
            described = false;
        }
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

#[test]
fn the_contract_is_in_the_schema() {
    let sdl = sdl();
    for line in [
        "type Membership implements Node {",
        "members(",
        "asOf: DateTime",
        "membershipChanges(",
        "unreadCountExact(",
        "threadParticipantsCount: Int!",
        "deliveredToAllAt: DateTime",
        "scalar BigInt",
        "scalar DateTime",
        "scalar JSON",
        "interface Node {",
        "blockedBy(",
        "memberUid: String",
        "includeBlocked: Boolean = false",
        "totalCountExact: Boolean!",
        "orderBy: GroupOrder",
        "nodes(",
        "): [Node]!",
        "): MembershipConnection\n",
        "enum EventOutcome {",
        "bodyError: String",
        "callMessageId: String",
    ] {
        assert!(sdl.contains(line), "{line}");
    }
}
