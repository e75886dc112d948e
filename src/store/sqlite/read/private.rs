//! The private part of people's custom data. No table holds it: the log does.

use super::{Conn, Lookup, Sql, rows};
use crate::change::User;
use crate::json::{Document, quote};
use crate::person;
use crate::store::sqlite::App;
use crate::store::sqlite::registers::load_users;
use std::collections::HashMap;
use std::sync::Arc;

/// The members of a person's private data that have one of these keys, as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserPrivate {
    pub uid: Arc<str>,
    pub keys: Arc<[String]>,
}

const METADATA: usize = User::place("metadata");
const BODIES: &str = "
    SELECT k.key, e.body FROM json_each(:keys) k CROSS JOIN events e ON e.app_id = :app AND e.seq = k.value";

impl Lookup for UserPrivate {
    type Found = Arc<str>;

    /// The register of the custom data tells which event it comes from.
    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Arc<str>)>> {
        let app = App::from(app);
        let users = load_users(conn, &app, keys.iter().map(|key| &*key.uid))?;
        let told: HashMap<&str, i64> =
            users.iter().filter_map(|((_, uid), user)| Some((uid.as_str(), user.row.keys[METADATA]?.seq))).collect();
        let seqs: Vec<Option<&i64>> = keys.iter().map(|key| told.get(&*key.uid)).collect();
        let seqs = serde_json::json!(seqs).to_string();
        let found = rows(conn, BODIES, &[(":app", &app), (":keys", &seqs)], |row| {
            let (place, body): (i64, String) = (row.get(0)?, row.get(1)?);
            Ok((keys[place as usize].clone(), body))
        })?;
        let shown = |(key, body): (Self, String)| {
            let document = Document::parse(body.into_bytes()).ok()?;
            let members = person::private(&document, &key.uid, &key.keys);
            let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
            (!members.is_empty()).then(|| (key, format!("{{{}}}", members.join(",")).into()))
        };
        Ok(found.into_iter().filter_map(shown).collect())
    }
}
