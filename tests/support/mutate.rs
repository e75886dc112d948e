//! Inputs made of a corpus by changing bytes and by changing structure, and the loop that tries them on a target.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// No input grows over this.
const LONGEST: usize = 256 << 10;

/// What is put in: what has a meaning somewhere, and what has none.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    ":",
    ",",
    "...",
    "\\",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "null",
    "true",
    "-0",
    "1e999",
    "-1",
    "0.1",
    "9223372036854775807",
    "18446744073709551616",
    "1700000000000000",
    "\\ud83d",
    "\\u0000",
    "\"\\udc00\\ud800\"",
    "{\"uid\":\"a\"}",
    "\"id\":",
    "\"trigger\":",
    "\"appId\":",
    "\"__proto__\":{}",
    "fragment F on T{...F}",
    "@include(if:true)",
    "__typename",
    "$v",
    "#",
    "\"\"\"",
    "' OR 1=1 --",
    "%00",
    "\r\n",
    "é",
    "😀",
];

/// One change. Places and lengths are taken modulo what is there.
#[derive(Debug, Clone)]
pub enum Mutation {
    Flip {
        at: usize,
        bit: u8,
    },
    Set {
        at: usize,
        byte: u8,
    },
    Cut {
        at: usize,
        length: usize,
    },
    Repeat {
        at: usize,
        length: usize,
        times: usize,
    },
    Insert {
        at: usize,
        token: usize,
    },
    /// A piece of another input of the corpus.
    Splice {
        at: usize,
        other: usize,
        from: usize,
        length: usize,
    },
    /// A whole value goes, is doubled, is replaced by a token, is wrapped, or changes places with another one.
    Drop {
        value: usize,
    },
    Double {
        value: usize,
    },
    Replace {
        value: usize,
        token: usize,
    },
    Nest {
        value: usize,
        depth: usize,
    },
    Swap {
        value: usize,
        other: usize,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use Mutation::*;
    let n = any::<u16>().prop_map(usize::from);
    let n = || n.clone();
    prop_oneof![
        (n(), 0..8u8).prop_map(|(at, bit)| Flip { at, bit }),
        (n(), any::<u8>()).prop_map(|(at, byte)| Set { at, byte }),
        (n(), 1..64usize).prop_map(|(at, length)| Cut { at, length }),
        (n(), 1..64usize, 1..64usize).prop_map(|(at, length, times)| Repeat { at, length, times }),
        (n(), n()).prop_map(|(at, token)| Insert { at, token }),
        (n(), n(), n(), 1..256usize).prop_map(|(at, other, from, length)| Splice { at, other, from, length }),
        n().prop_map(|value| Drop { value }),
        n().prop_map(|value| Double { value }),
        (n(), n()).prop_map(|(value, token)| Replace { value, token }),
        (n(), 1..3_000usize).prop_map(|(value, depth)| Nest { value, depth }),
        (n(), n()).prop_map(|(value, other)| Swap { value, other }),
    ]
}

/// Where values are, in anything that has brackets, quotes and words.
fn values(text: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut open, mut at) = (Vec::new(), Vec::new(), 0);
    while at < text.len() {
        let start = at;
        match text[at] {
            b'{' | b'[' | b'(' => open.push(at),
            b'}' | b']' | b')' => found.extend(open.pop().map(|from| (from, at + 1))),
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                found.push((start, (at + 1).min(text.len())));
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                while at + 1 < text.len() && (text[at + 1].is_ascii_alphanumeric() || b".+-_".contains(&text[at + 1])) {
                    at += 1;
                }
                found.push((start, at + 1));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// A piece of a text, wherever it is said to be.
fn piece(text: &[u8], at: usize, length: usize) -> std::ops::Range<usize> {
    let from = at % (text.len() + 1);
    from..(from + length).min(text.len())
}

impl Mutation {
    fn apply(&self, text: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        use Mutation::*;
        let whole = |value: usize, text: &[u8]| {
            let values = values(text);
            let (from, until) = *values.get(value % values.len().max(1))?;
            Some(from..until)
        };
        let token = |token: usize| TOKENS[token % TOKENS.len()].bytes();
        match *self {
            Flip { at, bit } => piece(text, at, 1).for_each(|at| text[at] ^= 1 << bit),
            Set { at, byte } => piece(text, at, 1).for_each(|at| text[at] = byte),
            Cut { at, length } => drop(text.drain(piece(text, at, length))),
            Repeat { at, length, times } => {
                let piece = piece(text, at, length);
                let more = text[piece.clone()].repeat(times);
                text.splice(piece.end..piece.end, more);
            }
            Insert { at, token: put } => {
                let at = at % (text.len() + 1);
                text.splice(at..at, token(put));
            }
            Splice { at, other, from, length } => {
                let other = &corpus[other % corpus.len()];
                let at = at % (text.len() + 1);
                text.splice(at..at, other[piece(other, from, length)].iter().copied());
            }
            Drop { value } => drop(whole(value, text).map(|range| text.drain(range))),
            Double { value } => {
                if let Some(range) = whole(value, text) {
                    let copy: Vec<u8> = [b",", &text[range.clone()]].concat();
                    text.splice(range.end..range.end, copy);
                }
            }
            Replace { value, token: put } => drop(whole(value, text).map(|range| text.splice(range, token(put)))),
            Nest { value, depth } => {
                if let Some(range) = whole(value, text) {
                    let (open, close) = if depth % 2 == 0 { ("[", "]") } else { ("{\"a\":", "}") };
                    let (before, after) = (open.repeat(depth), close.repeat(depth));
                    text.splice(range.end..range.end, after.bytes());
                    text.splice(range.start..range.start, before.bytes());
                }
            }
            Swap { value, other } => {
                if let (Some(one), Some(two)) = (whole(value, text), whole(other, text)) {
                    let (one, two) = if one.start <= two.start { (one, two) } else { (two, one) };
                    if one.end <= two.start {
                        let (first, second) = (text[one.clone()].to_vec(), text[two.clone()].to_vec());
                        text.splice(two, first);
                        text.splice(one, second);
                    }
                }
            }
        }
        text.truncate(LONGEST);
    }
}

/// All files of some folders.
pub fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Tries up to `most` inputs at once, for `CHATFOLD_FUZZ_SECONDS` with a seed that is told, or for about a second with a
/// fixed one. `CHATFOLD_FUZZ_SEED` repeats a run.
pub fn fuzz(name: &str, corpus: &[Vec<u8>], most: usize, target: impl Fn(&[Vec<u8>])) {
    let told = |variable: &str| std::env::var(variable).ok().map(|number| number.parse::<u64>().unwrap());
    let seconds = told("CHATFOLD_FUZZ_SECONDS");
    let drawn = seconds.map_or(7, |_| std::hash::RandomState::new().build_hasher().finish());
    let seed = told("CHATFOLD_FUZZ_SEED").unwrap_or(drawn);
    // As they are, first.
    corpus.chunks(most).for_each(&target);
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(1));
    let input = (any::<u16>(), prop::collection::vec(mutation(), 1..6)).prop_map(|(index, mutations)| {
        let mut text = corpus[usize::from(index) % corpus.len()].clone();
        mutations.iter().for_each(|mutation| mutation.apply(&mut text, corpus));
        text
    });
    let inputs = prop::collection::vec(input, 1..=most);
    let (mut round, tried) = (0u64, std::cell::Cell::new(0usize));
    while Instant::now() < until {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&round.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { cases: 1, failure_persistence: None, ..Config::default() };
        let try_all = |inputs: Vec<Vec<u8>>| {
            tried.set(tried.get() + inputs.len());
            target(&inputs);
            Ok(())
        };
        let done = TestRunner::new_with_rng(config, rng).run(&inputs, try_all);
        done.unwrap_or_else(|failure| panic!("{name}, CHATFOLD_FUZZ_SEED={seed}, round {round}: {failure}"));
        round += 1;
    }
    eprintln!("{name}: {} inputs, seed {seed}", tried.get());
}

/// What a target does, in no more than this time.
#[track_caller]
pub fn within<T>(most: Duration, what: &str, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = run();
    assert!(begun.elapsed() <= most, "{what} took {:?}", begun.elapsed());
    done
}
