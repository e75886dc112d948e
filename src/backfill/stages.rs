//! The stages of a run, each from where the last run left it.

use super::hand::Hand;
use super::pages::Pages;
use super::{BackfillError, Plan, Progress, Recorder, Report, Stage, Tally};
use crate::ids::id_number;
use crate::rest::{Client, RestError};
use crate::store::sqlite::backfill::{self as store, Place};
use crate::store::sqlite::{App, Connection};
use serde::{Deserialize, Serialize};

/// Groups and people read between two notes of how far the run is.
const NOTED: usize = 50;

/// Reads what the plan says. `conn` reads the file that `hand` writes to.
pub fn run(
    client: &Client,
    conn: &Connection,
    hand: &mut Hand,
    plan: &Plan,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, BackfillError> {
    let recorder = Recorder::new(client, conn, hand, &plan.app_id, &plan.region);
    let mut run = Run { recorder, plan, progress };
    run.begin()?;
    let stages = Stage::ALL.into_iter().filter(|stage| plan.stages.contains(stage));
    let stages = stages.map(|stage| Ok((stage, run.stage(stage)?))).collect::<Result<_, BackfillError>>()?;
    run.clear()?;
    let (requests, retries) = client.requests();
    Ok(Report { stages, requests, retries })
}

struct Run<'a> {
    recorder: Recorder<'a>,
    plan: &'a Plan,
    progress: &'a mut dyn FnMut(Progress),
}

/// How far the messages are read, as the table `backfill` keeps this place.
#[derive(Serialize, Deserialize)]
struct Messages {
    /// The id that was read last.
    after: String,
    /// Messages sent before this unix second were left out.
    since: Option<i64>,
}

/// Where a stage is.
struct At {
    stage: Stage,
    place: String,
    tally: Tally,
}

