//! People: who blocks whom.

use super::parts::{Object, UserPart, users};
use super::{Payload, Ref, Rejection, missing};
use crate::change::{Change, Changes};
use crate::ids::Time;
use crate::merge::Fact;

#[derive(Debug)]
struct Block {
    by: UserPart,
    users: Vec<UserPart>,
    blocks: bool,
}

pub fn read(data: &Object<'_>, blocks: bool) -> Result<Box<dyn Payload>, Rejection> {
    let by = data.object("by").as_ref().and_then(UserPart::read).ok_or_else(|| missing("data.by.uid"))?;
    let users = users(data, "users");
    if users.is_empty() {
        return Err(Rejection("data.users: expected at least one user".into()));
    }
    Ok(Box::new(Block { by, users, blocks }))
}

impl Payload for Block {
    fn occurred_at(&self) -> Option<Time> {
        None
    }

    fn refs(&self) -> Vec<Ref> {
        let pairs = self.users.iter().map(|user| Ref::sets_of("block", &[&self.by.uid, &user.uid]));
        let people = self.users.iter().chain([&self.by]).map(|user| Ref::about("user", &user.uid));
        pairs.chain(people).collect()
    }

    fn reduce(&self, fact: &Fact, out: &mut Changes) {
        self.by.put(fact, out);
        for user in &self.users {
            user.put(fact, out);
            out.put(Change::Block {
                blocker: self.by.uid.clone(),
                blocked: user.uid.clone(),
                blocks: self.blocks,
                since: None,
            });
        }
    }
}
