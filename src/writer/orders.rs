//! Orders that travel through the shared log: what one node is told is done by every node, at the same place between the
//! deliveries.
//!
//! An order is a row of the log like a delivery. Nobody can post one: `Envelope::received` refuses triggers that begin with
//! `chatfold.`.

use crate::ids::{Time, TokenScope};
use crate::json::{Document, Json};
use crate::store::StoreError;
use crate::store::sqlite::Connection;
use crate::store::sqlite::tokens::{self, NewToken};
use serde::{Deserialize, Serialize};

/// What the JSON of every order begins with. Deliveries are not parsed a second time for it.
pub const BEGIN: &[u8; 27] = b"{\"trigger\":\"chatfold.order.";
const TRIGGER: &str = "chatfold.order.";

/// What every node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trigger", content = "data")]
pub enum Order {
    /// Keep a token. If the name is taken, nothing happens.
    #[serde(rename = "chatfold.order.token_create")]
    CreateToken(TokenMade),
    /// End the token with this hash.
    #[serde(rename = "chatfold.order.token_revoke")]
    RevokeToken(TokenRevoked),
    /// Take a person out. Who that is stands beside the log, so that it can be forgotten.
    #[serde(rename = "chatfold.order.erase_user")]
    EraseUser(UserErased),
    /// Fold a delivery from which a person was taken since it came.
    #[serde(rename = "chatfold.order.redacted")]
    Redacted(Redacted),
    /// Make the tables again from the log.
    #[serde(rename = "chatfold.order.rebuild")]
    Rebuild(RebuildAsked),
}

/// A token, as its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenMade {
    pub name: String,
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    pub scope: String,
    /// `None`: all apps.
    pub apps: Option<Vec<String>>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRevoked {
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    pub at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserErased {
    pub app_id: String,
    /// What stands in the place of the uid and of all names from then on.
    pub pseudonym: String,
    /// For the hashes by which late copies are known, if the file has no salt yet.
    pub salt: String,
    pub names_in_texts: bool,
    pub at: i64,
}

/// What takes the place of a delivery in the log. Bodies that told different things may be equal now, and times may be
/// gone from them, so what append saw of the delivery as it came stands beside the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redacted {
    pub body: String,
    /// The newest timestamp that the body held.
    pub newest: Option<i64>,
    /// The log position of the event that it tells: its own, unless it is a copy.
    pub event: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildAsked {
    /// Only nodes of this edition of the fold do so.
    pub edition: i64,
}

impl Order {
    /// Reads a row of the log. `None`: it is no order. An error: it is an order that this chatfold does not know.
    pub fn read(body: &[u8]) -> Option<Result<Self, String>> {
        if !body.starts_with(BEGIN) {
            return None;
        }
        // A delivery may have begun so, and told another trigger behind: the last of doubled keys counts.
        let document = Document::parse(body.to_vec()).ok()?;
        let trigger = document.root().get("trigger").and_then(Json::text)?;
        if !trigger.starts_with(TRIGGER) {
            return None;
        }
        let order = serde_json::from_slice(body).map_err(|error| error.to_string());
        Some(order.and_then(|order| match &order {
            Self::CreateToken(made) if TokenScope::from_word(&made.scope).is_none() => {
                Err(format!("a token of the scope {:?}", made.scope))
            }
            _ => Ok(order),
        }))
    }

    /// As it stands in the log.
    pub fn body(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Unusable(format!("cannot write JSON: {error}")))
    }

    /// The app that it is about; empty: all.
    pub fn app_id(&self) -> &str {
        if let Self::EraseUser(order) = self { &order.app_id } else { "" }
    }

    /// Does it inside the caller's transaction, where one suffices.
    pub(super) fn apply(&self, conn: &Connection) -> Result<(), StoreError> {
        match self {
            Self::CreateToken(made) => {
                let unknown = || StoreError::Unusable(format!("there is no scope {:?}", made.scope));
                let scope = TokenScope::from_word(&made.scope).ok_or_else(unknown)?;
                let new = NewToken {
                    name: &made.name,
                    hash: made.hash,
                    scope,
                    apps: made.apps.as_deref(),
                    created_at: Time(made.created_at),
                    expires_at: made.expires_at.map(Time),
                };
                tokens::create(conn, &new)?;
                Ok(())
            }
            Self::RevokeToken(revoked) => tokens::revoke_hash(conn, &revoked.hash, Time(revoked.at)),
            Self::EraseUser(_) | Self::Redacted(_) => {
                Err(StoreError::Unusable("an order that is no part of a batch is in one".into()))
            }
            // The caller begins the rebuild once the transaction is committed.
            Self::Rebuild(_) => Ok(()),
        }
    }
}

/// 32 bytes as hexadecimal digits.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || D::Error::custom("expected 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).map_err(|_| wrong())?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;

    #[test]
    fn an_order_is_read_as_it_was_written_and_nobody_can_post_one() {
        let revoked = Order::RevokeToken(TokenRevoked { hash: [0xa7; 32], at: 5 });
        let made = TokenMade {
            name: "ci".into(),
            hash: [1; 32],
            scope: "admin".into(),
            apps: Some(vec!["a".into()]),
            created_at: 1,
            expires_at: None,
        };
        for order in [revoked, Order::CreateToken(made), Order::Rebuild(RebuildAsked { edition: 3 })] {
            let body = order.body().unwrap();
            assert_eq!(Order::read(&body), Some(Ok(order)));
            assert!(Envelope::received(&body).is_err());
        }
    }

    #[test]
    fn a_delivery_that_begins_like_an_order_is_a_delivery() {
        let body = br#"{"trigger":"chatfold.order.rebuild","trigger":"t","appId":"a","data":{}}"#;
        assert!(Envelope::received(body).is_ok());
        assert_eq!(Order::read(body), None);
        assert_eq!(Order::read(br#"{"trigger":"message_sent","appId":"a"}"#), None);
    }

    #[test]
    fn an_order_of_a_newer_chatfold_is_no_delivery() {
        let body = br#"{"trigger":"chatfold.order.paint","data":{}}"#;
        assert!(Order::read(body).unwrap().is_err());
    }
}
