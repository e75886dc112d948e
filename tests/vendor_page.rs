//! Every example of the vendor's webhook page, posted in page order: none is rejected, and each leaves the effect its
//! text describes, seen right after it. The page is not ours to commit: `CHATFOLD_VENDOR_PAGE` names a copy.

mod harness;

use harness::Harness;

/// The examples, as (name, body), in page order.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut examples = Vec::new();
    for block in page.split("```json ").skip(1) {
        let Some((head, rest)) = block.split_once('\n') else { continue };
        let name = head.split_whitespace().next().unwrap_or_default();
        examples.push((name.to_owned(), rest.split("```").next().unwrap_or_default().to_owned()));
    }
    examples
}

const MEMBERS: &str = "SELECT uid, scope FROM memberships WHERE guid = 'cometchat-guid-1' AND current ORDER BY uid";
const SECOND: &str = "SELECT state FROM memberships WHERE guid = 'cometchat-guid-1' AND uid = 'cometchat-uid-2'";
const GROUP: &str = "SELECT name, owner_uid, deleted_at IS NOT NULL FROM groups WHERE guid = 'cometchat-guid-1'";
const CALLS: &str = "SELECT kind, status, started_at / 1000, ended_at / 1000 FROM call_sessions WHERE session_id = '<sessionId>' ORDER BY kind, anchor";
const STAYS: &str = "SELECT kind, anchor / 1000, name, joined_at / 1000, left_at / 1000 FROM call_participants ORDER BY kind, anchor, name, joined_at";

/// What is to be seen after each example, as a question and its answer.
const EFFECTS: &[(&str, &str, &str)] = &[
    ("group_created", MEMBERS, "cometchat-uid-1|admin"),
    ("group_updated", GROUP, "Hiking Group|cometchat-uid-1|0"),
    (
        "group_updated",
        "SELECT updated_at, updated_by, reported_members_count FROM groups",
        "1696934048000|cometchat-uid-1|2",
    ),
    ("group_deleted", GROUP, "Hiking Group|cometchat-uid-1|1"),
    ("group_owner_transferred", GROUP, "Hiking Group|cometchat-uid-2|1"),
    ("group_member_added", MEMBERS, "cometchat-uid-1|admin\ncometchat-uid-2|participant"),
    ("group_member_banned", SECOND, "banned"),
    ("group_member_unbanned", SECOND, "unbanned"),
    ("group_member_joined", MEMBERS, "cometchat-uid-1|admin\ncometchat-uid-2|participant"),
    ("group_member_left", SECOND, "left"),
    // Told 98 s after the page's own leave: it shows in the history only.
    ("group_member_scope_changed", SECOND, "left"),
    (
        "group_member_scope_changed",
        "SELECT scope, old_scope FROM membership_changes WHERE trigger LIKE '%scope%'",
        "admin|participant",
    ),
    ("group_member_kicked", SECOND, "kicked"),
    (
        "message_sent",
        "SELECT text, sender_uid, conversation_id, listed FROM messages WHERE message_id = '1'",
        "hi|cometchat-uid-1|cometchat-uid-1_user_cometchat-uid-2|1",
    ),
    ("message_sent", "SELECT messages_count, last_message_id FROM conversations", "1|1"),
    (
        "message_edited",
        "SELECT text, edited_at / 1000, edited_by FROM messages WHERE message_id = '1'",
        "hello|1696934985|cometchat-uid-1",
    ),
    ("message_edited", "SELECT text FROM message_edits", "hello"),
    (
        "message_deleted",
        "SELECT deleted, deleted_at / 1000, deleted_by, sender_uid FROM messages WHERE message_id = '2'",
        "1|1696935005|cometchat-uid-1|null",
    ),
    (
        "message_delivery_receipt",
        "SELECT uid, delivered_at / 1000, read_at FROM receipts WHERE message_id = '57'",
        "cometchat-uid-2|1696934912|null",
    ),
    (
        "message_read_receipt",
        "SELECT uid, read_at / 1000 FROM receipts WHERE message_id = '57'",
        "cometchat-uid-2|1696934950",
    ),
    ("message_read_receipt", "SELECT uid, message_id FROM read_markers", "cometchat-uid-2|57"),
    ("message_reaction_added", "SELECT uid, reaction FROM reactions WHERE present", "cometchat-uid-1|🏒"),
    ("message_reaction_removed", "SELECT present FROM reactions", "0"),
    ("user_connection_status_changed", "SELECT online, changed_at FROM presence", "0|1696935103114"),
    ("user_blocked", "SELECT blocker_uid, blocked_uid FROM blocks WHERE current", "cometchat-uid-1|cometchat-uid-2"),
    ("user_unblocked", "SELECT current FROM blocks", "0"),
    ("user_mentioned", "SELECT uid FROM mentions WHERE message_id = '4'", "cometchat-uid-2"),
    (
        "call_initiated",
        "SELECT status, type, initiator_uid, receiver_id FROM call_sessions",
        "initiated|audio|cometchat-uid-1|cometchat-uid-5",
    ),
    ("call_started", CALLS, "call|ongoing|1696934572|null"),
    // Tells another `created_at` than the start above: an instance of its own.
    ("call_ended", CALLS, "call|ended|1696934501|1696934553\ncall|ongoing|1696934572|null"),
    (
        "call_participant_joined",
        STAYS,
        "call|1696934501|Andrew Joseph|1696934501|1696934551\ncall|1696934501|George Alan|1696934501|1696934553\ncall|1696934572|Andrew Joseph|1696934573|null",
    ),
    ("call_participant_left", "SELECT count(*) FROM call_participants", "3"),
    (
        "meeting_started",
        "SELECT status, started_at / 1000 FROM call_sessions WHERE kind = 'meeting'",
        "ongoing|1696934692",
    ),
    ("meeting_participant_joined", "SELECT name FROM call_participants WHERE kind = 'meeting'", "Andrew Joseph"),
    ("meeting_participant_left", "SELECT left_at / 1000 FROM call_participants WHERE kind = 'meeting'", "1696934730"),
    (
        "meeting_ended",
        "SELECT status, ended_at / 1000, duration_seconds FROM call_sessions WHERE kind = 'meeting'",
        "ended|1696934730|38",
    ),
    ("recording_generated", "SELECT started_at / 1000, duration_seconds FROM recordings", "1696937627|21.433"),
];

#[test]
fn every_example_of_the_vendors_page_does_what_its_text_says() {
    let Ok(path) = std::env::var("CHATFOLD_VENDOR_PAGE") else {
        eprintln!("skipped: CHATFOLD_VENDOR_PAGE does not name the vendor's page");
        return;
    };
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let harness = Harness::new();
    let examples = examples(&page);
    assert_eq!(examples.len(), 32, "the page has 32 examples");
    for (name, body) in examples {
        let receipt = harness.post(&body, chatfold::clock::now().0);
        assert_eq!((receipt.duplicate, receipt.outcome.as_str()), (false, "applied"), "{name}");
        for (_, question, answer) in EFFECTS.iter().filter(|(of, ..)| *of == name) {
            assert_eq!(harness.ask(question), *answer, "after {name}: {question}");
        }
        assert!(EFFECTS.iter().any(|(of, ..)| *of == name), "{name} has no effect to look for");
    }
}
