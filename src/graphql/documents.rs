//! Documents known by their hash: those that clients had kept before (automatic persisted queries), and the list that
//! alone is allowed, where there is one.

use super::answer::refusal;
use super::error::Code;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Bytes of documents that are kept for clients; the oldest make room.
const KEPT_BYTES: usize = 4 << 20;
/// The message that clients of the protocol look for.
const NOT_FOUND: &str = "PersistedQueryNotFound";

/// `extensions.persistedQuery` of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Persisted {
    version: u32,
    sha256_hash: String,
}

/// What is known.
#[derive(Default)]
pub struct Documents {
    /// By hash; with the text where the list has it.
    allowed: Option<HashMap<String, Option<String>>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_hash: HashMap<String, String>,
    /// Oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

/// A list of hashes, or an object of documents by their hash.
#[derive(Deserialize)]
#[serde(untagged)]
enum List {
    Hashes(Vec<String>),
    Documents(HashMap<String, String>),
}

impl Documents {
    /// With the list of a file, if one is named. The error says what is wrong with it.
    pub fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::default()) };
        let wrong = |what: &str| format!("the list of allowed documents {}: {what}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        let list = serde_json::from_str(&text).map_err(|_| {
            wrong("expected a JSON list of SHA-256 hashes, or an object of documents by their SHA-256 hash")
        })?;
        let all: HashMap<String, Option<String>> = match list {
            List::Hashes(hashes) => hashes.into_iter().map(|hash| (hash.to_lowercase(), None)).collect(),
            List::Documents(documents) => {
                documents.into_iter().map(|(hash, document)| (hash.to_lowercase(), Some(document))).collect()
            }
        };
        for (hash, document) in &all {
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong(&format!("expected a SHA-256 in 64 hexadecimal digits, not {hash:?}")));
            }
            if document.as_ref().is_some_and(|document| sha256(document) != *hash) {
                return Err(wrong(&format!("the document under {hash} has another SHA-256")));
            }
        }
        Ok(Self { allowed: Some(all), kept: Mutex::default() })
    }

    /// The document a request means; else the answer to it.
    pub fn find(&self, query: Option<String>, persisted: Option<Persisted>) -> Result<String, String> {
        let hash = match persisted {
            Some(told) if told.version != 1 => {
                return Err(refusal(Code::BadInput, "extensions.persistedQuery.version: expected 1"));
            }
            Some(told) => Some(told.sha256_hash.to_lowercase()),
            None => None,
        };
        let document = match (query, &hash) {
            (Some(query), _) => query,
            (None, Some(hash)) => self.known(hash).ok_or_else(|| refusal(Code::PersistedQueryNotFound, NOT_FOUND))?,
            (None, None) => return Err(refusal(Code::BadInput, "query: expected a GraphQL document")),
        };
        let is = if hash.is_some() || self.allowed.is_some() { sha256(&document) } else { String::new() };
        if hash.as_ref().is_some_and(|hash| *hash != is) {
            let expected = "extensions.persistedQuery.sha256Hash: expected the SHA-256 of the query";
            return Err(refusal(Code::BadInput, expected));
        }
        match &self.allowed {
            Some(allowed) if !allowed.contains_key(&is) => {
                Err(refusal(Code::Forbidden, "this document is not in the list of documents that this server runs"))
            }
            _ => {
                if hash.is_some() {
                    self.keep(is, &document);
                }
                Ok(document)
            }
        }
    }

    fn known(&self, hash: &str) -> Option<String> {
        let listed = self.allowed.as_ref().and_then(|all| all.get(hash)?.clone());
        listed.or_else(|| self.kept.lock().unwrap_or_else(PoisonError::into_inner).by_hash.get(hash).cloned())
    }

    fn keep(&self, hash: String, document: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if document.len() > KEPT_BYTES || kept.by_hash.contains_key(&hash) {
            return;
        }
        kept.bytes += document.len();
        kept.order.push_back(hash.clone());
        kept.by_hash.insert(hash, document.to_owned());
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.order.pop_front() else { return };
            kept.bytes -= kept.by_hash.remove(&oldest).map_or(0, |document| document.len());
        }
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hash: &str) -> Option<Persisted> {
        Some(Persisted { version: 1, sha256_hash: hash.to_owned() })
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_makes_room() {
        let documents = Documents::default();
        let of = |n: usize| format!("{n:08}{}", "x".repeat(KEPT_BYTES / 4));
        for n in 0..6 {
            assert!(documents.find(Some(of(n)), told(&sha256(&of(n)))).is_ok());
        }
        assert!(documents.find(None, told(&sha256(&of(0)))).unwrap_err().contains(NOT_FOUND));
        assert_eq!(documents.find(None, told(&sha256(&of(5)))), Ok(of(5)));
        let kept = documents.kept.lock().unwrap();
        assert!(kept.bytes <= KEPT_BYTES && kept.order.len() == 3 && kept.by_hash.len() == 3);
    }

    #[test]
    fn a_list_is_of_hashes_or_of_documents_that_have_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.json");
        let open = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Documents::open(Some(&path)).map(|_| ())
        };
        let hash = sha256("{apps{appId}}");
        assert!(open(&format!("[{hash:?}]")).is_ok());
        assert!(open(&format!("{{{hash:?}:\"{{apps{{appId}}}}\"}}")).is_ok());
        for wrong in ["", "1", "[1]", "[\"abc\"]", &format!("{{{hash:?}:\"{{other}}\"}}")] {
            assert!(open(wrong).unwrap_err().contains("list.json"), "{wrong}");
        }
        assert!(Documents::open(Some(&dir.path().join("none"))).is_err());
    }
}
