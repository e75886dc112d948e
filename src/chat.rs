//! How lists and counts see a message: whether it is chat or an agent's step, whether it counts as unread, and whether
//! it can be the last message of its conversation (contract 4.4).

use crate::json::{Document, Json};

/// Bits of `messages.uncounted`: why unread counts leave a message out.
const REPLY: i64 = 1;
const SILENT: i64 = 2;
const NO_CHAT: i64 = 4;

/// The values of `messages.uncounted` that listed messages have: all listed messages are chat.
pub const OF_LISTED: [i64; 4] = [0, REPLY, SILENT, REPLY + SILENT];

/// Messages that also count as unread: the settings of `[unread]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Unread {
    /// Replies in threads.
    pub thread_replies: bool,
    /// Custom messages that do not ask to be counted.
    pub custom: bool,
}

impl Unread {
    /// The values of `messages.uncounted` that still count, as a JSON list.
    pub fn counted(self) -> &'static str {
        match (self.thread_replies, self.custom) {
            (false, false) => "[0]",
            (true, false) => "[0,1]",
            (false, true) => "[0,2]",
            (true, true) => "[0,1,2,3]",
        }
    }
}

/// The values of a message that decide about lists and counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known<'a> {
    pub category: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub is_reply: bool,
    /// `data.metadata`, as JSON.
    pub metadata: Option<&'a str>,
    /// `data.updateConversation`, as JSON.
    pub update_conversation: Option<&'a str>,
}

impl Known<'_> {
    /// An agent's use of a tool: the call, and its result.
    pub fn is_step(&self) -> bool {
        self.category == Some("agentic") && matches!(self.kind, Some("tool-arguments" | "tool-result"))
    }

    /// A message that a person or an agent wrote. Actions and calls only echo other facts.
    pub fn is_chat(&self) -> bool {
        self.category.is_some_and(|category| !matches!(category, "action" | "call")) && !self.is_step()
    }

    /// Only a custom message can say that it does not touch its conversation. The vendor's clients write the flag into
    /// `data`; some senders write it into the metadata.
    pub fn may_be_last(&self) -> bool {
        let told = || self.update_conversation.and_then(flag).or_else(|| self.in_metadata("updateConversation"));
        self.category != Some("custom") || told() != Some(false)
    }

    /// Why unread counts leave the message out. 0 if the message counts.
    pub fn uncounted(&self) -> i64 {
        let silent = || self.category == Some("custom") && self.in_metadata("incrementUnreadCount") != Some(true);
        [(self.is_reply, REPLY), (silent(), SILENT), (!self.is_chat(), NO_CHAT)]
            .into_iter()
            .filter(|(applies, _)| *applies)
            .map(|(_, bit)| bit)
            .sum()
    }

    /// A flag of the metadata. Some senders write the metadata as a text that holds JSON.
    fn in_metadata(&self, name: &str) -> Option<bool> {
        let metadata = parse(self.metadata?)?;
        let inner = metadata.root().text().and_then(|text| parse(&text));
        inner.as_ref().unwrap_or(&metadata).root().get(name).and_then(read_flag)
    }
}

fn parse(text: &str) -> Option<Document> {
    Document::parse(text.as_bytes().to_vec()).ok()
}

fn flag(text: &str) -> Option<bool> {
    read_flag(parse(text)?.root())
}

/// True or false, or their texts or digits.
fn read_flag(value: Json<'_>) -> Option<bool> {
    let text = value.text();
    let word = text.as_deref().or_else(|| value.number()).unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => value.bool(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(metadata: &'static str) -> Known<'static> {
        Known { category: Some("custom"), metadata: Some(metadata), ..Known::default() }
    }

    #[test]
    fn steps_are_tools_at_work_and_no_other_word_of_an_agent() {
        let agent = |kind| Known { category: Some("agentic"), kind, ..Known::default() };
        for kind in ["tool-arguments", "tool-result"] {
            let step = agent(Some(kind));
            assert!(step.is_step() && !step.is_chat() && step.uncounted() == NO_CHAT, "{kind}");
        }
        for kind in [Some("assistant"), Some("text"), None] {
            assert!(agent(kind).is_chat() && !agent(kind).is_step(), "{kind:?}");
        }
        let custom = Known { category: Some("custom"), kind: Some("tool-result"), ..Known::default() };
        assert!(custom.is_chat() && !custom.is_step());
        assert!(!Known::default().is_chat(), "the category is not known");
    }

    #[test]
    fn a_custom_message_counts_where_it_asks_for_it() {
        for metadata in [
            r#"{"incrementUnreadCount":true}"#,
            r#"{"incrementUnreadCount":"true"}"#,
            r#"{"incrementUnreadCount":1}"#,
            r#""{\"incrementUnreadCount\":true}""#,
        ] {
            assert_eq!(custom(metadata).uncounted(), 0, "{metadata}");
        }
        for metadata in [
            r#"{"incrementUnreadCount":false}"#,
            r#"{"incrementUnreadCount":"false"}"#,
            r#"{"incrementUnreadCount":{}}"#,
            r#"{"other":true}"#,
            r#""text""#,
            "[]",
            "",
        ] {
            assert_eq!(custom(metadata).uncounted(), SILENT, "{metadata}");
        }
        let reply = Known { is_reply: true, ..custom("{}") };
        assert_eq!(reply.uncounted(), REPLY + SILENT);
        let text = Known { category: Some("message"), is_reply: true, ..Known::default() };
        assert_eq!(text.uncounted(), REPLY);
    }

    #[test]
    fn a_custom_message_may_say_that_it_is_not_the_last() {
        let told = |data| Known { update_conversation: Some(data), ..custom("{}") };
        for data in ["false", "\"false\"", "0"] {
            assert!(!told(data).may_be_last(), "{data}");
            assert!(Known { category: Some("message"), ..told(data) }.may_be_last(), "{data} of a text");
        }
        for data in ["true", "\"true\"", "null", "\"\"", "[]"] {
            assert!(told(data).may_be_last(), "{data}");
        }
        let silent = custom(r#"{"updateConversation":false}"#);
        assert!(!silent.may_be_last());
        assert!(Known { update_conversation: Some("true"), ..silent }.may_be_last(), "data is asked first");
    }

    #[test]
    fn what_counts_is_what_the_settings_say() {
        let counted = |thread_replies, custom, uncounted: i64| {
            let list = Unread { thread_replies, custom }.counted();
            list.trim_matches(['[', ']']).split(',').any(|value| value == uncounted.to_string())
        };
        for uncounted in 0..8 {
            for (thread_replies, custom) in [(false, false), (true, false), (false, true), (true, true)] {
                let left_out = [(thread_replies, REPLY), (custom, SILENT), (false, NO_CHAT)]
                    .into_iter()
                    .any(|(counts, bit)| !counts && uncounted & bit != 0);
                assert_eq!(counted(thread_replies, custom, uncounted), !left_out, "{uncounted}");
            }
        }
    }
}
