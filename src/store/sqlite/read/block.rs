//! Who blocks whom.

use super::list::{Scan, run, scan};
use super::{Conn, Found, List, Lookup, Range, Sql, rows};
use crate::ids::{Time, TimeSource};

/// A current row of `blocks`.
#[derive(Debug, Clone)]
pub struct Block {
    pub blocker: String,
    pub blocked: String,
    pub since: Time,
    pub since_from: TimeSource,
}

/// A block, by who blocks and who is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlockKey(pub String, pub String);

const BY_PAIR: &str = "
    SELECT b.blocker_uid, b.blocked_uid, coalesce(b.since, 0) AS since, b.since_from
    FROM json_each(:keys) k
    CROSS JOIN blocks b
        ON b.app_id = :app AND b.blocker_uid = json_extract(k.value, '$[0]')
        AND b.blocked_uid = json_extract(k.value, '$[1]')
    WHERE b.current";

impl Lookup for BlockKey {
    type Found = Block;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Block)>> {
        let keys: Vec<[&str; 2]> = keys.iter().map(|key| [key.0.as_str(), key.1.as_str()]).collect();
        let keys = serde_json::json!(keys).to_string();
        rows(conn, BY_PAIR, &[(":app", &app), (":keys", &keys)], |row| {
            let block = Block {
                blocker: row.get("blocker_uid")?,
                blocked: row.get("blocked_uid")?,
                since: row.get("since")?,
                since_from: row.get("since_from")?,
            };
            Ok((Self(block.blocker.clone(), block.blocked.clone()), block))
        })
    }
}

/// Current blocks: all, those of a person, or those against a person.
#[derive(Debug, Clone)]
pub struct Blocks {
    pub app: String,
    pub blocker: Option<String>,
    pub blocked: Option<String>,
}

const ALL: Scan = scan!("tt", by ["blocker_uid", "blocked_uid"] from ":k1, :k2", matching "1",
    of "blocks WHERE app_id = :app AND current");
/// Writes a walk with one side given, so that its index is used to the end.
macro_rules! one_side {
    ($given:literal, $by:literal, $from:literal) => {
        Scan {
            kinds: "tt",
            rising: concat!(
                "SELECT blocker_uid, blocked_uid, 1 FROM blocks WHERE app_id = :app AND ",
                $given,
                " AND current AND ",
                $by,
                " > ",
                $from,
                " ORDER BY ",
                $by,
                " LIMIT :limit"
            ),
            falling: concat!(
                "SELECT blocker_uid, blocked_uid, 1 FROM blocks WHERE app_id = :app AND ",
                $given,
                " AND current AND ",
                $by,
                " < ",
                $from,
                " ORDER BY ",
                $by,
                " DESC LIMIT :limit"
            ),
        }
    };
}

const BY: Scan = one_side!("blocker_uid = :blocker", "blocked_uid", ":k2");
const AGAINST: Scan = one_side!("blocked_uid = :blocked", "blocker_uid", ":k1");

impl List for Blocks {
    fn name(&self) -> &'static str {
        "blocks"
    }

    fn kinds(&self) -> &'static str {
        "tt"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let scan = match (&self.blocker, &self.blocked) {
            (Some(_), _) => &BY,
            (None, Some(_)) => &AGAINST,
            (None, None) => &ALL,
        };
        run(conn, scan, &[(":app", &self.app), (":blocker", &self.blocker), (":blocked", &self.blocked)], range)
    }
}
