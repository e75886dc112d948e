//! Tables against the truth, one table at a time. What the deliveries that came cannot tell is not expected.

use super::arena::Arena;
use super::faults::Class;
use super::script::Pace;
use super::world::{Message, World};
use std::collections::{BTreeMap, BTreeSet};

/// Two blocks of one pair this far apart are two, whatever is sent again.
const RETRIES: i64 = 60_000;

/// Truth and table as rows of text.
struct Expect<'a> {
    arena: &'a Arena,
    app: &'a str,
    world: &'a World,
    lost: &'a BTreeSet<usize>,
    wrong: Vec<String>,
}

/// Where the tables of an app and the truth differ.
pub fn differences(arena: &Arena, app: &str, world: &World, class: &Class, lost: &BTreeSet<usize>) -> Vec<String> {
    let mut it = Expect { arena, app, world, lost, wrong: Vec::new() };
    it.groups(!class.retries);
    if !class.retries {
        it.drift();
    }
    it.messages();
    it.edits();
    it.mentions();
    it.conversations();
    it.reactions();
    it.receipts();
    it.moderation();
    it.presence();
    it.blocks(!class.retries);
    if !class.retries && class.unsent == 0 {
        it.people();
    }
    it.wrong
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn ms(second: i64) -> i64 {
    second * 1000
}

impl Expect<'_> {
    fn same(&mut self, what: &str, mut expected: Vec<String>, mut actual: Vec<String>) {
        expected.sort();
        actual.sort();
        let missing = expected.iter().filter(|row| actual.binary_search(row).is_err());
        self.wrong.extend(missing.map(|row| format!("{what}: in truth {row}")));
        let extra = actual.iter().filter(|row| expected.binary_search(row).is_err());
        self.wrong.extend(extra.map(|row| format!("{what}: the table has {row}")));
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        self.arena.rows(self.app, sql)
    }

    /// Whether any delivery that came carries the message whole.
    fn known(&self, message: &Message) -> bool {
        message.whole.iter().any(|told| !self.lost.contains(told))
    }

    fn groups(&mut self, members: bool) {
        let counted = |guid: &str| if members { self.world.members(guid).len().to_string() } else { "-".into() };
        let expected = self.world.groups.values().map(|it| {
            format!(
                "{}|{}|{}|{}|{}|{}|{}|{}",
                it.guid,
                it.name,
                it.owner,
                ms(it.created),
                i64::from(it.deleted.is_some()),
                ms(it.known_since),
                ms(it.known_since),
                counted(&it.guid)
            )
        });
        let expected = expected.collect();
        let count = if members { "members_count" } else { "'-'" };
        let sql = format!(
            "SELECT guid, name, owner_uid, created_at, deleted_at IS NOT NULL, members_known_since, history_since, {count}
             FROM groups WHERE app_id = ?1"
        );
        let actual = self.rows(&sql);
        self.same("group", expected, actual);
        const COUNTS: &str = "
            SELECT guid, members_count FROM groups g WHERE app_id = ?1 AND members_count <>
                (SELECT count(*) FROM memberships m WHERE m.app_id = g.app_id AND m.guid = g.guid AND m.current)";
        let counts = self.rows(COUNTS);
        self.same("members_count", Vec::new(), counts);
    }

    /// Where all was heard, no number of members differs from CometChat's.
    fn drift(&mut self) {
        if self.lost.is_empty() && self.world.pace != Pace::Key {
            const DRIFT: &str = "
                SELECT guid, drift_expected, drift_counted, drift_since FROM groups
                WHERE app_id = ?1 AND drift_since IS NOT NULL";
            let drift = self.rows(DRIFT);
            self.same("drift", Vec::new(), drift);
        }
    }

    fn messages(&mut self) {
        let mut expected = BTreeMap::new();
        for it in self.world.messages.values().filter(|it| self.known(it)) {
            let (deleted_at, deleted_by) = it.deleted.clone().unzip();
            let (edited_at, edited_by) = it.edited.clone().unzip();
            let (category, kind) = if it.custom { ("custom", "poll") } else { ("message", "text") };
            let text = if it.deleted.is_some() { "null" } else { &it.text };
            let row = format!(
                "{}|{}|{}|{}|{}|{category}|{kind}|{text}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
                it.id,
                it.conversation(),
                it.sender,
                it.receiver_type.as_str(),
                it.receiver,
                ms(it.sent),
                or_null(it.parent),
                or_null(edited_at.map(ms)),
                or_null(edited_by),
                i64::from(it.deleted.is_some()),
                or_null(deleted_at.map(ms)),
                or_null(deleted_by),
                i64::from(it.held.is_some() && !it.approved),
                or_null(it.to_all[0].map(ms)),
                or_null(it.to_all[1].map(ms)),
            );
            expected.insert(it.id.to_string(), row);
        }
        const MESSAGES: &str = "
            SELECT message_id, conversation_id, sender_uid, receiver_type, receiver_id, category, type, text, sent_at,
                   parent_id, edited_at, edited_by, deleted, deleted_at, deleted_by, blocked, delivered_to_all_at,
                   read_by_all_at
            FROM messages WHERE app_id = ?1";
        let id = |row: &str| row.split('|').next().unwrap_or_default().to_owned();
        let (known, others): (Vec<String>, Vec<String>) =
            self.rows(MESSAGES).into_iter().partition(|row| expected.contains_key(&id(row)));
        // An echo is no message; one never told whole is at most heard of.
        let is_message = |row: &String| id(row).parse().is_ok_and(|id: i64| self.world.messages.contains_key(&id));
        let echoes = others.into_iter().filter(|row| !is_message(row)).collect();
        self.same("message", expected.into_values().collect(), known);
        self.same("echo", Vec::new(), echoes);
    }

    fn edits(&mut self) {
        let edits = self.world.messages.values().flat_map(|it| {
            let text = |text: &str| if it.deleted.is_some() { "null".to_owned() } else { text.to_owned() };
            it.edits.iter().map(move |(at, said)| format!("{}|{}|{}|{}", it.id, ms(*at), text(said), it.sender))
        });
        let expected = edits.collect();
        let actual = self.rows("SELECT message_id, edited_at, text, edited_by FROM message_edits WHERE app_id = ?1");
        self.same("edit", expected, actual);
    }

    fn mentions(&mut self) {
        let known = self.world.messages.values().filter(|it| self.known(it));
        let expected = known.filter_map(|it| Some(format!("{}|{}", it.id, it.mention?))).collect();
        let actual = self.rows("SELECT message_id, uid FROM mentions WHERE app_id = ?1");
        self.same("mention", expected, actual);
    }

    fn conversations(&mut self) {
        let mut listed: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for it in self.world.messages.values().filter(|it| it.visible() && self.known(it)) {
            listed.entry(it.conversation()).or_default().push((it.sent, it.id));
        }
        let row = |(conversation, messages): (String, Vec<(i64, i64)>)| {
            let last = messages.iter().max().copied().unwrap_or_default();
            format!("{conversation}|{}|{}|{}", messages.len(), last.1, ms(last.0))
        };
        let expected = listed.into_iter().map(row).collect();
        const CONVERSATIONS: &str = "
            SELECT conversation_id, messages_count, last_message_id, last_message_at FROM conversations
            WHERE app_id = ?1 AND (messages_count <> 0 OR last_message_id IS NOT NULL)";
        let actual = self.rows(CONVERSATIONS);
        self.same("conversation", expected, actual);
    }

    fn reactions(&mut self) {
        let row = |((message, emoji, uid), (_, at)): (&(i64, &str, &str), &(i64, i64))| {
            format!("{message}|{emoji}|{uid}|{}", ms(*at))
        };
        let expected = self.world.reactions.iter().map(row).collect();
        const REACTIONS: &str =
            "SELECT message_id, reaction, uid, reacted_at FROM reactions WHERE app_id = ?1 AND present";
        let actual = self.rows(REACTIONS);
        self.same("reaction", expected, actual);
    }

    fn receipts(&mut self) {
        let row = |((id, uid), [delivered, read]): (&(i64, String), &[Option<i64>; 2])| {
            format!("{id}|{uid}|{}|{}", or_null(delivered.map(ms)), or_null(read.map(ms)))
        };
        let expected = self.world.receipts.iter().map(row).collect();
        let actual = self.rows("SELECT message_id, uid, delivered_at, read_at FROM receipts WHERE app_id = ?1");
        self.same("receipt", expected, actual);
        let row = |((conversation, uid), (id, at)): (&(String, String), &(i64, i64))| {
            format!("{conversation}|{uid}|{id}|{}", ms(*at))
        };
        let expected = self.world.markers.iter().map(row).collect();
        let actual = self.rows("SELECT conversation_id, uid, message_id, at FROM read_markers WHERE app_id = ?1");
        self.same("read marker", expected, actual);
    }

    fn moderation(&mut self) {
        let judged = self.world.messages.values().filter_map(|it| Some((it, it.verdict?)));
        let expected = judged.map(|(it, verdict)| format!("{}|{verdict}|{}", it.id, i64::from(it.approved))).collect();
        let actual = self.rows("SELECT message_id, status, reviewed FROM moderation WHERE app_id = ?1");
        self.same("verdict", expected, actual);
    }

    fn presence(&mut self) {
        let row = |(uid, (online, at)): (&&str, &(bool, i64))| format!("{uid}|{}|{at}|{at}", i64::from(*online));
        let expected = self.world.presence.iter().map(row).collect();
        let actual = self.rows("SELECT uid, online, changed_at, last_seen_at FROM presence WHERE app_id = ?1");
        self.same("presence", expected, actual);
    }

    /// Nothing in a block's body tells a retry from another block.
    fn blocks(&mut self, no_retries: bool) {
        let apart = |acts: &[(i64, bool)]| acts.windows(2).all(|two| two[1].0 - two[0].0 > RETRIES);
        let told = self.world.blocks.iter().filter(|(_, acts)| no_retries || apart(acts));
        let pairs: BTreeMap<String, i64> =
            told.map(|((by, whom), _)| (format!("{by}|{whom}"), i64::from(self.world.blocked(by, whom)))).collect();
        let expected = pairs.iter().map(|(pair, current)| format!("{pair}|{current}")).collect();
        let mut actual = self.rows("SELECT blocker_uid, blocked_uid, current FROM blocks WHERE app_id = ?1");
        actual.retain(|row| no_retries || row.rsplit_once('|').is_some_and(|(pair, _)| pairs.contains_key(pair)));
        self.same("block", expected, actual);
    }

    fn people(&mut self) {
        let expected = self.world.described.iter().map(|(uid, (_, named))| format!("{uid}|{uid} {named}")).collect();
        let actual = self.rows("SELECT uid, name FROM users WHERE app_id = ?1 AND name IS NOT NULL");
        self.same("person", expected, actual);
    }
}
