//! From what was read to events of chatfold's own. Each function reads one entity or list, and may be called alone.

use super::hand::Hand;
use super::known::{self, Found};
use super::lists::{self, Member};
use super::{BackfillError, Tally};
use crate::envelope::Envelope;
use crate::ids::{Scope, Time};
use crate::json::{self, Document, Json};
use crate::rest::{self, Answer, Client};
use crate::store::sqlite::backfill as store;
use crate::store::sqlite::{self, App, Connection, membership};
use crate::tables::horizon::Horizon;
use crate::tables::reaction::emoji;
use crate::trigger::{as_time, family};
use std::collections::{BTreeMap, BTreeSet};

/// Events that are handed over at once, and their bytes: webhooks of the app have their turn between.
const EVENTS: usize = 128;
const BYTES: usize = 1 << 20;

/// Reads, compares, and hands over what is new.
pub struct Recorder<'a> {
    pub client: &'a Client,
    /// Reads the file that the events go to.
    pub conn: &'a Connection,
    pub hand: &'a mut Hand,
    pub app: App,
    pub region: String,
    waiting: Vec<String>,
    bytes: usize,
    /// Lists that the plan of the app or the key leaves out.
    left_out: BTreeSet<&'static str>,
}

impl<'a> Recorder<'a> {
    pub fn new(client: &'a Client, conn: &'a Connection, hand: &'a mut Hand, app_id: &str, region: &str) -> Self {
        Self {
            client,
            conn,
            hand,
            app: App::from(app_id),
            region: region.to_owned(),
            waiting: Vec::new(),
            bytes: 0,
            left_out: BTreeSet::new(),
        }
    }

    /// People, or groups, of one page.
    pub fn rows(&mut self, kind: &'static str, answer: &Answer, tally: &mut Tally) -> Result<(), BackfillError> {
        answer.rows().try_for_each(|row| self.row(kind, row, answer.at, tally))
    }

