//! The history of a group's members.

use super::list::{Scan, run, scan};
use super::{Conn, Found, List, Lookup, Range, Sql, rows};
use crate::ids::{Scope, State, Time, TimeSource};

/// A row of `membership_changes`.
#[derive(Debug, Clone)]
pub struct MembershipChange {
    pub seq: i64,
    pub at: Time,
    pub at_from: TimeSource,
    pub trigger: String,
    pub uid: String,
    pub by: Option<String>,
    pub state: Option<State>,
    pub scope: Option<Scope>,
}

/// A fact about a person in a group, by its place in the history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChangeKey {
    pub guid: String,
    pub at: i64,
    pub seq: i64,
    pub uid: String,
}

const BY_KEY: &str = "
    SELECT c.guid, c.at, c.seq, c.uid, c.at_from, c.occurred_at, c.trigger, c.by_uid, c.state, c.scope
    FROM json_each(:keys) k
    CROSS JOIN membership_changes c
        ON c.app_id = :app AND c.guid = json_extract(k.value, '$[0]') AND c.at = json_extract(k.value, '$[1]')
        AND c.seq = json_extract(k.value, '$[2]') AND c.uid = json_extract(k.value, '$[3]')";

impl Lookup for ChangeKey {
    type Found = MembershipChange;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, MembershipChange)>> {
        let keys: Vec<_> = keys.iter().map(|key| serde_json::json!([key.guid, key.at, key.seq, key.uid])).collect();
        let keys = serde_json::Value::Array(keys).to_string();
        rows(conn, BY_KEY, &[(":app", &app), (":keys", &keys)], |row| {
            let at: i64 = row.get("at")?;
            let change = MembershipChange {
                seq: row.get("seq")?,
                // 0 is older than anything dated; people see when it happened as far as can be known.
                at: Time(if at == 0 { row.get("occurred_at")? } else { at }),
                at_from: row.get("at_from")?,
                trigger: row.get("trigger")?,
                uid: row.get("uid")?,
                by: row.get("by_uid")?,
                state: row.get("state")?,
                scope: row.get("scope")?,
            };
            Ok((Self { guid: row.get("guid")?, at, seq: change.seq, uid: change.uid.clone() }, change))
        })
    }
}

/// The history of a group, or of one person in it, newest first.
#[derive(Debug, Clone)]
pub struct MembershipChanges {
    pub app: String,
    pub guid: String,
    pub uid: Option<String>,
    /// At that time or later.
    pub low: Option<i64>,
    /// Before that time.
    pub high: Option<i64>,
}

// Most of what a member list says is known already: it is no history.
const OF_GROUP: Scan = scan!("iit", by ["at", "seq", "uid"] from ":k1, :k2, :k3", matching "trigger <> 'chatfold.group_roster'",
    of "membership_changes WHERE app_id = :app AND guid = :guid AND at >= :low AND at < :high");
const OF_MEMBER: Scan = scan!("iit", by ["at", "seq", "uid"] from ":k1, :k2, :k3", matching "trigger <> 'chatfold.group_roster'",
    of "membership_changes WHERE app_id = :app AND guid = :guid AND uid = :uid AND at >= :low AND at < :high");

impl List for MembershipChanges {
    fn name(&self) -> &'static str {
        "group.membershipChanges"
    }

    fn falling(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static str {
        "iit"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let scan = if self.uid.is_some() { &OF_MEMBER } else { &OF_GROUP };
        let low = self.low.unwrap_or(i64::MIN);
        let high = self.high.unwrap_or(i64::MAX);
        let params: super::Params<'_> =
            &[(":app", &self.app), (":guid", &self.guid), (":uid", &self.uid), (":low", &low), (":high", &high)];
        run(conn, scan, params, range)
    }
}
