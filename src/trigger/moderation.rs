//! Moderation: verdicts of the engine and of people, and the engine's failures.

use super::message_part::{MessagePart, Role};
use super::parts::Object;
use super::{Payload, Ref, Rejection, message, missing};
use crate::change::{Change, Changes, Moderation};
use crate::ids::Time;
use crate::merge::{Fact, rank};

#[derive(Debug)]
struct Verdict {
    message: MessagePart,
    status: &'static str,
    rank: u8,
    rule: Option<String>,
    at: Option<Time>,
}

/// The newest rule listed, and when it blocked.
fn newest_rule(data: &Object<'_>) -> (Option<String>, Option<Time>) {
    let rules = data.entries("moderation").into_iter().filter_map(|(_, entry)| entry.object("rule"));
    let newest = rules.map(|rule| (rule.time("blockedAt").flatten(), rule.id("id"))).max();
    newest.map_or((None, None), |(at, id)| (id, at))
}

pub fn engine_approved(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let message = message::message(data)?;
    let (rule, _) = newest_rule(data);
    // The engine judges content: its verdict is as old as what it judged.
    let at = message.own_at();
    Ok(Box::new(Verdict { status: "approved", rank: rank::ENGINE_VERDICT, rule, at, message }))
}

pub fn engine_blocked(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let message = message::message(data)?;
    let (rule, at) = newest_rule(data);
    let rule = rule.or_else(|| message.own_rule().cloned());
    Ok(Box::new(Verdict { status: "disapproved", rank: rank::ENGINE_VERDICT, rule, at, message }))
}

pub fn manual_approved(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let message = message::message(data)?;
    let (rule, at) = newest_rule(data);
    Ok(Box::new(Verdict { status: "approved", rank: rank::MANUAL_VERDICT, rule, at, message }))
}

impl Payload for Verdict {
    fn occurred_at(&self) -> Option<Time> {
        self.at
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("message", &self.message.id), Ref::sets("moderation", &self.message.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.message.put(fact, Role::Copy, out);
        let row = Moderation {
            status: Some(Some(self.status.to_owned())),
            reviewed: Some(Some(self.rank == rank::MANUAL_VERDICT)),
            rule: self.rule.clone().map(Some),
            ..Moderation::default()
        };
        out.put(Change::Moderation {
            message_id: self.message.id.clone(),
            telling: row.telling(fact.stamp(self.rank)),
        });
    }
}

/// The engine could not judge. That changes no verdict and no content.
#[derive(Debug)]
struct Failed {
    message: MessagePart,
    at: Option<Time>,
    failure: Option<String>,
}

pub fn engine_failed(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let resource = data.object("resource").or_else(|| data.object("message"));
    let message = resource.as_ref().and_then(MessagePart::read).ok_or_else(|| missing("data.resource.id"))?;
    let (_, first) = data.entries("failures").into_iter().next().unzip();
    let failure =
        first.and_then(|first| first.text("errorMessage").flatten().or_else(|| first.text("category").flatten()));
    let message = message.without_content();
    Ok(Box::new(Failed { message, at: data.time("completedAt").flatten(), failure }))
}

impl Payload for Failed {
    fn occurred_at(&self) -> Option<Time> {
        self.at
    }

    fn refs(&self) -> Vec<Ref> {
        vec![Ref::about("message", &self.message.id), Ref::sets("moderation_failure", &self.message.id)]
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.message.put(fact, Role::Copy, out);
        let row = Moderation {
            failed_at: Some(Some(fact.occurred_at)),
            failed_at_from: Some(Some(fact.occurred_from)),
            failure: self.failure.clone().map(Some),
            ..Moderation::default()
        };
        out.put(Change::Moderation { message_id: self.message.id.clone(), telling: row.telling(fact.told_first()) });
    }
}
