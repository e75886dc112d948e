//! An event that names many people: their rows are loaded with one statement a table.

use super::Batch;
use crate::change::{Change, Changes};
use crate::store::StoreError;
use crate::store::sqlite::{App, Connection, Key, membership, registers};
use std::collections::{BTreeMap, HashMap};

/// Fewer are looked up one by one.
const MANY: usize = 64;

impl Batch {
    /// Loads the people and memberships that the changes of one event are about, if there are many. A change that only names
    /// a person who has a row is left out: it changes nothing.
    pub fn load_many(&mut self, conn: &Connection, app: &App, changes: &mut Changes) -> Result<(), StoreError> {
        self.load_people(conn, app, changes)?;
        self.load_members(conn, app, changes)
    }

    fn load_people(&mut self, conn: &Connection, app: &App, changes: &mut Changes) -> Result<(), StoreError> {
        let (mut told, mut named): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for change in &*changes {
            if let Change::User { uid, telling } = change {
                if telling.fields.is_empty() { named.push(uid) } else { told.push(uid) }
            }
        }
        let key = |uid: &str| (App::clone(app), uid.to_owned());
        if told.len() >= MANY {
            let load = |keys: &[Key]| registers::load_users(conn, app, keys.iter().map(|(_, uid)| uid));
            self.tables.users.see_all(told.into_iter().map(key), load)?;
        }
        if named.len() >= MANY {
            let known = registers::known_users(conn, app, &named)?;
            let strangers = named.into_iter().filter(|uid| !known.contains(*uid)).map(key);
            self.tables.users.see_all(strangers, |_| Ok::<_, StoreError>(HashMap::new()))?;
            changes.retain(|change| match change {
                Change::User { uid, telling } => !telling.fields.is_empty() || !known.contains(uid),
                _ => true,
            });
        }
        Ok(())
    }

    fn load_members(&mut self, conn: &Connection, app: &App, changes: &Changes) -> Result<(), StoreError> {
        let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Membership(told) => members.entry(&told.guid).or_default().push(&told.uid),
                Change::Roster(list) => {
                    members.entry(&list.guid).or_default().extend(list.entries.iter().map(|it| it.uid.as_str()));
                }
                _ => {}
            }
        }
        for (guid, uids) in members.into_iter().filter(|(_, uids)| uids.len() >= MANY) {
            let group = (App::clone(app), guid.to_owned());
            let keys = || uids.iter().map(|uid| (App::clone(app), guid.to_owned(), (*uid).to_owned()));
            self.tables.memberships.see_all(keys(), |keys| membership::load_many(conn, &group, keys))?;
            self.tables.membership_facts.see_all(keys(), |keys| membership::load_many_facts(conn, &group, keys))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::ids::Time;
    use crate::log::{self, Source};
    use crate::store::sqlite;

    #[test]
    fn people_who_are_only_named_are_not_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let conn = sqlite::open_writer(&dir.path().join("chatfold.db")).unwrap();
        sqlite::begin(&conn).unwrap();
        let append = |batch: &mut Batch, trigger: &str, data: &str| {
            let body =
                format!(r#"{{"trigger":"chatfold.{trigger}","appId":"a","data":{{"readAt":1700000000000,{data}}}}}"#);
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            let appended = log::append(batch, &conn, &envelope, Time(1_700_000_000_500), Source::Http).unwrap();
            assert_eq!(appended.outcome.as_str(), "applied");
            batch.save(&conn).unwrap();
        };
        for n in 0..MANY {
            append(&mut Batch::default(), "user_snapshot", &format!(r#""user":{{"uid":"u{n}","name":"n"}}"#));
        }
        let members: Vec<String> = (0..=MANY).map(|n| format!(r#""u{n}":{{"scope":"participant"}}"#)).collect();
        let list = format!(r#""guid":"g","complete":true,"members":{{{}}}"#, members.join(","));
        let mut batch = Batch::default();
        append(&mut batch, "group_roster", &list);
        let people: Vec<&str> = batch.tables.users.keys().map(|(_, uid)| uid.as_str()).collect();
        assert_eq!(people, [format!("u{MANY}")]);
        let kept = "SELECT count(*), count(name) FROM users";
        let kept: (i64, i64) = conn.query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(kept, (MANY as i64 + 1, MANY as i64));
    }

    #[test]
    fn a_transaction_ends_where_few_events_change_many_rows() {
        let dir = tempfile::tempdir().unwrap();
        let conn = sqlite::open_writer(&dir.path().join("chatfold.db")).unwrap();
        sqlite::begin(&conn).unwrap();
        let mut batch = Batch::default();
        let mut append = |guid: &str, members: usize| {
            let members: Vec<String> = (0..members).map(|n| format!(r#""u{n}":{{}}"#)).collect();
            let body = format!(
                r#"{{"trigger":"chatfold.group_roster","appId":"a","data":{{"readAt":1700000000000,"guid":"{guid}","complete":true,"members":{{{}}}}}}}"#,
                members.join(",")
            );
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            log::append(&mut batch, &conn, &envelope, Time(1_700_000_000_500), Source::Http).unwrap();
            batch.is_full(1, body.len())
        };
        assert!(!append("small", 1_000));
        assert!(append("large", 40_000), "people, memberships and their facts");
        batch.save(&conn).unwrap();
        assert!(!batch.is_full(1, 1), "nothing waits any more");
    }
}
