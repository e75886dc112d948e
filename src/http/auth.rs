//! HTTP Basic for the webhook, in constant time over all credentials.

use crate::config::WebhookCredential;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

const MAX_HEADER: usize = 512;
/// The name under which failures are counted if no credential has that username.
pub(super) const UNKNOWN: &str = "unknown";

/// One credential. Only hashes are kept.
pub(super) struct Credential {
    pub name: String,
    username: [u8; 32],
    pair: [u8; 32],
    apps: Option<Vec<String>>,
}

impl Credential {
    /// Whether the credential may post for this app.
    pub fn covers(&self, app_id: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|app| app == app_id))
    }
}

/// All credentials that are valid now.
pub(super) struct Credentials(Vec<Credential>);

impl Credentials {
    pub fn new(all: &[WebhookCredential]) -> Self {
        let hashed = |it: &WebhookCredential| Credential {
            name: it.name.clone(),
            username: Sha256::digest(it.username.as_bytes()).into(),
            pair: Sha256::digest(format!("{}:{}", it.username, it.password.expose()).as_bytes()).into(),
            apps: it.apps.clone(),
        };
        Self(all.iter().map(hashed).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of all credentials.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|it| it.name.as_str())
    }

    /// The matching credential, or the name under which the failure is counted.
    pub fn check(&self, headers: &HeaderMap) -> Result<&Credential, &str> {
        let pair = presented(headers).ok_or(UNKNOWN)?;
        let colon = pair.iter().position(|byte| *byte == b':').ok_or(UNKNOWN)?;
        let username: [u8; 32] = Sha256::digest(&pair[..colon]).into();
        let whole: [u8; 32] = Sha256::digest(&pair).into();
        // Every hash is compared, so that the time tells neither which credential came close nor how many there are.
        let (mut hit, mut near) = (u32::MAX, u32::MAX);
        for (index, credential) in (0u32..).zip(&self.0) {
            let same: Choice = credential.pair.ct_eq(&whole);
            hit.conditional_assign(&index, same);
            near.conditional_assign(&index, credential.username.ct_eq(&username));
        }
        match self.0.get(hit as usize) {
            Some(credential) => Ok(credential),
            None => Err(self.0.get(near as usize).map_or(UNKNOWN, |credential| credential.name.as_str())),
        }
    }
}

/// `username:password` of exactly one short `Basic` header.
fn presented(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut all = headers.get_all(AUTHORIZATION);
    let (value, more) = (all.next()?.as_bytes(), all.next());
    if more.is_some() || value.len() > MAX_HEADER {
        return None;
    }
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    STANDARD.decode(encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn credentials() -> Credentials {
        let of = |name: &str, username: &str, password: &str| WebhookCredential {
            name: name.into(),
            username: username.into(),
            password: password.into(),
            apps: None,
        };
        Credentials::new(&[of("old", "u", "p:w"), of("new", "u", "next"), of("other", "é", "😀")])
    }

    fn check(values: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        credentials().check(&headers).map(|it| it.name.clone()).map_err(str::to_owned)
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn the_first_colon_divides_and_every_credential_counts() {
        assert_eq!(check(&[&basic("u:p:w")]), Ok("old".into()));
        assert_eq!(check(&[&basic("u:next")]), Ok("new".into()));
        assert_eq!(check(&[&basic("é:😀")]), Ok("other".into()));
        assert_eq!(check(&[&basic("u:next").replace("Basic", "bASIC")]), Ok("new".into()));
    }

    #[test]
    fn failures_are_counted_under_a_name_that_is_ours() {
        assert_eq!(check(&[&basic("u:wrong")]), Err("new".into()));
        assert_eq!(check(&[&basic("nobody:next")]), Err(UNKNOWN.into()));
    }

    #[test]
    fn anything_but_one_plain_header_fails() {
        let good = basic("u:next");
        for values in [
            vec![],
            vec![good.as_str(), good.as_str()],
            vec![&good[..good.len() - 1]],
            vec![good.trim_end_matches('=')].into_iter().filter(|it| *it != good).collect(),
            vec![&good.replace("Basic ", "Basic  ")],
            vec![&good.replace("Basic", "Bearer")],
            vec!["Basic", "Basic "],
            vec![&basic("unext")],
            vec![&basic(&format!("u:next{}", "x".repeat(400)))],
        ] {
            assert!(check(&values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn whatever_is_presented_only_an_equal_pair_passes() {
        let (all, pairs) = (credentials(), ["u:p:w", "u:next", "é:😀"]);
        let passes = |value: &[u8]| {
            let Ok(value) = HeaderValue::from_bytes(value) else { return false };
            all.check(&HeaderMap::from_iter([(AUTHORIZATION, value)])).is_ok()
        };
        let equal = |value: &[u8]| {
            let encoded = value.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "));
            encoded.is_some_and(|(_, encoded)| pairs.iter().any(|pair| STANDARD.encode(pair).as_bytes() == encoded))
        };
        crate::mutate::fuzz("credentials", &crate::mutate::corpus(&["corpus/credentials"]), 16, |values| {
            for value in values {
                let bound = std::time::Duration::from_secs(1);
                let passed = crate::mutate::within(bound, "a header", || passes(value));
                assert_eq!(passed, equal(value), "{:?}", String::from_utf8_lossy(value));
                // The same bytes as a pair.
                let known = pairs.iter().any(|pair| pair.as_bytes() == value);
                assert_eq!(passes(format!("Basic {}", STANDARD.encode(value)).as_bytes()), known);
            }
        });
    }
}
