//! The steps of a run.

use super::{Run, Step};
use crate::backfill::hand::Note;
use crate::backfill::{BackfillError, Recorder, Tally};
use crate::entity::Entity;
use crate::ids::{Time, id_number};
use crate::json::Json;
use crate::rest::{self, Answer, Client, Messages, RestError};
use crate::store::StoreError;
use crate::store::sqlite::App;
use crate::store::sqlite::backfill::{self as places, Living, Place};
use crate::store::sqlite::read::gaps::{self, Hole, NotApplied};
use crate::store::sqlite::reconcile as store;
use std::collections::BTreeSet;

/// Groups and people between two notes that they were read.
const NOTED: usize = 50;
/// Events that one run looks at, and holes of message ids that are looked up at once: the newest.
const MOST: usize = 200;
/// Messages known by what others say of them that one run looks at: the newest.
const UNKNOWN: i64 = 10_000;
/// Rows of a list that one statement gives.
const ROWS: u64 = 100_000;
/// Messages of a page.
const PAGE: i64 = 500;
/// A message this young is still told by its webhook: CometChat tries for 40 s.
const YOUNG: i64 = 60_000;
/// The lists of the app: kind of their rows, where the run before ended, how a page is read.
type Pages = (&'static str, &'static str, fn(&Client, u64) -> Result<Answer, RestError>);
const LISTS: [Pages; 2] = [("group", "reconcile-groups", Client::groups), ("user", "reconcile-users", Client::users)];