impl Run<'_> {
    /// Begins these stages anew if an earlier run has read all of them: that run was to read more stages, and was stopped.
    fn begin(&mut self) -> Result<(), BackfillError> {
        for stage in &self.plan.stages {
            if !store::place(self.recorder.conn, &self.plan.app_id, stage.name())?.done {
                return Ok(());
            }
        }
        self.clear()
    }

    /// The next run begins these stages anew.
    fn clear(&mut self) -> Result<(), BackfillError> {
        if !self.plan.dry_run {
            let stages = self.plan.stages.iter().map(|stage| stage.name().to_owned()).collect();
            self.recorder.hand.clear(&self.plan.app_id, stages)?;
        }
        Ok(())
    }

    fn stage(&mut self, stage: Stage) -> Result<Tally, BackfillError> {
        let kept = self.kept(stage)?;
        let mut at = At { stage, place: kept.place, tally: serde_json::from_str(&kept.counts).unwrap_or_default() };
        if kept.done {
            return Ok(at.tally);
        }
        self.tell(&at, 0, 0);
        let read = match stage {
            Stage::Users => self.pages(&mut at, ("user", "uid"), Client::users),
            Stage::Groups => self.pages(&mut at, ("group", "guid"), Client::groups),
            Stage::Members => self.members(&mut at),
            Stage::Blocks => self.blocks(&mut at),
            Stage::Messages => self.messages(&mut at),
        };
        match read {
            Ok(()) => {}
            Err(error) => at.tally.left_out(error)?,
        }
        if at.tally.read == 0 && at.tally.note.is_none() {
            at.tally.note = Some(self.why_nothing(stage));
        }
        self.note(&at, true)?;
        Ok(at.tally)
    }

    /// How far the last run read a stage. If the last run left out messages that this run is to read, the messages begin anew.
    fn kept(&self, stage: Stage) -> Result<Place, BackfillError> {
        if self.plan.dry_run {
            return Ok(Place::default());
        }
        let kept = store::place(self.recorder.conn, &self.plan.app_id, stage.name())?;
        let is_enough = |place: Messages| place.since <= self.plan.since;
        let goes_on = stage != Stage::Messages || serde_json::from_str(&kept.place).is_ok_and(is_enough);
        Ok(if goes_on { kept } else { Place::default() })
    }

    fn why_nothing(&self, stage: Stage) -> String {
        match stage {
            Stage::Users => "CometChat lists nobody in this app".into(),
            Stage::Groups => "CometChat lists no group in this app".into(),
            Stage::Members => "the file knows no group of this app. The stage groups reads them".into(),
            Stage::Blocks => "nobody blocks anybody, or the file knows nobody. The stage users reads people".into(),
            Stage::Messages if self.plan.since.is_some() => "CometChat lists no message since then".into(),
            Stage::Messages => "CometChat lists no message in this app".into(),
        }
    }

    /// Pages of people or groups. A list of which a row may be missing is read once more.
    fn pages(
        &mut self,
        at: &mut At,
        (kind, id): (&'static str, &str),
        read: fn(&Client, u64) -> Result<crate::rest::Answer, RestError>,
    ) -> Result<(), BackfillError> {
        let mut list: Pages = serde_json::from_str(&at.place).unwrap_or_default();
        loop {
            let answer = read(self.recorder.client, list.next())?;
            let ends = list.take(&answer, id);
            self.recorder.rows(kind, &answer, &mut at.tally)?;
            self.tell(at, at.tally.read, answer.total().unwrap_or(0));
            if ends && list.missing.is_some() && !list.again {
                list = Pages::again();
                at.tally.again(self.plan.dry_run);
            } else if ends {
                at.tally.unchanged = at.tally.read.saturating_sub(at.tally.new + at.tally.changed);
                if let Some(why) = list.missing {
                    at.tally.incomplete(&format!("the list of {}", at.stage.name()), &why);
                }
                return Ok(());
            }
            at.place = serde_json::to_string(&list).unwrap_or_default();
            self.note(at, false)?;
        }
    }

    fn members(&mut self, at: &mut At) -> Result<(), BackfillError> {
        let app = App::clone(&self.recorder.app);
        let total = store::count_after(self.recorder.conn, &app, Some(""), "")?.unsigned_abs();
        let mut left = store::count_after(self.recorder.conn, &app, Some(&at.place), "")?.unsigned_abs();
        loop {
            let groups = store::groups(self.recorder.conn, &app, &at.place, NOTED as i64)?;
            let Some(last) = groups.last() else { return Ok(()) };
            for group in &groups {
                let read = self.recorder.people(group, &mut at.tally);
                at.tally.missed(&group.guid, read)?;
                left = left.saturating_sub(1);
                self.tell(at, total.saturating_sub(left), total);
            }
            at.place.clone_from(&last.guid);
            self.note(at, false)?;
        }
    }

    fn blocks(&mut self, at: &mut At) -> Result<(), BackfillError> {
        let app = App::clone(&self.recorder.app);
        let total = store::count_after(self.recorder.conn, &app, None, "")?.unsigned_abs();
        let mut left = store::count_after(self.recorder.conn, &app, None, &at.place)?.unsigned_abs();
        loop {
            let uids = store::users(self.recorder.conn, &app, &at.place, NOTED as i64)?;
            let Some(last) = uids.last() else { return Ok(()) };
            for uid in &uids {
                match self.recorder.blocked(uid, &mut at.tally) {
                    // Who is deleted or deactivated blocks nobody that matters.
                    Err(BackfillError::Rest(error)) if error.is_not_found() => {}
                    read => at.tally.missed(uid, read)?,
                }
                left = left.saturating_sub(1);
                self.tell(at, total.saturating_sub(left), total);
            }
            at.place.clone_from(last);
            self.note(at, false)?;
        }
    }

    fn messages(&mut self, at: &mut At) -> Result<(), BackfillError> {
        let since = self.plan.since;
        let place: Option<Messages> = serde_json::from_str(&at.place).ok();
        let mut after = place.map_or_else(|| "0".to_owned(), |place| place.after);
        let mut newest = self.newest()?;
        let mut empty = false;
        loop {
            let page = self.recorder.client.messages(&after, since)?;
            let Some(last) = page.last.filter(|last| id_number(last) > id_number(&after)) else {
                let follow = page.answer.has_next() || id_number(&after) < Some(newest);
                // An empty page though more follow is read once more. The newest message may be gone by then.
                if follow && !std::mem::replace(&mut empty, true) {
                    newest = self.newest()?;
                    continue;
                }
                if follow {
                    let why = format!("nothing came after message {after}, though the newest message is {newest}");
                    at.tally.incomplete("the list of messages", &why);
                }
                return Ok(());
            };
            empty = false;
            for row in page.answer.rows() {
                let id = crate::rest::id(row, "id").unwrap_or_default();
                let read = self.recorder.message(row, page.answer.at, &mut at.tally);
                at.tally.missed(&format!("message {id}"), read)?;
            }
            let (done, total) = (id_number(&last).unwrap_or(0), newest);
            self.tell(at, done.unsigned_abs(), total.max(done).unsigned_abs());
            after = last;
            at.place = serde_json::to_string(&Messages { after: after.clone(), since }).unwrap_or_default();
            self.note(at, false)?;
        }
    }

    /// The id of the newest message; 0: there is none.
    fn newest(&self) -> Result<i64, RestError> {
        let newest = self.recorder.client.newest_message(self.plan.since)?;
        Ok(newest.and_then(|id| id_number(&id)).unwrap_or(0))
    }

    fn tell(&mut self, at: &At, done: u64, total: u64) {
        (self.progress)(Progress { stage: at.stage, done, total });
    }

    /// Hands over what waits, and then keeps how far the stage is.
    fn note(&mut self, at: &At, done: bool) -> Result<(), BackfillError> {
        self.recorder.flush()?;
        let counts = serde_json::to_string(&at.tally).unwrap_or_default();
        let place = Place { place: at.place.clone(), done, counts };
        Ok(self.recorder.hand.keep(&self.plan.app_id, at.stage.name(), &place)?)
    }
}
