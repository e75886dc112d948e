//! One person in one group: each fact, the rule of 4.3 that gave the fact its place, and the state after the fact.

use super::Effect;
use super::state::{Membership, place};
use crate::change::{Change, MemberList};
use crate::ids::{Scope, State as Place, TimeSource};
use crate::merge::Fact;
use crate::standing::{self, Step, Turn, standing_telling};
use crate::tables::group::{self, Rosters, Touched};
use serde_json::{Value as Json, json};

/// What a fact says of a person, in words.
pub(super) fn said(uid: &str, state: Option<Place>, scope: Option<Scope>, old: Option<Scope>) -> String {
    let was = old.map(|old| format!(" (was {})", old.as_str())).unwrap_or_default();
    let verb = |state: Place| match state {
        Place::Joined | Place::Left => state.as_str().to_owned(),
        _ => format!("was {}", state.as_str()),
    };
    match (state, scope) {
        (Some(state), Some(scope)) => format!("{uid} {} as {}", verb(state), scope.as_str()),
        (Some(state), None) => format!("{uid} {}", verb(state)),
        (None, Some(scope)) => format!("{uid} became {}{was}", scope.as_str()),
        (None, None) => format!("{uid} became the owner"),
    }
}

impl Membership {
    /// Applies a change; true if the change is about this membership.
    pub(super) fn take(&mut self, which: &str, who: &str, fact: &Fact, change: &Change) -> bool {
        match change {
            Change::Creation { guid, at } if guid == which => {
                self.rosters.create(*at, fact);
            }
            Change::Roster(told) if told.guid == which => self.take_list(who, fact, told),
            Change::Membership(told) if told.guid == which && told.uid == who => {
                self.facts.apply(told, fact, self.rosters.newest_read());
            }
            _ => return false,
        }
        true
    }

    /// Takes a complete list: it counts for everybody, and may name the person.
    fn take_list(&mut self, who: &str, fact: &Fact, told: &MemberList) {
        if self.rosters.apply(group::Roster::read(told, fact)) == Touched::Nobody {
            return;
        }
        self.rosters.drop_replaced();
        if let Some(entry) = told.entries.iter().find(|entry| entry.uid == who) {
            self.facts.apply(&told.says(entry), fact, None);
        }
    }

    /// Stands the facts, and tells of each the place it was given, by log position.
    pub(super) fn stand(&mut self, uid: &str) -> Vec<(i64, Effect)> {
        self.standing = self.facts.stands(&self.rosters.lists());
        let changes: Vec<_> = self.facts.0.iter().map(|told| told.change.clone()).collect();
        steps(uid, &changes, &self.rosters)
    }
}

/// The step that each fact and list was, by log position.
fn steps(uid: &str, changes: &[standing::MembershipFact], rosters: &Rosters) -> Vec<(i64, Effect)> {
    let mut lists: Vec<_> = rosters.0.iter().map(|list| (list.roster.seq, list.roster)).collect();
    lists.sort_by_key(|(_, roster)| roster.at);
    let mut lists = lists.into_iter();
    let (mut effects, mut turn) = (Vec::new(), 0);
    standing_telling(changes, &rosters.lists(), |step| {
        turn += 1;
        if step.roster.is_some() {
            // Lists are taken by their time.
            let list = lists.find(|(_, roster)| Some(*roster) == step.roster);
            effects.extend(list.map(|(seq, _)| (seq, roster(&step, turn))));
        } else if let Some(row) = step.row {
            effects.push((row.seq, taken(uid, row, &step, turn)));
        }
    });
    effects
}

fn taken(uid: &str, row: &standing::MembershipFact, step: &Step<'_>, turn: usize) -> Effect {
    let by = row.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    let told = said(uid, row.state, row.scope, row.old_scope) + &by;
    let mut rules = vec![match step.turn {
        Turn::Order if row.at_from == TimeSource::Arrival => {
            format!(
                "it has no time, so it counts at its arrival, {}, after facts with a time in that second (rule 1)",
                row.at
            )
        }
        Turn::Order if row.at.0 == 0 => {
            "its time is not known, so it counts before all facts with a time (rule 1)".to_owned()
        }
        Turn::Order => format!("it counts at its time, {} (rule 1)", row.at),
        Turn::Earlier => {
            "it names the earlier group, so it counts before the group was created again, whatever its time (rule 1)"
                .to_owned()
        }
        Turn::Tied => {
            format!(
                "several facts have the time {}, and count in the order in which most of them are possible (rule 2)",
                row.at
            )
        }
        Turn::Early(seq) => format!(
            "it arrived at {}, but counts before #{seq}: a join may arrive up to 30 s late, and more facts are possible in this order (rule 2)",
            row.arrived_at.unwrap_or(row.occurred_at)
        ),
        Turn::Roster => String::new(),
    }];
    let was_in = step.before.0 == Some(Place::Joined);
    match row.state {
        Some(Place::Joined) if row.scope.is_none() && step.before.1.is_none() => {
            rules.push("a new member starts as participant (rule 4)".into());
        }
        None if !was_in && step.after.0 == Some(Place::Joined) => {
            rules.push("this proves that the person is a member, although no event told of the join; the time of the join is not known (rule 5)".into());
        }
        None if !was_in => {
            rules.push(
                "the person is known to be out and stays out; the next join does not get this scope (rule 3)".into(),
            );
        }
        _ => {}
    }
    effect(&told, step, turn, rules.join("; "))
}

