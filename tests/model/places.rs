//! The truth about places in groups: who comes, goes, is promoted.

use super::deliver;
use super::script::Pace;
use super::world::{Place, USERS, World, pick, second};
use chatfold::ids::{Scope, State};

impl World {
    pub fn change_place(&mut self, guid: &str, uid: &'static str, c: usize) -> Option<()> {
        let owner = self.groups.get(guid)?.owner.clone();
        if !self.plausible(guid, uid, c) {
            return None;
        }
        let (state, scope) = self.place(guid, uid).map_or((State::Absent, None), |place| (place.state, place.scope));
        match state {
            State::Joined if uid == owner => self.transfer(guid, uid)?,
            State::Joined => match c % 100 {
                0..40 => {
                    let others = [Scope::Admin, Scope::Moderator, Scope::Participant];
                    let others: Vec<Scope> = others.into_iter().filter(|other| Some(*other) != scope).collect();
                    let scope = pick(&others, c / 100)?;
                    self.end_or_rescope(guid, uid, State::Joined, Some(scope), Some(&owner))?;
                }
                40..65 => self.end_or_rescope(guid, uid, State::Kicked, None, Some(&owner))?,
                65..70 => self.end_or_rescope(guid, uid, State::Banned, None, Some(&owner))?,
                _ => self.end_or_rescope(guid, uid, State::Left, None, None)?,
            },
            State::Banned => self.end_or_rescope(guid, uid, State::Unbanned, None, Some(&owner))?,
            _ if self.repeats(guid, uid, State::Joined, Some(Scope::Participant)) => return None,
            _ if c.is_multiple_of(2) => self.add(guid, &[uid])?,
            _ => {
                self.bump(guid)?;
                self.put(guid, uid, State::Joined, Some(Scope::Participant), None, true);
                deliver::seat(self, "group_member_joined", guid, &[uid], None, None, true);
            }
        }
        Some(())
    }

    /// Within two seconds a script promotes or kicks, once, whom it has added or promoted, and who has just gone comes
    /// again. Nobody adds the same person twice within a minute.
    fn plausible(&self, guid: &str, uid: &'static str, c: usize) -> bool {
        let places = self.places.get(&(guid.to_owned(), uid.to_owned())).map_or(&[][..], Vec::as_slice);
        if !matches!(self.pace, Pace::Bursts | Pace::Anew) {
            return true;
        }
        let hasty = places.iter().rev().take_while(|place| self.now - place.at < 2_000).count();
        if places.last().is_some_and(|last| last.state == State::Joined) {
            return hasty == 0 || (hasty == 1 && c % 100 < 65);
        }
        let added = places.iter().rfind(|place| place.state == State::Joined && !place.told);
        hasty < 2 && added.is_none_or(|added| self.now - added.at > 60_000)
    }

    /// Of hasty acts, those whose bodies are equal: told before for this second, or an add within a minute of another.
    /// Nothing tells them from a retry; what comes of adds with equal bodies is measured by itself.
    fn repeats(&self, guid: &str, uid: &str, state: State, scope: Option<Scope>) -> bool {
        let places = self.places.get(&(guid.to_owned(), uid.to_owned())).map_or(&[][..], Vec::as_slice);
        let told = |place: &Place| place.told && place.scope == scope && second(place.at) == second(self.now);
        let again = |place: &Place| told(place) || (!place.told && self.now - place.at <= 60_000);
        self.pace == Pace::Harsh && places.iter().any(|place| place.state == state && again(place))
    }

    fn end_or_rescope(
        &mut self,
        guid: &str,
        uid: &'static str,
        state: State,
        scope: Option<Scope>,
        by: Option<&str>,
    ) -> Option<()> {
        if self.repeats(guid, uid, state, scope) {
            return None;
        }
        let old = self.place(guid, uid)?.scope;
        self.bump(guid)?;
        self.put(guid, uid, state, scope, by, true);
        let trigger = match state {
            State::Left => "group_member_left",
            State::Kicked => "group_member_kicked",
            State::Banned => "group_member_banned",
            State::Unbanned => "group_member_unbanned",
            _ => "group_member_scope_changed",
        };
        deliver::seat(self, trigger, guid, &[uid], by, scope.zip(old), true);
        Some(())
    }

    pub fn add_several(&mut self, guid: &str, b: usize) -> Option<()> {
        let out = |uid: &&'static str| {
            self.plausible(guid, uid, 0)
                && self.place(guid, uid).is_none_or(|place| !matches!(place.state, State::Joined | State::Banned))
        };
        let uids: Vec<&'static str> = (b..b + 3).map(|at| USERS[at % USERS.len()]).filter(out).collect();
        if uids.is_empty() { None } else { self.add(guid, &uids) }
    }

    /// Nothing dates an add.
    fn add(&mut self, guid: &str, uids: &[&'static str]) -> Option<()> {
        let owner = self.groups.get(guid)?.owner.clone();
        let told = self.pace == Pace::Distinct;
        if told {
            self.bump(guid)?;
        }
        // With an API key nobody is told to have acted.
        let by = Some(owner.as_str()).filter(|_| self.pace != Pace::Key);
        for uid in uids {
            self.put(guid, uid, State::Joined, Some(Scope::Participant), by, told);
        }
        deliver::seat(self, "group_member_added", guid, uids, by, None, told);
        Some(())
    }

    /// To an admin, whose scope stays what it is.
    fn transfer(&mut self, guid: &str, owner: &'static str) -> Option<()> {
        let admin =
            |uid: &&str| *uid != owner && self.place(guid, uid).is_some_and(|it| it.scope == Some(Scope::Admin));
        let heir = self.members(guid).into_iter().find(admin)?;
        self.bump(guid)?;
        let group = self.groups.get_mut(guid)?;
        (group.owner, group.updated_by) = (heir.to_owned(), owner.to_owned());
        deliver::owner_transferred(self, guid, owner);
        Some(())
    }
}
