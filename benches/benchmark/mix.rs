//! A mix of deliveries: 70 % messages, 10 % receipts, 10 % reactions, 5 % members, 5 % presence; about 760 bytes each.
//! The n-th is the same in every run. And deliveries that are costly to fold.

/// People and groups of the app.
const PEOPLE: u64 = 100_000;
const GROUPS: u64 = 1_000;
/// The app of the mix, and another one.
pub const APP: &str = "2489f0demo01";
pub const OTHER_APP: &str = "2489f0demo02";
/// Seconds of the first delivery; twenty happen in a second.
const BEGIN: u64 = 1_767_600_000;

/// A number that looks drawn.
pub fn draw(n: u64, salt: u64) -> u64 {
    let mut mixed = (n ^ salt << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}

fn user(uid: u64, at: u64) -> String {
    format!(
        r#"{{"uid":"user-{uid}","name":"Name of {uid}","avatar":"https://example.com/avatars/{uid}.png","status":"available","role":"default","lastActiveAt":{at}}}"#
    )
}

fn message(n: u64) -> String {
    let at = BEGIN + n / 20;
    let sender = draw(n, 1) % PEOPLE;
    let (kind, receiver, entity) = if draw(n, 2).is_multiple_of(2) {
        let guid = draw(n, 3) % GROUPS;
        let group = format!(
            r#"{{"guid":"group-{guid}","name":"Group {guid}","type":"public","owner":"user-1","createdAt":{BEGIN},"membersCount":10}}"#
        );
        ("group", format!("group-{guid}"), group)
    } else {
        let uid = draw(n, 3) % PEOPLE;
        ("user", format!("user-{uid}"), user(uid, at))
    };
    format!(
        r#"{{"id":"{n}","sender":"user-{sender}","receiverType":"{kind}","receiver":"{receiver}","category":"message","type":"text","sentAt":{at},"updatedAt":{at},"data":{{"text":"This is what number {n} says.","entities":{{"sender":{{"entity":{},"entityType":"user"}},"receiver":{{"entity":{entity},"entityType":"{kind}"}}}}}}}}"#,
        user(sender, at)
    )
}

/// The n-th delivery, from 1.
pub fn body(n: u64) -> String {
    let at = BEGIN + n / 20;
    let uid = draw(n, 4) % PEOPLE;
    // A message of the newest thousand, or what would be one.
    let of = n.saturating_sub(draw(n, 5) % 1_000).max(1);
    let (trigger, data) = match draw(n, 6) % 20 {
        0..14 => return sent(n),
        14 | 15 => (
            "message_read_receipt",
            format!(
                r#"{{"receiver":"user-1","receiverType":"user","type":"receipts","sender":"user-{uid}","messageSender":"user-1","body":{{"action":"read","messageId":"{of}","user":{},"timestamp":{at}}}}}"#,
                user(uid, at)
            ),
        ),
        16 | 17 => (
            "message_reaction_added",
            format!(
                r#"{{"reaction":{{"id":"{n}","messageId":"{of}","reaction":"👍","uid":"user-{uid}","reactedAt":{at},"reactedBy":{}}}}}"#,
                user(uid, at)
            ),
        ),
        18 => {
            let guid = draw(n, 3) % GROUPS;
            let members = format!(r#"{{"user-{uid}":{}}}"#, user(uid, at));
            (
                "group_member_joined",
                format!(
                    r#"{{"members":{members},"group":{{"guid":"group-{guid}","name":"Group {guid}","type":"public","membersCount":10,"owner":"user-1","createdAt":{BEGIN},"updatedAt":{at}}}}}"#
                ),
            )
        }
        _ => (
            "user_connection_status_changed",
            format!(
                r#"{{"timestamp":{at}123,"user":{},"status":"online","currentConnection":{{"action":"connected","platform":"javascript","connectedAt":{at}123}},"userPresenceChanged":true}}"#,
                user(uid, at)
            ),
        ),
    };
    delivery(trigger, &data)
}

/// The n-th delivery, if all are messages.
pub fn sent(n: u64) -> String {
    delivery("message_sent", &format!(r#"{{"message":{}}}"#, message(n)))
}

fn delivery(trigger: &str, data: &str) -> String {
    delivery_of(APP, trigger, data)
}

fn delivery_of(app: &str, trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","data":{data},"appId":"{app}","region":"eu","webhook":"bench"}}"#)
}

/// The n-th delivery that puts so many people into a group of that app, or out of the group.
pub fn crowd(app: &str, people: u64, added: bool, n: u64) -> String {
    let (trigger, at) =
        if added { ("group_member_added", BEGIN + 60 + n) } else { ("group_member_kicked", BEGIN + 120 + n) };
    let members: Vec<String> = (0..people).map(|uid| format!(r#""user-{uid}":{{"uid":"user-{uid}"}}"#)).collect();
    let data = format!(
        r#"{{"group":{{"guid":"crowd","name":"Crowd","type":"public","owner":"user-1","createdAt":{BEGIN},"updatedAt":{at}}},"members":{{{}}},"by":{{"uid":"user-1"}}}}"#,
        members.join(",")
    );
    delivery_of(app, trigger, &data)
}

/// The n-th delivery of the other app that creates the group of [`crowd`] anew. The first ends the memberships of the crowd.
pub fn created_anew(n: u64) -> String {
    let at = BEGIN + 200 + n;
    let group = format!(
        r#"{{"guid":"crowd","name":"Crowd","type":"public","owner":"user-1","scope":"admin","createdAt":{at},"joinedAt":{at}}}"#
    );
    delivery_of(OTHER_APP, "group_created", &format!(r#"{{"group":{group}}}"#))
}

/// A message of the other app. `more` is put into its `data`.
fn message_with(id: u64, more: &str) -> String {
    let message = format!(
        r#"{{"id":"{id}","sender":"user-1","receiverType":"group","receiver":"crowd","category":"message","type":"text","sentAt":{BEGIN},"data":{{"text":"x",{more}}}}}"#
    );
    delivery_of(OTHER_APP, "message_sent", &format!(r#"{{"message":{message}}}"#))
}

/// The n-th message with so many bytes of metadata.
pub fn large(n: u64, bytes: u64) -> String {
    message_with(n + 2, &format!(r#""metadata":{{"of":"{}"}}"#, "x".repeat(bytes as usize)))
}

/// A message whose `data` has so many keys.
pub fn with_keys(keys: u64) -> String {
    let all: Vec<String> = (0..keys).map(|key| format!(r#""k{key}":1"#)).collect();
    message_with(1, &all.join(","))
}

/// The n-th receipt of that message.
pub fn receipt_of_keys(n: u64) -> String {
    let data = format!(
        r#"{{"receiver":"crowd","receiverType":"group","type":"receipts","sender":"user-{n}","messageSender":"user-1","body":{{"action":"read","messageId":"1","user":{},"timestamp":{}}}}}"#,
        user(n, BEGIN),
        BEGIN + n
    );
    delivery_of(OTHER_APP, "message_read_receipt", &data)
}

/// The n-th start of one session.
pub fn start(n: u64) -> String {
    let data = format!(r#"{{"created_at":{},"sessionId":"debrief"}}"#, BEGIN + n);
    delivery_of(OTHER_APP, "meeting_started", &data)
}
