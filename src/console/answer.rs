//! Pieces of answers that several pages ask for, under the names of the schema.

use serde::Deserialize;

/// A person, as links show them.
#[derive(Debug, Clone, Deserialize)]
pub struct Person {
    pub uid: String,
    pub name: Option<String>,
}

/// A group, as links show it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupName {
    pub guid: String,
    pub name: Option<String>,
    pub deleted_at: Option<String>,
}

/// How many deliveries came to which outcome.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Outcomes {
    applied: u64,
    duplicate: u64,
    ignored: u64,
    anomaly: u64,
    rejected: u64,
}

impl Outcomes {
    /// Each with its word.
    pub fn words(&self) -> [(&'static str, u64); 5] {
        [
            ("applied", self.applied),
            ("duplicate", self.duplicate),
            ("ignored", self.ignored),
            ("anomaly", self.anomaly),
            ("rejected", self.rejected),
        ]
    }
}

/// A page of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    pub nodes: Vec<T>,
    #[serde(default)]
    pub page_info: PageInfo,
    #[serde(default)]
    pub total_count: Option<u64>,
    #[serde(default)]
    pub total_count_exact: Option<bool>,
}

impl<T> List<T> {
    /// How many there are, `10,000+` where they were not all counted.
    pub fn total(&self) -> String {
        let count = super::view::number(self.total_count.unwrap_or_default());
        if self.total_count_exact == Some(false) { format!("{count}+") } else { count }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    pub has_next_page: bool,
    #[serde(default)]
    pub has_previous_page: bool,
    pub start_cursor: Option<String>,
    pub end_cursor: Option<String>,
}

/// How the number of members differs from what CometChat says.
#[derive(Debug, Clone, Deserialize)]
pub struct Drift {
    pub expected: i64,
    pub counted: i64,
    pub since: String,
}