impl Run<'_> {
    pub(super) fn step(&mut self, step: Step) -> Result<(), BackfillError> {
        let mut tally = Tally::default();
        let read = match step {
            Step::Drift => self.drifted(&mut tally),
            Step::Events => self.events(&mut tally),
            Step::Messages => self.messages(&mut tally),
            Step::Lists => self.lists(&mut tally),
            Step::Members => self.members(&mut tally),
            Step::Blocks => self.blocks(&mut tally),
        };
        let flushed = self.recorder.flush();
        let read = read.or_else(|error| tally.left_out(error));
        self.steps.push((step, tally));
        read.and(flushed)
    }

    /// Groups whose members were not read in this run.
    pub(super) fn groups_left(&self) -> Result<u64, BackfillError> {
        let groups = places::count_after(self.recorder.conn, &self.recorder.app, Some(""), "")?.unsigned_abs();
        Ok(groups.saturating_sub(self.read.len() as u64))
    }

    fn drifted(&mut self, tally: &mut Tally) -> Result<(), BackfillError> {
        let groups = store::drifted(self.recorder.conn, &self.recorder.app, self.rows())?;
        self.groups(Step::Drift, tally, groups, 0)
    }

    fn members(&mut self, tally: &mut Tally) -> Result<(), BackfillError> {
        let groups = store::oldest_groups(self.recorder.conn, &self.recorder.app, self.rows())?;
        // The last quarter is for blocks.
        let kept = self.left() / 4;
        self.groups(Step::Members, tally, groups, kept)
    }

    /// How many rows of a list can be read at most.
    fn rows(&self) -> i64 {
        self.left().min(ROWS).cast_signed()
    }

    /// Reads groups that this run has not tried to read, until no more than so many requests are left.
    fn groups(&mut self, step: Step, tally: &mut Tally, groups: Vec<Living>, kept: u64) -> Result<(), BackfillError> {
        let mut done = Vec::new();
        for group in groups {
            if self.left() <= kept {
                break;
            }
            if !self.read.contains_key(&group.guid) {
                self.group((step, tally), &group, |recorder, tally| match step {
                    Step::Drift => recorder.whole_group(&group, tally),
                    _ => recorder.people(&group, tally),
                })?;
                done.push(group.guid);
            }
            self.verified("group", &mut done, NOTED)?;
        }
        self.verified("group", &mut done, 1)
    }

    /// Reads a group. Whether it was read whole.
    fn group(
        &mut self,
        (step, tally): (Step, &mut Tally),
        group: &Living,
        read: impl FnOnce(&mut Recorder<'_>, &mut Tally) -> Result<(), BackfillError>,
    ) -> Result<bool, BackfillError> {
        let unreachable = tally.unreachable;
        self.one((step, tally), &Entity::Group(group.guid.clone()).to_string(), read)?;
        let is_whole = tally.unreachable == unreachable;
        self.read.insert(group.guid.clone(), is_whole);
        Ok(is_whole)
    }

    /// Keeps that these were read, once there are enough of them. What was read is in the log before.
    fn verified(&mut self, kind: &str, done: &mut Vec<String>, enough: usize) -> Result<(), BackfillError> {
        if done.len() < enough {
            return Ok(());
        }
        self.recorder.flush()?;
        let note = Note::Verified(kind.to_owned(), std::mem::take(done));
        Ok(self.recorder.hand.note(&self.plan.app_id, note)?)
    }

    fn events(&mut self, tally: &mut Tally) -> Result<(), BackfillError> {
        let events = gaps::not_applied(self.recorder.conn, &self.plan.app_id, MOST).map_err(StoreError::from)?;
        let mut done = Vec::new();
        for NotApplied { seq, entities, .. } in events {
            let unreachable = tally.unreachable;
            let mut is_whole = true;
            for entity in &entities {
                is_whole &= self.left() > 0 && self.named(entity, tally)?;
            }
            if is_whole && tally.unreachable == unreachable {
                done.push(seq.to_string());
            }
        }
        self.verified("event", &mut done, 1)
    }

    /// Reads what an event names. False where it was not read whole, and for a call, which this API does not tell.
    fn named(&mut self, entity: &Entity, tally: &mut Tally) -> Result<bool, BackfillError> {
        let step = (Step::Events, tally);
        let what = entity.to_string();
        match entity {
            Entity::Group(guid) | Entity::Membership { guid, .. } => {
                if let Some(is_whole) = self.read.get(guid) {
                    return Ok(*is_whole);
                }
                let group = store::group(self.recorder.conn, &self.recorder.app, guid)?;
                let is_whole = self.group(step, &group, |recorder, tally| recorder.whole_group(&group, tally))?;
                self.verified("group", &mut vec![guid.clone()], 1)?;
                return Ok(is_whole);
            }
            Entity::User(uid) => self.one(step, &what, |recorder, tally| {
                let read = recorder.client.user(uid).map_err(BackfillError::from);
                let read = read.and_then(|answer| {
                    answer.row().map_or(Ok(()), |row| recorder.row("user", row, answer.at, tally))?;
                    let blocked =
                        |recorder: &mut Recorder<'_>, tally: &mut Tally| or_nothing(recorder.blocked(uid, tally));
                    recorder.beside(("whom the person blocks:", uid), tally, blocked)
                });
                or_nothing(read)
            })?,
            Entity::Message(id) => self.one(step, &what, |recorder, tally| {
                let read = recorder.client.message(id).map_err(BackfillError::from);
                let record =
                    |answer: Answer| answer.row().map_or(Ok(()), |row| recorder.message(row, answer.at, tally));
                or_nothing(read.and_then(record))
            })?,
            Entity::Call(_) => return Ok(false),
        }
        Ok(true)
    }

    fn messages(&mut self, tally: &mut Tally) -> Result<(), BackfillError> {
        let (mut last, mut before) = (None, u64::MAX);
        while self.left() > 0 {
            let holes = gaps::holes(self.recorder.conn, &self.plan.app_id, MOST).map_err(StoreError::from)?;
            last = holes.last;
            // Holes that stay although CometChat was asked are left to the next run.
            if holes.holes >= before {
                break;
            }
            before = holes.holes;
            for hole in holes.newest.iter().rev() {
                self.hole(*hole, tally)?;
            }
            if holes.holes <= MOST as u64 {
                break;
            }
        }
        let unknown = store::unknown_messages(self.recorder.conn, &self.recorder.app, UNKNOWN)?;
        self.unknown(&unknown, tally)?;
        last.map_or(Ok(()), |last| self.newer(last, tally))
    }

    /// Reads the messages whose ids no event names.
    fn hole(&mut self, Hole { first, last }: Hole, tally: &mut Tally) -> Result<(), BackfillError> {
        let mut after = first - 1;
        while after < last && self.left() > 0 {
            let Some((page, reached)) = self.after(after, (last - after).min(PAGE), tally)? else { return Ok(()) };
            for row in page.answer.rows() {
                self.message(row, page.answer.at, |id, _| id <= last, tally)?;
            }
            let reached = reached.map_or(last, |reached| reached.min(last));
            self.recorder.flush()?;
            self.recorder.hand.note(&self.plan.app_id, Note::Asked(after + 1, reached))?;
            after = reached;
        }
        Ok(())
    }

    /// The messages after an id, and the last of their ids. That no message follows counts where CometChat says so twice.
    /// `None`: no message came, though more follow.
    fn after(
        &self,
        after: i64,
        most: i64,
        tally: &mut Tally,
    ) -> Result<Option<(Messages, Option<i64>)>, BackfillError> {
        let read = || -> Result<_, RestError> {
            let page = self.recorder.client.few_messages(after, most.unsigned_abs() as usize)?;
            let reached = page.last.as_deref().and_then(id_number).filter(|reached| *reached > after);
            Ok((page, reached))
        };
        let mut page = read()?;
        if page.1.is_none() {
            page = read()?;
        }
        if page.1.is_none() && page.0.answer.has_next() {
            tally.incomplete("the list of messages", "a page is empty, though more messages follow");
            return Ok(None);
        }
        Ok(Some(page))
    }

    /// Reads messages that are only known by what others say of them.
    fn unknown(&mut self, ids: &BTreeSet<i64>, tally: &mut Tally) -> Result<(), BackfillError> {
        let mut next = i64::MIN;
        while let Some(first) = ids.range(next..).next().copied().filter(|_| self.left() > 0) {
            let until = first.saturating_add(PAGE - 1);
            let most = if ids.range(first..=until).count() > 1 { PAGE } else { 1 };
            let Some((page, reached)) = self.after(first - 1, most, tally)? else { return Ok(()) };
            let reached = reached.unwrap_or(i64::MAX);
            let mut come = BTreeSet::new();
            for row in page.answer.rows() {
                self.message(row, page.answer.at, |id, _| ids.contains(&id), tally)?;
                come.extend(rest::id(row, "id").as_deref().and_then(id_number));
            }
            self.recorder.flush()?;
            for id in ids.range(first..=reached.max(first)).filter(|id| !come.contains(id)) {
                self.recorder.hand.note(&self.plan.app_id, Note::Asked(*id, *id))?;
            }
            next = reached.max(first).saturating_add(1);
        }
        Ok(())
    }

    /// Reads the messages after the newest known one, but for those that their webhooks may still tell.
    fn newer(&mut self, mut after: i64, tally: &mut Tally) -> Result<(), BackfillError> {
        while self.left() > 0 {
            let page = self.recorder.client.few_messages(after, PAGE.unsigned_abs() as usize)?;
            let Some(last) = page.last.as_deref().and_then(id_number).filter(|last| *last > after) else { break };
            let mut is_old = true;
            for row in page.answer.rows() {
                let is_due = |_, sent_at: i64| sent_at * 1_000 <= page.answer.at.0 - YOUNG;
                is_old = is_old && self.message(row, page.answer.at, is_due, tally)?;
            }
            if !is_old {
                break;
            }
            after = last;
        }
        Ok(())
    }

    /// Reads one message of a list, if it is wanted by its id and the second at which it was sent.
    fn message(
        &mut self,
        row: Json<'_>,
        at: Time,
        is_wanted: impl Fn(i64, i64) -> bool,
        tally: &mut Tally,
    ) -> Result<bool, BackfillError> {
        let id = rest::id(row, "id").unwrap_or_default();
        let sent_at = row.get("sentAt").and_then(Json::number).and_then(|at| at.parse().ok()).unwrap_or(0);
        let is_wanted = id_number(&id).is_some_and(|id| is_wanted(id, sent_at));
        if is_wanted {
            let what = Entity::Message(id).to_string();
            self.one((Step::Messages, tally), &what, |recorder, tally| recorder.message(row, at, tally))?;
        }
        Ok(is_wanted)
    }

    /// Pages of groups and people, from where the run before ended: at most a quarter of what is left for each.
    fn lists(&mut self, tally: &mut Tally) -> Result<(), BackfillError> {
        for (kind, stage, read) in LISTS {
            let until = self.left() - (self.left() / 4).max(1).min(self.left());
            let place = places::place(self.recorder.conn, &self.plan.app_id, stage)?.place;
            let mut page = place.parse().unwrap_or(0);
            while self.left() > until {
                page += 1;
                let answer = read(self.recorder.client, page)?;
                for row in answer.rows() {
                    let id = rest::id(row, if kind == "user" { "uid" } else { "guid" }).unwrap_or_default();
                    let record =
                        |recorder: &mut Recorder<'_>, tally: &mut Tally| recorder.row(kind, row, answer.at, tally);
                    self.one((Step::Lists, tally), &format!("{kind}:{id}"), record)?;
                }
                let is_last = answer.is_last(page);
                if answer.rows().next().is_none() && !is_last {
                    tally.incomplete(&format!("page {page} of the {kind}s"), "it is empty, though more pages follow");
                }
                let place = if is_last { String::new() } else { page.to_string() };
                self.recorder.flush()?;
                let place = Place { place, ..Place::default() };
                self.recorder.hand.keep(&self.plan.app_id, stage, &place)?;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    fn blocks(&mut self, tally: &mut Tally) -> Result<(), BackfillError> {
        let app = App::clone(&self.recorder.app);
        let mut done = Vec::new();
        for uid in store::oldest_people(self.recorder.conn, &app, self.rows())? {
            if self.left() == 0 {
                break;
            }
            let what = Entity::User(uid.clone()).to_string();
            self.one((Step::Blocks, tally), &what, |recorder, tally| or_nothing(recorder.blocked(&uid, tally)))?;
            done.push(uid);
            self.verified("user", &mut done, NOTED)?;
        }
        self.verified("user", &mut done, 1)
    }
}

/// What does not exist tells nothing: that is no fault.
fn or_nothing(read: Result<(), BackfillError>) -> Result<(), BackfillError> {
    match read {
        Err(BackfillError::Rest(error)) if error.is_not_found() => Ok(()),
        read => read,
    }
}