    /// One person or one group.
    pub fn row(&mut self, kind: &'static str, row: Json<'_>, at: Time, tally: &mut Tally) -> Result<(), BackfillError> {
        let id = rest::id(row, if kind == "user" { "uid" } else { "guid" }).unwrap_or_default();
        let data = format!(r#""readAt":{},"{kind}":{}"#, at.0, row.source());
        self.snapshot(&format!("{kind}_snapshot"), &id, &data, tally)
    }

    /// The group is not there any more.
    pub fn gone(&mut self, group: &store::Living, at: Time, tally: &mut Tally) -> Result<(), BackfillError> {
        let made = group.created_at.map(|at| format!(r#","createdAt":{}"#, at.0)).unwrap_or_default();
        let guid = json::quote(&group.guid);
        tally.count(Found::Changed);
        self.put("group_snapshot", &format!(r#""readAt":{},"exists":false,"group":{{"guid":{guid}{made}}}"#, at.0))
    }

    /// A group as it is now: what it says of itself, its bans and its members.
    pub fn whole_group(&mut self, group: &store::Living, tally: &mut Tally) -> Result<(), BackfillError> {
        let answer = match self.client.group(&group.guid) {
            Ok(answer) => answer,
            Err(error) => {
                return error.no_group_at().map_or(Err(error.into()), |at| self.gone(group, at, tally));
            }
        };
        let mut group = group.clone();
        if let Some(row) = answer.row() {
            self.row("group", row, answer.at, tally)?;
            group.reported = row.get("membersCount").and_then(Json::number).and_then(|count| count.parse().ok());
        }
        self.people(&group, tally)
    }

    /// Reads one of several lists of an entity. If CometChat refuses the list, the tally notes the refusal, and the caller
    /// reads the other lists. A list that the plan or the key leaves out is asked for once.
    pub fn beside(
        &mut self,
        (list, id): (&'static str, &str),
        tally: &mut Tally,
        read: impl FnOnce(&mut Self, &mut Tally) -> Result<(), BackfillError>,
    ) -> Result<(), BackfillError> {
        if self.left_out.contains(list) {
            return Ok(());
        }
        match read(self, tally) {
            Err(BackfillError::Rest(error)) if error.is_of_kind() || error.is_forbidden() => {
                tally.miss(format!("{list} {id}: {error}"));
                if error.is_of_kind() {
                    self.left_out.insert(list);
                }
                Ok(())
            }
            read => read,
        }
    }

    /// Who is banned from a group, and then its members: what a ban leaves open the member list decides.
    pub fn people(&mut self, group: &store::Living, tally: &mut Tally) -> Result<(), BackfillError> {
        let of = ("who is banned from", group.guid.as_str());
        let banned = self.beside(of, tally, |recorder, tally| recorder.banned(group, tally));
        let read = banned.and_then(|()| self.members(group, tally));
        let gone_at = match &read {
            Err(BackfillError::Rest(error)) => error.no_group_at(),
            _ => None,
        };
        gone_at.map_or(read, |at| self.gone(group, at, tally))
    }

    /// The members of a group.
    pub fn members(&mut self, group: &store::Living, tally: &mut Tally) -> Result<(), BackfillError> {
        let guid = &group.guid;
        let list = self.client.members(guid, group.reported, member)?;
        let members = list.rows;
        let key = (App::clone(&self.app), guid.clone());
        // Whether each person that is known is in, and the scope.
        let mut standings: BTreeMap<String, (bool, Option<Scope>)> = BTreeMap::new();
        membership::each_standing(self.conn, &key, |uid, now| {
            standings.insert(uid, (now.is_current(), now.scope));
        })?;
        let found = |uid: &str, member: &Member| match standings.get(uid) {
            None => Found::New,
            Some((true, scope)) if *scope == member.scope => Found::Unchanged,
            Some(_) => Found::Changed,
        };
        for (uid, member) in &members {
            tally.count(found(uid, member));
        }
        let quoted = json::quote(guid);
        let head = format!(r#""guid":{quoted},"readAt":{},"#, list.at.0);
        if let Some(why) = &list.incomplete {
            tally.incomplete(guid, why);
            let told = members.iter().filter(|(uid, member)| found(uid, member) != Found::Unchanged);
            let told = lists::written(told);
            if !told.is_empty() {
                self.put("group_roster", &format!(r#"{head}"complete":false,"members":{{{told}}}"#))?;
            }
        } else {
            let out = standings.iter().filter(|(uid, (is_in, _))| *is_in && !members.contains_key(*uid)).count();
            tally.changed += out as u64;
            if let Some(data) = lists::complete(self.conn, &key, list.at, &members)? {
                self.put("group_roster", &format!("{head}{data}"))?;
            }
        }
        // The next list is told against what the file holds of this one.
        self.flush()
    }

    /// Who is banned from a group.
    pub fn banned(&mut self, group: &store::Living, tally: &mut Tally) -> Result<(), BackfillError> {
        let list = self.client.banned(&group.guid)?;
        let banned: BTreeSet<String> = list.rows.into_keys().collect();
        let key = (App::clone(&self.app), group.guid.clone());
        let known: BTreeSet<String> = store::banned(self.conn, &key)?.into_iter().collect();
        let new: Vec<&String> = banned.difference(&known).collect();
        let gone: Vec<&String> = known.difference(&banned).filter(|_| list.incomplete.is_none()).collect();
        tally.read += banned.len() as u64;
        tally.changed += (new.len() + gone.len()) as u64;
        tally.unchanged += (banned.len() - new.len()) as u64;
        if let Some(why) = &list.incomplete {
            tally.incomplete(&group.guid, why);
        }
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let head = format!(r#""guid":{},"readAt":{}"#, json::quote(&group.guid), list.at.0);
        let complete = list.incomplete.is_none();
        self.put(
            "banned_roster",
            &format!(r#"{head},"complete":{complete},"banned":{},"gone":{}"#, map(&new), map(&gone)),
        )
    }

    /// Whom a person blocks.
    pub fn blocked(&mut self, uid: &str, tally: &mut Tally) -> Result<(), BackfillError> {
        let list = self.client.blocked(uid, |row| as_time(row.get("blockedAt")?))?;
        let told = list.rows;
        let key = (App::clone(&self.app), uid.to_owned());
        let known: BTreeMap<String, Option<Time>> = store::blocked(self.conn, &key)?.into_iter().collect();
        let is_new = |(uid, since): &(&String, &Option<Time>)| {
            known.get(*uid).is_none_or(|known| since.is_some_and(|since| Some(since) != *known))
        };
        let new: Vec<String> = told
            .iter()
            .filter(is_new)
            .map(|(uid, since)| {
                let since = since.map(|at| format!(r#""blockedAt":{}"#, at.0)).unwrap_or_default();
                format!("{}:{{{since}}}", json::quote(uid))
            })
            .collect();
        let gone: Vec<&String> =
            known.keys().filter(|uid| list.incomplete.is_none() && !told.contains_key(*uid)).collect();
        tally.read += told.len() as u64;
        tally.changed += (new.len() + gone.len()) as u64;
        tally.unchanged += (told.len() - new.len()) as u64;
        if let Some(why) = &list.incomplete {
            tally.incomplete(uid, why);
        }
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let (head, complete) =
            (format!(r#""uid":{},"readAt":{}"#, json::quote(uid), list.at.0), list.incomplete.is_none());
        let blocked = new.join(",");
        self.put(
            "blocked_roster",
            &format!(r#"{head},"complete":{complete},"blocked":{{{blocked}}},"gone":{}"#, map(&gone)),
        )
    }

    /// One message, and who reacted to it where that may have changed. A message before the horizon of retention is left out.
    pub fn message(&mut self, row: Json<'_>, at: Time, tally: &mut Tally) -> Result<(), BackfillError> {
        let category = row.get("category").and_then(Json::text);
        let family = if category.as_deref() == Some("call") { family::CALL } else { family::MESSAGE };
        let horizon: Option<Horizon> = sqlite::load(self.conn, &(App::clone(&self.app), family.to_owned()))?;
        let sent_at = row.get("sentAt").and_then(as_time);
        if horizon.is_some_and(|horizon| sent_at.is_some_and(|at| at < horizon.before)) {
            return Ok(());
        }
        let id = rest::id(row, "id").unwrap_or_default();
        let is_echo = matches!(category.as_deref(), Some("action" | "call"));
        let read_at = if is_echo { String::new() } else { format!(r#""readAt":{},"#, at.0) };
        self.snapshot("message_snapshot", &id, &format!(r#"{read_at}"message":{}"#, row.source()), tally)?;
        let is_deleted = row.get("deletedAt").is_some_and(|at| !at.is_null());
        if is_echo || is_deleted || !self.may_differ(row, &id)? {
            return Ok(());
        }
        self.beside(("the reactions to message", &id), tally, |recorder, tally| recorder.reactions(&id, tally))
    }

    /// Whether the numbers of reactions beside a message are others than the tables have.
    fn may_differ(&self, row: Json<'_>, id: &str) -> Result<bool, BackfillError> {
        let mut known: BTreeMap<String, i64> = BTreeMap::new();
        for (emoji, ..) in store::reacted(self.conn, &(App::clone(&self.app), id.to_owned()))? {
            *known.entry(emoji).or_default() += 1;
        }
        let mut told: BTreeMap<String, i64> = BTreeMap::new();
        let listed = row.get("data").and_then(|data| data.get("reactions")).or_else(|| row.get("reactions"));
        for it in listed.into_iter().flat_map(Json::elements) {
            let count: Option<i64> = it.get("count").and_then(Json::number).and_then(|count| count.parse().ok());
            if let (Some(reaction), Some(count)) = (rest::id(it, "reaction"), count) {
                *told.entry(emoji(&reaction)).or_default() += count;
            }
        }
        told.retain(|_, count| *count > 0);
        Ok(known != told)
    }

    /// Who reacted to a message.
    pub fn reactions(&mut self, id: &str, tally: &mut Tally) -> Result<(), BackfillError> {
        let list = self.client.reactions(id)?;
        let known = store::reacted(self.conn, &(App::clone(&self.app), id.to_owned()))?;
        let known: BTreeSet<(String, String)> = known.into_iter().map(|(emoji, uid, _)| (emoji, uid)).collect();
        let (mut told, mut new) = (BTreeSet::new(), Vec::new());
        for row in list.rows.into_values().filter_map(|row| Document::parse(row.into_bytes()).ok()) {
            let it = row.root();
            let uid = rest::id(it, "uid").or_else(|| rest::id(it.get("reactedBy")?, "uid"));
            let Some((uid, reaction)) = uid.zip(rest::id(it, "reaction")) else { continue };
            let pair = (emoji(&reaction), uid);
            if !known.contains(&pair) {
                new.push(it.source().to_owned());
            }
            told.insert(pair);
        }
        let is_gone = |pair: &&(String, String)| list.incomplete.is_none() && !told.contains(*pair);
        let gone: Vec<String> = known
            .iter()
            .filter(is_gone)
            .map(|(emoji, uid)| format!(r#"{{"uid":{},"reaction":{}}}"#, json::quote(uid), json::quote(emoji)))
            .collect();
        if let Some(why) = &list.incomplete {
            tally.incomplete(&format!("the reactions to message {id}"), why);
        }
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let head = format!(r#""messageId":{},"readAt":{}"#, json::quote(id), list.at.0);
        let (complete, new, gone) = (list.incomplete.is_none(), new.join(","), gone.join(","));
        self.put("reactions_snapshot", &format!(r#"{head},"complete":{complete},"reactions":[{new}],"gone":[{gone}]"#))
    }

    fn snapshot(&mut self, what: &str, id: &str, data: &str, tally: &mut Tally) -> Result<(), BackfillError> {
        let body = self.body(what, data);
        let found = match Envelope::parse(body.as_bytes()) {
            Ok(envelope) => known::compare(self.conn, &self.app, id, &envelope)?,
            Err(_) => Found::Strange,
        };
        tally.count(found);
        match found {
            Found::New | Found::Changed => self.add(body),
            Found::Unchanged | Found::Strange => Ok(()),
        }
    }

    fn put(&mut self, what: &str, data: &str) -> Result<(), BackfillError> {
        let body = self.body(what, data);
        self.add(body)
    }

    fn body(&self, what: &str, data: &str) -> String {
        let (app, region) = (json::quote(&self.app), json::quote(&self.region));
        format!(r#"{{"trigger":"chatfold.{what}","appId":{app},"region":{region},"data":{{{data}}}}}"#)
    }

    fn add(&mut self, body: String) -> Result<(), BackfillError> {
        self.bytes += body.len();
        self.waiting.push(body);
        if self.waiting.len() >= EVENTS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands over what waits. Afterwards it is in the log.
    pub fn flush(&mut self) -> Result<(), BackfillError> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() { Ok(()) } else { Ok(self.hand.append(waiting)?) }
    }
}

/// What a row of a member list says.
fn member(row: Json<'_>) -> Member {
    Member {
        scope: row.get("scope").and_then(Json::text).and_then(|word| Scope::from_word(&word)),
        joined_at: row.get("joinedAt").and_then(as_time).filter(|at| at.0 > 0),
    }
}

/// Uids as a map of a payload.
fn map(uids: &[&String]) -> String {
    let uids: Vec<String> = uids.iter().map(|uid| format!("{}:{{}}", json::quote(uid))).collect();
    format!("{{{}}}", uids.join(","))
}
