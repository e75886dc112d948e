//! Commands that an output suggests. They name the file, so a copied command works on the same file.

use super::Config;
use std::path::Path;

impl Config {
    /// `chatfold` with the words of a command, and `--db` if the file is not the default one.
    pub fn command(&self, words: &str) -> String {
        if self.db == Path::new("chatfold.db") {
            return format!("chatfold {words}");
        }
        format!("chatfold {words} --db {}", quoted(&self.db.display().to_string()))
    }
}

/// A word in the quotes that a shell needs.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, shown) in [("a.db", "a.db"), ("my file.db", "'my file.db'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
