//! Acts as the vendor tells them: `data` of the deliveries, in the shapes seen live and in its documentation.

use super::faults::Kind;
use super::script::Pace;
use super::world::{Group, Message, World, second};
use chatfold::ids::{ReceiverType, Scope, State};

/// A delivery's body.
pub fn body(app: &str, webhook: u64, trigger: &str, data: &str) -> String {
    format!(r#"{{"trigger":"{trigger}","data":{data},"appId":"{app}","region":"eu","webhook":"hook{webhook}"}}"#)
}

/// A person as deliveries of now describe them; `at`: when the fact around it happened, where it tells.
fn user(world: &mut World, uid: &str) -> String {
    let named = world.names.get(uid).copied().unwrap_or_default();
    let (now, active) = (world.now, second(world.now) / 30 * 30);
    world.described.insert(uid.to_owned(), (now, named));
    if world.pace == Pace::Key {
        return format!(r#"{{"uid":"{uid}","name":"{uid} {named}"}}"#);
    }
    format!(
        r#"{{"uid":"{uid}","name":"{uid} {named}","avatar":"https://example.com/{uid}.png","status":"available","role":"default","lastActiveAt":{active}}}"#
    )
}

/// The group as of now. An add does not bring its `updatedAt`.
fn group(world: &World, group: &Group, dated: bool, more: &str) -> String {
    let Group { guid, name, owner, created, updated, updated_by, .. } = group;
    let members = if world.pace == Pace::Key { 0 } else { world.members(guid).len() };
    let updated = updated
        .filter(|_| dated)
        .map(|at| format!(r#","updatedAt":{at},"updatedBy":"{updated_by}""#))
        .unwrap_or_default();
    format!(
        r#"{{"guid":"{guid}","name":"{name}","type":"public","membersCount":{members},"conversationId":"group_{guid}","createdAt":{created},"owner":"{owner}"{updated}{more}}}"#
    )
}

fn group_now(world: &World, guid: &str) -> String {
    group(world, &world.groups[guid], true, "")
}

pub fn group_created(world: &mut World, guid: &str) {
    let made = world.groups[guid].clone();
    let owner = user(world, &made.owner);
    let own = format!(r#","scope":"admin","joinedAt":{},"hasJoined":true"#, made.created);
    let group = group(world, &made, false, &own);
    world.tell(Kind::Act, "group_created", format!(r#"{{"group":{group},"members":{{"{}":{owner}}}}}"#, made.owner));
}

pub fn group_updated(world: &mut World, guid: &str) {
    let group = group_now(world, guid);
    world.tell(Kind::Act, "group_updated", format!(r#"{{"group":{group}}}"#));
}

pub fn group_deleted(world: &mut World, guid: &str) {
    let group = group_now(world, guid);
    world.tell(Kind::Act, "group_deleted", format!(r#"{{"group":{group}}}"#));
}

pub fn owner_transferred(world: &mut World, guid: &str, old: &str) {
    let group = group(world, &world.groups[guid], true, &format!(r#","oldOwner":"{old}""#));
    world.tell(Kind::Act, "group_owner_transferred", format!(r#"{{"group":{group}}}"#));
}

/// Any change of places, and often its echo.
pub fn seat(
    world: &mut World,
    trigger: &'static str,
    guid: &str,
    uids: &[&str],
    by: Option<&str>,
    scopes: Option<(Scope, Scope)>,
    dated: bool,
) {
    let scopes = scopes
        .map(|(new, old)| format!(r#","scope":"{}","oldScope":"{}"}}"#, new.as_str(), old.as_str()))
        .unwrap_or_else(|| "}".into());
    let members: Vec<String> =
        uids.iter().map(|uid| format!(r#""{uid}":{}{scopes}"#, user(world, uid).trim_end_matches('}'))).collect();
    let by = by.map(|by| user(world, by));
    let told_by = by.as_ref().map(|by| format!(r#","by":{by}"#)).unwrap_or_default();
    let group = group(world, &world.groups[guid], dated, "");
    let data = format!(r#"{{"members":{{{}}},"group":{group}{told_by}}}"#, members.join(","));
    let kind = if by.is_some() || !dated { Kind::Act } else { Kind::Seat };
    world.tell(kind, trigger, data);
    if world.chance(400) {
        let verb = trigger.trim_start_matches("group_member_");
        let on = user(world, uids[0]);
        let entities = format!(
            r#""by":{{"entity":{}}},"on":{{"entity":{on}}},"for":{{"entity":{group}}}"#,
            by.as_ref().unwrap_or(&on)
        );
        action(world, uids[0], ("group", guid), "groupMember", verb, &entities);
    }
}

/// A message of category `action`, told as sent.
fn action(world: &mut World, sender: &str, to: (&str, &str), kind: &str, verb: &str, entities: &str) {
    let data = action_data(world, sender, to, kind, verb, entities);
    world.tell(Kind::Echo, "message_sent", data);
}

fn action_data(world: &mut World, sender: &str, to: (&str, &str), kind: &str, verb: &str, entities: &str) -> String {
    let (id, at) = (world.new_id(), second(world.now));
    format!(
        r#"{{"message":{{"id":"{id}","sender":"{sender}","receiverType":"{}","receiver":"{}","category":"action","type":"{kind}","data":{{"action":"{verb}","entities":{{{entities}}}}},"sentAt":{at},"updatedAt":{at}}}}}"#,
        to.0, to.1
    )
}

/// The message whole, as of now.
fn message(world: &mut World, message: &Message, entities: bool, more: &str) -> String {
    let Message { id, sender, receiver_type, receiver, text, sent, .. } = message;
    let parent = message.parent.map(|parent| format!(r#","parentId":"{parent}""#)).unwrap_or_default();
    let edited =
        message.edited.as_ref().map(|(at, by)| format!(r#","editedAt":{at},"editedBy":"{by}""#)).unwrap_or_default();
    let mut data = format!(r#""text":"{text}""#);
    if let Some(uid) = message.mention {
        data += &format!(r#","mentions":{{"{uid}":{}}}"#, user(world, uid));
    }
    if entities {
        let to = match receiver_type {
            ReceiverType::User => user(world, receiver),
            ReceiverType::Group => {
                // The sender's own view of the group, which is no fact about it.
                let joined = world.place(receiver, sender).filter(|place| place.state == State::Joined);
                let own = if joined.is_some() { r#","scope":"participant","hasJoined":true"# } else { "" };
                group(world, &world.groups[receiver], true, own)
            }
        };
        let from = user(world, sender);
        data += &format!(r#","entities":{{"sender":{{"entity":{from}}},"receiver":{{"entity":{to}}}}}"#);
    }
    let (category, kind) = if message.custom { ("custom", "poll") } else { ("message", "text") };
    let more = match more.strip_prefix("data:") {
        Some(inner) => {
            data += inner;
            ""
        }
        None => more,
    };
    let (receiver_type, conversation) = (receiver_type.as_str(), message.conversation());
    format!(
        r#"{{"id":"{id}","conversationId":"{conversation}","sender":"{sender}","receiverType":"{receiver_type}","receiver":"{receiver}","category":"{category}","type":"{kind}","data":{{{data}}},"sentAt":{sent},"updatedAt":{sent}{parent}{edited}{more}}}"#
    )
}

/// Tells something that carries the message whole.
fn tell_whole(world: &mut World, id: i64, kind: Kind, trigger: &'static str, data: String) {
    let at = world.told.len();
    world.tell(kind, trigger, data);
    if let Some(message) = world.messages.get_mut(&id) {
        message.whole.push(at);
    }
}

pub fn sent(world: &mut World, id: i64, quotes: bool) {
    let it = world.messages[&id].clone();
    if let Some(at) = it.held {
        judged(world, &it, "moderation_engine_blocked", "disapproved", Some(at));
        return;
    }
    let quoted = it.parent.filter(|_| quotes).map(|parent| world.messages[&parent].clone());
    let quote = quoted.as_ref().map(|quoted| {
        let whole = message(world, quoted, false, "");
        format!(r#","quotedMessageId":"{}","quotedMessage":{whole}"#, quoted.id)
    });
    let whole = message(world, &it, true, &quote.unwrap_or_default());
    if let Some(quoted) = quoted {
        let at = world.told.len();
        world.messages.entry(quoted.id).and_modify(|message| message.whole.push(at));
    }
    tell_whole(world, id, Kind::Send, "message_sent", format!(r#"{{"message":{whole}}}"#));
    if it.mention.is_some() {
        let plain = message(world, &it, true, "");
        tell_whole(world, id, Kind::Act, "user_mentioned", format!(r#"{{"message":{plain}}}"#));
    }
    if world.chance(120) {
        world.messages.entry(id).and_modify(|message| message.verdict = Some("approved"));
        judged(world, &it, "moderation_engine_approved", "approved", None);
    }
}

fn judged(world: &mut World, it: &Message, trigger: &'static str, status: &str, blocked_at: Option<i64>) {
    let whole = message(world, it, true, &format!(r#"data:,"moderation":{{"status":"{status}"}}"#));
    let rules = blocked_at
        .map(|at| format!(r#","moderation":[{{"rule":{{"id":"rule","blockedAt":{at}}}}}]"#))
        .unwrap_or_default();
    tell_whole(world, it.id, Kind::Act, trigger, format!(r#"{{"message":{whole}{rules}}}"#));
}

pub fn approved(world: &mut World, id: i64) {
    let it = world.messages[&id].clone();
    let before = world.described.clone();
    judged(world, &it, "moderation_manual_approved", "approved", it.held);
    // An approval is dated by the block (contract 4.1): what was told of people since then stays.
    let is_newer = |known: &&(i64, usize)| second(known.0) > it.held.unwrap_or_default();
    for (uid, told) in &mut world.described {
        *told = before.get(uid).filter(is_newer).copied().unwrap_or(*told);
    }
}

/// In either shape, with up to three echoes.
pub fn edited(world: &mut World, id: i64) {
    let it = world.messages[&id].clone();
    let to = (it.receiver_type.as_str(), it.receiver.as_str());
    let inner = message(world, &it, false, "");
    let entities = format!(r#""by":{{"entity":{}}},"on":{{"entity":{inner}}}"#, user(world, &it.sender));
    let data = if world.chance(500) {
        action_data(world, &it.sender, to, "message", "edited", &entities)
    } else {
        format!(r#"{{"message":{}}}"#, message(world, &it, true, ""))
    };
    tell_whole(world, id, Kind::Act, "message_edited", data);
    for _ in 0..3 {
        if world.chance(400) {
            let data = action_data(world, &it.sender, to, "message", "edited", &entities);
            tell_whole(world, id, Kind::Echo, "message_sent", data);
        }
    }
}

pub fn deleted(world: &mut World, id: i64) {
    let it = world.messages[&id].clone();
    let Some((at, by)) = it.deleted.clone() else { return };
    let to = (it.receiver_type.as_str(), it.receiver.as_str());
    let tombstone = format!(r#"{{"id":"{id}","deletedAt":{at},"deletedBy":"{by}"}}"#);
    // Who deleted is described by the action alone.
    let entities =
        |world: &mut World| format!(r#""by":{{"entity":{}}},"on":{{"entity":{tombstone}}}"#, user(world, &by));
    if world.chance(500) {
        let entities = entities(world);
        let data = action_data(world, &by, to, "message", "deleted", &entities);
        world.tell(Kind::Act, "message_deleted", data);
    } else {
        let whole = message(world, &it, true, &format!(r#","deletedAt":{at},"deletedBy":"{by}""#));
        tell_whole(world, id, Kind::Act, "message_deleted", format!(r#"{{"message":{whole}}}"#));
    }
    if world.chance(500) {
        let entities = entities(world);
        action(world, &by, to, "message", "deleted", &entities);
    }
}

/// Removals carry the time of the reaction, not their own.
pub fn reaction(world: &mut World, key: (i64, &'static str, &'static str), added: bool) {
    let (message, emoji, uid) = key;
    let (id, at) = world.reactions[&key];
    // Where every fact tells its time, what does not may not describe anybody.
    let by = if added || world.pace != Pace::Distinct { user(world, uid) } else { format!(r#"{{"uid":"{uid}"}}"#) };
    let data = format!(
        r#"{{"reaction":{{"id":"{id}","messageId":"{message}","reaction":"{emoji}","uid":"{uid}","reactedAt":{at},"reactedBy":{by}}}}}"#
    );
    world.tell(Kind::Act, if added { "message_reaction_added" } else { "message_reaction_removed" }, data);
}

pub fn receipt(world: &mut World, id: i64, reader: &str, what: usize) {
    let (action, trigger) = [("delivered", "message_delivery_receipt"), ("read", "message_read_receipt")][what];
    let it = world.messages[&id].clone();
    let receiver = if it.receiver_type == ReceiverType::Group { &it.receiver } else { &it.sender };
    let at = second(world.now);
    let data = format!(
        r#"{{"receiver":"{receiver}","receiverType":"{}","type":"receipts","sender":"{reader}","messageSender":"{}","body":{{"action":"{action}","messageId":"{id}","user":{},"timestamp":{at}}}}}"#,
        it.receiver_type.as_str(),
        it.sender,
        user(world, reader)
    );
    world.tell(Kind::Receipt, trigger, data);
}

pub fn to_all(world: &mut World, id: i64, what: usize) {
    let (action, trigger) =
        [("deliveredToAll", "message_delivered_to_all"), ("readByAll", "message_read_by_all")][what];
    let it = &world.messages[&id];
    let data = format!(
        r#"{{"receiver":"{}","receiverType":"group","type":"receipts","sender":"app_system","messageSender":"{}","body":{{"action":"{action}","messageId":"{id}","user":{{"uid":"app_system","name":"System"}},"timestamp":{}}}}}"#,
        it.receiver,
        it.sender,
        second(world.now)
    );
    world.tell(Kind::Receipt, trigger, data);
}

/// Only uid and name, and nothing that could tell two of them apart.
pub fn block(world: &mut World, by: &str, whom: &str, blocks: bool) {
    let data = format!(r#"{{"users":{{"{whom}":{{"uid":"{whom}"}}}},"by":{{"uid":"{by}"}}}}"#);
    world.tell(Kind::Act, if blocks { "user_blocked" } else { "user_unblocked" }, data);
}

pub fn presence(world: &mut World, uid: &str, online: bool, connected: i64) {
    let (status, action) = if online { ("online", "connected") } else { ("offline", "disconnected") };
    let (at, person) = (world.now, user(world, uid));
    let data = format!(
        r#"{{"timestamp":{at},"user":{person},"status":"{status}","currentConnection":{{"action":"{action}","platform":"javascript","connectedAt":{connected}}},"userPresenceChanged":true}}"#
    );
    world.tell(Kind::Receipt, "user_connection_status_changed", data);
}
