//! People in texts: mentions, and ids of conversations.

/// Between the two uids of a conversation id.
const BETWEEN: &str = "_user_";

/// The id of a 1:1 conversation with a pseudonym in the place of each uid that has one; `None`: it has none of them.
pub(super) fn conversation<'a>(id: &str, pseudonym: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    id.match_indices(BETWEEN).find_map(|(at, _)| {
        let (one, other) = (&id[..at], &id[at + BETWEEN.len()..]);
        let known = (pseudonym(one), pseudonym(other));
        if known == (None, None) {
            return None;
        }
        let mut pair = [known.0.unwrap_or(one), known.1.unwrap_or(other)];
        pair.sort_unstable();
        Some(pair.join(BETWEEN))
    })
}

/// A text with pseudonyms in its mentions, `<@uid:UID>` and `@{NAME|UID}`; `None`: it mentions nobody who has one.
pub(super) fn mentions<'a>(text: &str, pseudonym: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let (mut out, mut rest, mut changed) = (String::new(), text, false);
    while let Some(at) = rest.find('@') {
        let (before, mention) = rest.split_at(at);
        let found = if let Some(uid) = mention.strip_prefix("@uid:") {
            let uid = uid.split('>').next().unwrap_or(uid);
            pseudonym(uid).map(|it| (format!("@uid:{it}"), "@uid:".len() + uid.len()))
        } else if let Some(inner) = mention.strip_prefix("@{").and_then(|inner| Some(inner.split_once('}')?.0)) {
            let uid = inner.rsplit_once('|').map(|(_, uid)| uid);
            uid.and_then(&pseudonym).map(|it| (format!("@{{{it}|{it}}}"), inner.len() + "@{}".len()))
        } else {
            None
        };
        out += before;
        let taken = match found {
            Some((with, length)) => {
                out += &with;
                changed = true;
                length
            }
            None => {
                out.push('@');
                1
            }
        };
        rest = &mention[taken..];
    }
    changed.then(|| out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann(uid: &str) -> Option<&'static str> {
        (uid == "ann").then_some("P")
    }

    #[test]
    fn both_forms_of_a_mention_are_found_and_no_other_text() {
        for (text, expected) in [
            ("Hi <@uid:ann>!", Some("Hi <@uid:P>!")),
            ("Hi @{Ann Lee|ann}, @{Bob|bob}", Some("Hi @{P|P}, @{Bob|bob}")),
            ("<@uid:anna> ann @ann @{ann} a@b.c @", None),
            ("@@uid:ann", Some("@@uid:P")),
        ] {
            assert_eq!(mentions(text, ann).as_deref(), expected);
        }
    }

    #[test]
    fn a_conversation_id_keeps_the_other_person() {
        assert_eq!(conversation("ann_user_bob", ann).as_deref(), Some("P_user_bob"));
        assert_eq!(conversation("a_user_b_user_ann", ann).as_deref(), Some("P_user_a_user_b"));
        assert_eq!(conversation("anna_user_bob", ann), None);
    }
}
