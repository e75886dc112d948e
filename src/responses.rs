//! How long customers wait for an agent's word: what a question is, what its answer is, and which conversations count.
//!
//! A *question* is the first chat of somebody who is no agent, after the last word of an agent in the conversation or
//! since its beginning. The *answer* is the next chat of an agent there.

use crate::ids::ConversationKey;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// The questions of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// How long each answered question waited, in milliseconds, shortest first.
    pub waits: Vec<i64>,
    pub unanswered: i64,
}

/// The conversations whose questions count.
#[derive(Debug)]
pub enum Counted {
    /// One conversation, whether an agent attends it or not.
    Conversation,
    /// All conversations of an app that an agent attends.
    App {
        /// The groups that agents are in now.
        groups: Vec<String>,
    },
}

/// The chats of a span, oldest first, and the last speaker of each conversation before the span.
#[derive(Default)]
pub struct Chats {
    said: Vec<Said>,
    /// Of each conversation: who spoke last before the span.
    before: HashMap<u32, u32>,
    conversations: Names<ConversationKey>,
    people: Names<String>,
    /// Of each one to one: the two people.
    pairs: HashMap<u32, [u32; 2]>,
}

/// One chat.
struct Said {
    conversation: u32,
    sender: u32,
    at: i64,
}

/// Gives keys numbers, so that 50,000 messages do not hold their ids each.
struct Names<K> {
    numbers: HashMap<K, u32>,
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<K: Eq + Hash> Names<K> {
    fn number(&mut self, name: K) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(name).or_insert(next)
    }
}

impl Chats {
    /// Takes the next chat. The receiver is the other person of a one to one; a group has none.
    pub fn add(&mut self, conversation: ConversationKey, sender: String, receiver: Option<String>, at: i64) {
        let (conversation, sender) = (self.conversations.number(conversation), self.people.number(sender));
        if let Some(receiver) = receiver {
            self.pairs.insert(conversation, [sender, self.people.number(receiver)]);
        }
        self.said.push(Said { conversation, sender, at });
    }

    /// Takes who spoke last in a conversation before the span.
    pub fn add_before(&mut self, conversation: ConversationKey, sender: String) {
        self.before.insert(self.conversations.number(conversation), self.people.number(sender));
    }

    pub fn conversations(&self) -> impl Iterator<Item = &ConversationKey> {
        self.conversations.numbers.keys()
    }

    /// The people who wrote or were written to. Only these are asked whether they are agents.
    pub fn people(&self) -> impl Iterator<Item = &String> {
        self.people.numbers.keys()
    }

    /// The questions of each day, and how long they waited. `starts` are the first instants of the days.
    pub fn days(&self, starts: &[i64], agents: &[String], counted: &Counted) -> Vec<Day> {
        let agents: HashSet<u32> = agents.iter().filter_map(|uid| self.people.numbers.get(uid)).copied().collect();
        let attended = match counted {
            Counted::Conversation => None,
            Counted::App { groups } => Some(self.attended(&agents, groups)),
        };
        let day = |at: i64| starts.partition_point(|start| *start <= at).saturating_sub(1);
        let mut days = vec![Day::default(); starts.len()];
        // When the open question of a conversation was asked. `None`: before the span, so that no day counts it.
        let mut open: HashMap<u32, Option<i64>> = HashMap::new();
        open.extend(self.before.iter().filter(|(_, sender)| !agents.contains(sender)).map(|(it, _)| (*it, None)));
        for said in &self.said {
            if attended.as_ref().is_some_and(|attended| !attended.contains(&said.conversation)) {
                continue;
            }
            if !agents.contains(&said.sender) {
                open.entry(said.conversation).or_insert(Some(said.at));
            } else if let Some(Some(asked)) = open.remove(&said.conversation) {
                days[day(asked)].waits.push(said.at - asked);
            }
        }
        for asked in open.into_values().flatten() {
            days[day(asked)].unanswered += 1;
        }
        for day in &mut days {
            day.waits.sort_unstable();
        }
        days
    }

