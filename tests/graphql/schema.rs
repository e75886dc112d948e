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
        "includeSteps: Boolean = false",
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
