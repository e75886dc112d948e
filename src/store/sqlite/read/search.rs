//! What people search for, in their own words, made into an expression of the full-text index.

/// Longest search text, in characters.
const LONGEST: usize = 256;
/// Words and phrases in one search.
const TERMS: usize = 16;
/// Letters and digits before the star of a prefix.
const PREFIX: usize = 2;

/// A search: all of its words and phrases must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Each term in quotes, so that nothing in it has a meaning of its own.
    pub(super) expression: String,
    /// A prefix is looked up once for a list; asking it of each row would look it up each time.
    pub(super) has_prefix: bool,
}

impl Search {
    /// Reads `words`, `"a phrase"` and `prefix*`. The error says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() > LONGEST {
            return Err("expected at most 256 characters");
        }
        let mut terms = Vec::new();
        let mut has_prefix = false;
        let mut rest = text.trim_start_matches(is_space);
        while !rest.is_empty() {
            let (term, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("expected a closing quote")?,
                None => rest.split_at(rest.find(|it| is_space(it) || matches!(it, '"' | '*')).unwrap_or(rest.len())),
            };
            let is_prefix = after.starts_with('*');
            rest = after.strip_prefix('*').unwrap_or(after);
            let length = term.chars().filter(|it| it.is_alphanumeric()).count();
            if is_prefix && length < PREFIX {
                return Err("expected at least two letters or digits before *");
            }
            if is_prefix && !rest.is_empty() && !rest.starts_with(is_space) {
                return Err("expected * only at the end of a word or phrase");
            }
            // A smiley or a dash alone is nothing to look for.
            if length > 0 {
                let term: String = term.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
                terms.push(format!("\"{term}\"{}", if is_prefix { "*" } else { "" }));
            }
            has_prefix |= is_prefix;
            rest = rest.trim_start_matches(is_space);
        }
        match terms.len() {
            0 => Err("expected words, \"phrases\" or beginnings* of words"),
            1..=TERMS => Ok(Self { expression: terms.join(" "), has_prefix }),
            _ => Err("expected at most 16 words and phrases"),
        }
    }
}

fn is_space(it: char) -> bool {
    it.is_whitespace() || it.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, &'static str> {
        Search::parse(text).map(|search| search.expression)
    }

    #[test]
    fn words_phrases_and_prefixes_are_quoted() {
        for (text, expression) in [
            ("hello", "\"hello\""),
            ("  two words\u{3000}", "\"two\" \"words\""),
            ("\"a phrase\" and", "\"a phrase\" \"and\""),
            ("pre* \"of a phr\"*", "\"pre\"* \"of a phr\"*"),
            ("say\"hi there\"", "\"say\" \"hi there\""),
            ("e-mail :-) ok", "\"e-mail\" \"ok\""),
            ("NOT OR text:x ^y (z) a+b {c}", "\"NOT\" \"OR\" \"text:x\" \"^y\" \"(z)\" \"a+b\" \"{c}\""),
            ("a\0b", "\"a\" \"b\""),
            ("\"a\0b\"", "\"a b\""),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expression), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_told() {
        for (text, words) in [
            ("", "expected words"),
            (" \n ", "expected words"),
            (":-) \"…\"", "expected words"),
            ("\"open", "closing quote"),
            ("open \"", "closing quote"),
            ("*", "before *"),
            ("a*", "before *"),
            ("ab*c", "only at the end"),
            ("ab**", "only at the end"),
            (&"x ".repeat(17), "at most 16"),
            (&"x".repeat(257), "at most 256"),
        ] {
            assert!(parsed(text).unwrap_err().contains(words), "{text}: {:?}", parsed(text));
        }
    }
}