    /// The conversations that an agent attends: the agent is one of the two, wrote in the span, or is in the group now.
    fn attended(&self, agents: &HashSet<u32>, groups: &[String]) -> HashSet<u32> {
        let wrote = self.said.iter().filter(|said| agents.contains(&said.sender)).map(|said| said.conversation);
        let pairs = self.pairs.iter().filter(|(_, pair)| pair.iter().any(|it| agents.contains(it)));
        let groups = groups.iter().filter_map(|guid| self.conversations.numbers.get(&ConversationKey::of_group(guid)));
        wrote.chain(pairs.map(|(conversation, _)| *conversation)).chain(groups.copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ReceiverType;

    /// Chats of the group `g`: who spoke, and when.
    fn chats(said: &[(&str, i64)]) -> Chats {
        let mut chats = Chats::default();
        for (sender, at) in said {
            chats.add(ConversationKey::of_group("g"), (*sender).to_owned(), None, *at);
        }
        chats
    }

    fn agents() -> [String; 2] {
        ["ann".to_owned(), "tim".to_owned()]
    }

    /// One day.
    fn day(chats: &Chats, counted: &Counted) -> Day {
        let [day] = <[Day; 1]>::try_from(chats.days(&[0], &agents(), counted)).unwrap();
        day
    }

    fn found(chats: &Chats) -> Day {
        day(chats, &Counted::Conversation)
    }

    /// How many questions of an app are open, where agents are in these groups.
    fn open_in_app(chats: &Chats, groups: &[&str]) -> i64 {
        let groups = groups.iter().map(|guid| (*guid).to_owned()).collect();
        day(chats, &Counted::App { groups }).unanswered
    }

    fn waits(waits: &[i64]) -> Day {
        Day { waits: waits.to_vec(), unanswered: 0 }
    }

    fn unanswered(unanswered: i64) -> Day {
        Day { unanswered, ..Day::default() }
    }

    #[test]
    fn a_question_is_answered_by_the_first_word_of_an_agent_after_it() {
        assert_eq!(found(&chats(&[("c", 10), ("ann", 13), ("tim", 20)])), waits(&[3]));
        assert_eq!(found(&chats(&[("ann", 5), ("c", 10), ("tim", 17)])), waits(&[7]), "any agent, and none before it");
    }

    #[test]
    fn a_question_is_the_first_word_of_a_customer_since_an_agent_spoke() {
        assert_eq!(found(&chats(&[("c", 10), ("d", 12), ("c", 14), ("ann", 15)])), waits(&[5]), "more words of one");
        assert_eq!(found(&chats(&[("c", 10), ("ann", 15), ("c", 20), ("ann", 22)])), waits(&[2, 5]), "a new question");
    }

    #[test]
    fn a_word_of_an_agent_asks_nothing() {
        assert_eq!(found(&chats(&[("ann", 10), ("tim", 20)])), Day::default());
    }

    #[test]
    fn a_question_without_an_answer_is_unanswered_once() {
        assert_eq!(found(&chats(&[("c", 10), ("d", 20)])), unanswered(1));
        assert_eq!(found(&chats(&[("c", 10), ("ann", 13), ("c", 20)])), Day { waits: vec![3], unanswered: 1 });
    }

    #[test]
    fn a_question_is_answered_in_its_own_conversation_only() {
        let mut chats = chats(&[("c", 10)]);
        for (sender, at) in [("d", 12), ("ann", 15)] {
            chats.add(ConversationKey::of_group("other"), sender.to_owned(), None, at);
        }
        assert_eq!(found(&chats), Day { waits: vec![3], unanswered: 1 });
    }

    #[test]
    fn a_question_that_was_open_before_the_span_counts_on_no_day() {
        let before = |said: &[(&str, i64)], sender: &str| {
            let mut chats = chats(said);
            chats.add_before(ConversationKey::of_group("g"), sender.to_owned());
            found(&chats)
        };
        assert_eq!(before(&[("ann", 15)], "c"), Day::default(), "an answer to it");
        assert_eq!(before(&[("c", 10), ("ann", 15)], "c"), Day::default(), "a word more belongs to it");
        assert_eq!(before(&[("c", 10)], "c"), Day::default(), "and is not open by itself");
        assert_eq!(before(&[("c", 10), ("ann", 15), ("c", 20), ("ann", 22)], "c"), waits(&[2]), "the next one counts");
        assert_eq!(before(&[("c", 10), ("ann", 15)], "tim"), waits(&[5]), "an agent had answered");
    }

    #[test]
    fn a_question_counts_on_the_day_it_was_asked() {
        let chats = chats(&[("c", 199), ("ann", 310), ("c", 320)]);
        let days = chats.days(&[100, 200, 300], &agents(), &Counted::Conversation);
        assert_eq!(days, [waits(&[111]), Day::default(), unanswered(1)]);
        let at_start = self::chats(&[("c", 200)]).days(&[100, 200], &agents(), &Counted::Conversation);
        assert_eq!(at_start, [Day::default(), unanswered(1)], "a day begins with its first instant");
    }

    #[test]
    fn an_agent_attends_a_one_to_one_as_either_of_the_two() {
        let asks = |sender: &str, receiver: &str| {
            let mut chats = Chats::default();
            let conversation = ConversationKey::between(sender, ReceiverType::User, receiver);
            chats.add(conversation, sender.to_owned(), Some(receiver.to_owned()), 10);
            chats
        };
        assert_eq!(open_in_app(&asks("c", "ann"), &[]), 1, "the customer asked, the agent said nothing");
        assert_eq!(open_in_app(&asks("c", "d"), &[]), 0, "two customers");
        assert_eq!(found(&asks("c", "d")), unanswered(1), "a conversation that is asked for counts without an agent");
        let mut chats = asks("ann", "c");
        chats.add(ConversationKey::between("c", ReceiverType::User, "ann"), "c".to_owned(), None, 20);
        assert_eq!(open_in_app(&chats, &[]), 1, "the agent wrote first");
    }

    #[test]
    fn an_agent_attends_a_group_that_the_agent_is_in_now_or_wrote_in() {
        assert_eq!(open_in_app(&chats(&[("c", 10)]), &[]), 0);
        assert_eq!(open_in_app(&chats(&[("c", 10)]), &["other"]), 0, "in another group");
        assert_eq!(open_in_app(&chats(&[("c", 10)]), &["g"]), 1, "in the group");
        assert_eq!(open_in_app(&chats(&[("c", 10), ("ann", 15), ("c", 20)]), &[]), 1, "wrote, and left");
    }

    #[test]
    fn those_who_spoke_before_the_span_or_were_written_to_may_be_agents_too() {
        let mut chats = chats(&[("c", 10)]);
        chats.add_before(ConversationKey::of_group("g"), "tim".to_owned());
        chats.add(ConversationKey::between("c", ReceiverType::User, "ann"), "c".to_owned(), Some("ann".to_owned()), 20);
        let mut people: Vec<&String> = chats.people().collect();
        people.sort_unstable();
        assert_eq!(people, ["ann", "c", "tim"]);
    }
}
