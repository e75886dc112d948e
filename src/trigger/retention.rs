//! What chatfold tells of its own log: up to when events of a family were cut.

use super::parts::Object;
use super::{Payload, Ref, Rejection};
use crate::change::{Change, Changes};
use crate::ids::Time;
use crate::merge::Fact;

#[derive(Debug)]
struct Cut {
    family: String,
    before: Time,
    at: Time,
}

pub fn cut(data: &Object<'_>) -> Result<Box<dyn Payload>, Rejection> {
    let time = |key: &str| {
        let expected = || Rejection(format!("data.{key}: expected a unix time"));
        data.time(key).flatten().ok_or_else(expected)
    };
    let family = data.text("family").flatten().ok_or_else(|| Rejection("data.family: expected text".into()))?;
    Ok(Box::new(Cut { family, before: time("before")?, at: time("cutAt")? }))
}

impl Payload for Cut {
    fn occurred_at(&self) -> Option<Time> {
        Some(self.at)
    }

    fn refs(&self) -> Vec<Ref> {
        Vec::new()
    }

    fn reduce(&self, _: &Fact, out: &mut Changes) {
        out.put(Change::Horizon { family: self.family.clone(), before: self.before });
    }
}