fn roster(step: &Step<'_>, turn: usize) -> Effect {
    let created = step.roster.is_some_and(|roster| roster.created);
    let at = step.roster.map(|roster| roster.at).unwrap_or_default();
    let told = if created { format!("the group was created at {at}") } else { format!("complete member list of {at}") };
    let rule = if created {
        "a new group has only its creator as member"
    } else if step.after.0 == Some(Place::Joined) {
        "the person is in the list"
    } else {
        "people who are not in the list are not members"
    };
    effect(&told, step, turn, rule.to_owned())
}

fn effect(told: &str, step: &Step<'_>, turn: usize, rule: String) -> Effect {
    let value = json!({ "turn": turn, "told": told, "ledTo": place(step.after) });
    Effect {
        before: step.before.0.map_or(Json::Null, |_| place(step.before).into()),
        against: if let Turn::Early(seq) = step.turn { Some(seq) } else { None },
        ..Effect::new("membership", value, step.before != step.after, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Time;
    use crate::standing::Roster;

    fn row(
        seq: i64,
        at: i64,
        from: TimeSource,
        state: Option<Place>,
        scope: Option<Scope>,
    ) -> standing::MembershipFact {
        let at = Time(at * 1000);
        let (by, old_scope, joined_at) = (None, None, None);
        standing::MembershipFact {
            at,
            at_from: from,
            seq,
            occurred_at: at,
            arrived_at: Some(at),
            group_created_at: None,
            by,
            state,
            scope,
            old_scope,
            joined_at,
        }
    }

    fn told(changes: &[standing::MembershipFact], lists: &[group::Roster]) -> Vec<(i64, String)> {
        let words = |(seq, effect): (i64, Effect)| {
            let text = |name: &str| effect.value[name].as_str().unwrap_or_default().to_owned();
            (seq, format!("{}. Result: {}. Reason: {}", text("told"), text("ledTo"), effect.rule))
        };
        steps("bob", changes, &Rosters(lists.to_vec())).into_iter().map(words).collect()
    }

    #[test]
    fn each_rule_has_its_words() {
        use TimeSource::{Arrival, Told};
        let join = |seq, at, from| row(seq, at, from, Some(Place::Joined), None);
        let leave = |seq, at| row(seq, at, Told, Some(Place::Left), None);
        let tied = told(&[leave(1, 5), join(2, 5, Told), join(3, 1, Told)], &[]);
        assert_eq!(tied[0].0, 3);
        assert!(tied[0].1.ends_with("(rule 1); a new member starts as participant (rule 4)"), "{tied:?}");
        assert!(tied[1].0 == 1 && tied[1].1.contains("in which most of them are possible (rule 2)"), "{tied:?}");
        let early = told(
            &[join(1, 1, Told), leave(2, 2), row(3, 10, Told, Some(Place::Kicked), None), join(4, 12, Arrival)],
            &[],
        );
        assert!(
            early[2].0 == 4 && early[2].1.contains("counts before #3") && early[2].1.contains("(rule 2)"),
            "{early:?}"
        );
        let proved = told(&[row(1, 5, Told, None, Some(Scope::Admin))], &[]);
        assert!(
            proved[0].1.starts_with("bob became admin. Result: joined as admin") && proved[0].1.contains("(rule 5)")
        );
        let roster = Roster { at: Time(9_000), created: false, seq: 7, base: None };
        let list = [group::Roster { roster, entries: 0, replaces: None }];
        let absent = told(&[join(1, 5, Told)], &list);
        assert_eq!(
            absent[1],
            (7, "complete member list of 1970-01-01T00:00:09.000Z. Result: absent. Reason: people who are not in the list are not members".into())
        );
    }
}
