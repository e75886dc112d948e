//! Where the API is, and the key that opens it.

use std::fmt;
use std::net::ToSocketAddrs;

/// The regions that CometChat has. More may come.
const REGIONS: [&str; 3] = ["us", "eu", "in"];

/// An API key. It is shown nowhere.
#[derive(Clone)]
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// What is no key is refused before it is sent.
    pub fn new(text: &str) -> Option<Self> {
        let key = text.trim();
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| Self(key.to_owned()))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The API of one app.
#[derive(Debug, Clone)]
pub struct Access {
    pub app_id: String,
    base: String,
    /// The region that the address is made of, where it is none of those known.
    strange: Option<String>,
    pub(super) key: Key,
}

impl Access {
    /// At CometChat's own address for the app and region, or at another one.
    pub fn new(app_id: &str, region: &str, url: Option<&str>, key: Key) -> Result<Self, String> {
        let is_strange = url.is_none() && !REGIONS.contains(&region);
        let strange = is_strange.then(|| region.to_owned());
        Ok(Self { app_id: app_id.to_owned(), base: Self::address(app_id, region, url)?, strange, key })
    }

    /// The same address. Refused is what is none, or would send the key in the clear.
    pub fn address(app_id: &str, region: &str, url: Option<&str>) -> Result<String, String> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        if url.is_none() && !(is_word(app_id) && is_word(region)) {
            return Err(format!("the app {app_id:?} and region {region:?} give no address. A region is us, eu or in"));
        }
        let base = match url {
            None => format!("https://{app_id}.api-{region}.cometchat.io/v3"),
            Some(url) => url.trim_end_matches('/').to_owned(),
        };
        let host = base.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
        match host {
            Some("127.0.0.1" | "localhost") => {}
            None if base.starts_with("https://") => {}
            _ => {
                return Err(format!(
                    "{base}: expected an address that begins with https://, or the key is sent in the clear"
                ));
            }
        }
        Ok(base)
    }

    /// The region, where it is neither known nor leads to a host: waiting does not help.
    pub(super) fn wrong_region(&self) -> Option<&str> {
        let region = self.strange.as_deref()?;
        let host = self.base.strip_prefix("https://")?.split('/').next()?;
        (host, 443).to_socket_addrs().is_err().then_some(region)
    }

    /// The address of the API, for messages.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A text of the API without the key: CometChat repeats a key that CometChat does not know.
    pub(super) fn without_key(&self, said: &str) -> String {
        said.replace(self.key.reveal(), "…")
    }

    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.base.clone();
        for part in path {
            url.push('/');
            // Encoded as in a form, where a space is a plus: in a path it is %20.
            url.extend(form_urlencoded::byte_serialize(part.as_bytes()).map(|it| if it == "+" { "%20" } else { it }));
        }
        if !query.is_empty() {
            url.push('?');
            url = form_urlencoded::Serializer::for_suffix(url.clone(), url.len()).extend_pairs(query).finish();
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(" secret\n").unwrap()
    }

    #[test]
    fn the_address_follows_from_app_and_region_and_ids_are_encoded() {
        let access = Access::new("2489f0", "eu", None, key()).unwrap();
        assert_eq!(
            access.url(&["groups", "a b/c?"], &[("page", "2"), ("q", "x&y")]),
            "https://2489f0.api-eu.cometchat.io/v3/groups/a%20b%2Fc%3F?page=2&q=x%26y"
        );
        assert_eq!(
            Access::new("a", "eu", Some("http://127.0.0.1:9/v3/"), key()).unwrap().base(),
            "http://127.0.0.1:9/v3"
        );
    }

    #[test]
    fn no_key_is_sent_in_the_clear_or_to_a_made_up_host() {
        for (region, url) in
            [("eu", Some("http://example.com")), ("eu.evil.example/", None), ("", None), ("eu", Some("ftp://x"))]
        {
            assert!(Access::new("a", region, url, key()).is_err(), "{region} {url:?}");
        }
    }

    #[test]
    fn only_a_region_that_is_not_known_and_leads_nowhere_is_wrong() {
        let wrong = |region: &str, url: Option<&str>| {
            Access::new("a", region, url, key()).unwrap().wrong_region().map(str::to_owned)
        };
        // No host has a name with a part of more than 63 letters, so no network is asked.
        let long = "z".repeat(60);
        assert_eq!(wrong(&long, None), Some(long.clone()));
        assert_eq!(wrong(&long, Some(&format!("https://api-{long}.example"))), None, "the address is the operator's");
        assert_eq!(wrong("eu", None), None);
    }

    #[test]
    fn a_key_is_shown_nowhere() {
        assert_eq!((format!("{:?}", key()), key().reveal()), ("Key(…)".to_owned(), "secret"));
        assert!(Key::new(" \n").is_none() && Key::new("two words").is_none());
    }
}
