//! Why the tables hold these values for one entity: its deliveries in the order of the log, which registers each
//! delivery won or lost and by which rule, and the row in the tables.
//!
//! Nothing here decides anything. The reducers of the fold read the deliveries again, and the functions of `tables`
//! apply them to rows in memory. An observer looks at each row before and after and says in words what happened. At the
//! end the rows in memory are compared with those of the file, so that no answer is wrong in silence. `event_refs` names
//! the deliveries that are about an entity, and the entity's registers name those whose copy decides. Only where these
//! deliveries give other rows than the file holds is the whole log read.

mod call;
mod gather;
mod group;
mod membership;
mod message;
mod observer;
mod replay;
mod state;
mod text;
mod user;
mod value;
mod words;

pub use gather::{ExplainError, Reach, cut, explain, explain_named};
pub use state::State;
pub use text::{groups, late, write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// The answer of `chatfold explain`; `--json` prints it as it is. Times are RFC 3339. Names inside `row`, `tables` and
/// `effects[].register` are the columns of the SQLite file, those of a message's `data` as
/// `data.<member>`, those of tables beside the entity's own with its name before them (`moderation status`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// As asked for: `message:77`.
    pub entity: String,
    pub app_id: String,
    /// Log position of the snapshot that was read; 0 in an answer of the API, which tells it beside.
    #[serde(default)]
    pub seq: i64,
    /// In the order of the log.
    pub deliveries: Vec<Delivery>,
    /// The entity's row; null where there is none, and for a call, whose instances are `tables.call_sessions`.
    pub row: Option<Map<String, Json>>,
    /// What belongs to the entity, by table: edits, reactions, receipts, verdict; facts; connections, blocks; …
    pub tables: Map<String, Json>,
    /// What there is to know about the answer, in sentences.
    pub notes: Vec<String>,
    /// Whether the deliveries, merged again, give the rows above. If not, `chatfold verify` tells more.
    pub agrees: bool,
    /// Whether the whole log of the app was read.
    pub scanned: bool,
    /// Deliveries left out that carry a copy of the entity which decides nothing; null: not counted, the log was not read.
    pub copies_left_out: Option<u64>,
}

/// One fact of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub seq: i64,
    pub trigger: String,
    pub occurred_at: String,
    /// `told`, `arrival` or `feed`.
    pub occurred_from: String,
    pub received_at: String,
    /// Milliseconds from `occurredAt` to `receivedAt`.
    pub late_ms: i64,
    pub last_received_at: String,
    /// How often it was delivered.
    pub deliveries: i64,
    pub outcome: String,
    pub reason: Option<String>,
    pub effects: Vec<Effect>,
    /// Registers of a person or group that are known, and that this delivery describes it without: silence is no value.
    pub silent: Vec<String>,
}

/// What one delivery did to one register.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    pub register: String,
    /// What the delivery said. For facts of a membership or a session `{told, ledTo}`.
    pub value: Json,
    /// What stood there when it was taken; null where nothing did, or where facts are only counted.
    pub before: Json,
    /// Whether it stood when it was taken.
    pub won: bool,
    /// Whether it said what stood there already.
    pub same: bool,
    /// By which rule, in words.
    pub rule: String,
    /// Log position of the fact it met.
    pub against: Option<i64>,
    /// Log position of the fact that has replaced it since.
    pub replaced_by: Option<i64>,
}

impl Effect {
    fn new(register: impl Into<String>, value: impl Into<Json>, won: bool, rule: impl Into<String>) -> Self {
        Self {
            register: register.into(),
            value: value.into(),
            before: Json::Null,
            won,
            same: false,
            rule: rule.into(),
            against: None,
            replaced_by: None,
        }
    }
}
