//! What a GraphQL request may cost, as settings: flags and variables that begin with `graphql`, and the table
//! `[graphql]` of the configuration file.

use super::ConfigError;
use super::settings::Choices;
use crate::graphql::Limits;
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;

/// Declares the settings: documentation, flag, key of the table, variable, bounds, and the limit that it sets.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $flag:ident: $key:literal, $variable:literal, $low:literal to $high:literal, $limit:ident;
    )+) => {
        /// The limits of a GraphQL request. Each may be left out.
        #[derive(Debug, Clone, Default, Args, Deserialize)]
        #[command(next_help_heading = "GraphQL limits")]
        #[serde(deny_unknown_fields)]
        pub struct GraphqlFlags {
            $(
                $(#[doc = $doc])+
                #[arg(long, global = true, hide_short_help = true, value_name = "N", env = $variable)]
                #[serde(rename = $key)]
                pub $flag: Option<u64>,
            )+
            /// Whether clients may ask for the schema [default: true]
            #[arg(long, global = true, hide_short_help = true, value_name = "BOOL", env = "CHATFOLD_GRAPHQL_INTROSPECTION")]
            #[serde(rename = "introspection")]
            pub graphql_introspection: Option<bool>,
            /// JSON list of SHA-256 hashes. The server runs only documents with these hashes [default: all documents]
            #[arg(long, global = true, hide_short_help = true, value_name = "FILE", env = "CHATFOLD_GRAPHQL_ALLOW_LIST")]
            #[serde(rename = "allow_list")]
            pub graphql_allow_list: Option<PathBuf>,
        }

        impl GraphqlFlags {
            /// Takes each limit from here, or else from the file, and checks its bounds. `unread` and `timeout` have
            /// settings of their own.
            pub(super) fn limits(&self, file: &Self, choices: &mut Choices) -> Result<Limits, ConfigError> {
                let mut limits = Limits::default();
                $(
                    let (key, bounds) = (concat!("graphql.", $key), $low..=$high);
                    limits.$limit = choices.number(key, self.$flag, file.$flag, limits.$limit, bounds)?;
                )+
                let (flag, file) = (self.graphql_introspection, file.graphql_introspection);
                limits.introspection = choices.choose("graphql.introspection", flag, file, limits.introspection);
                Ok(limits)
            }
        }
    };
}

settings! {
    /// Most bytes of a document, 1024 to 1048576 [default: 16384]
    graphql_document_bytes: "document_bytes", "CHATFOLD_GRAPHQL_DOCUMENT_BYTES", 1_024 to 1_048_576, document_bytes;
    /// Most tokens of a document, 100 to 100000 [default: 4000]
    graphql_tokens: "tokens", "CHATFOLD_GRAPHQL_TOKENS", 100 to 100_000, tokens;
    /// Most selections, with every fragment expanded, 10 to 100000 [default: 2000]
    graphql_selections: "selections", "CHATFOLD_GRAPHQL_SELECTIONS", 10 to 100_000, selections;
    /// Most levels of fields, 2 to 30 [default: 12]
    graphql_depth: "depth", "CHATFOLD_GRAPHQL_DEPTH", 2 to 30, depth;
    /// Highest cost: the number of fields, each times the page sizes above it, 100 to 1000000 [default: 10000]
    graphql_complexity: "complexity", "CHATFOLD_GRAPHQL_COMPLEXITY", 100 to 1_000_000, complexity;
    /// Most aliases in a document, 0 to 1000 [default: 30]
    graphql_aliases: "aliases", "CHATFOLD_GRAPHQL_ALIASES", 0 to 1_000, aliases;
    /// Most root fields, 1 to 200 [default: 20]
    graphql_root_fields: "root_fields", "CHATFOLD_GRAPHQL_ROOT_FIELDS", 1 to 200, root_fields;
    /// Most directives on one field, 0 to 50 [default: 5]
    graphql_directives: "directives", "CHATFOLD_GRAPHQL_DIRECTIVES", 0 to 50, directives;
    /// Most items of one page, 1 to 200. A query that asks for no number gets 50, or this many if it is less than 50
    /// [default: 200]
    graphql_page: "page", "CHATFOLD_GRAPHQL_PAGE", 1 to 200, page;
    /// Most requests that run at once, each with its own connection to the file, 1 to 64 [default: 8]
    graphql_requests: "requests", "CHATFOLD_GRAPHQL_REQUESTS", 1 to 64, pool;
    /// Most bytes of the file's pages that each of these connections keeps in memory, 1048576 to 1073741824
    /// [default: 16777216]
    graphql_page_cache: "page_cache", "CHATFOLD_GRAPHQL_PAGE_CACHE", 1_048_576 to 1_073_741_824, page_cache;
    /// Most rows that one request reads, 10000 to 100000000 [default: 300000]
    graphql_rows: "rows", "CHATFOLD_GRAPHQL_ROWS", 10_000 to 100_000_000, rows;
    /// Most bytes that these rows bring into memory, 1048576 to 1073741824 [default: 33554432]
    graphql_bytes: "bytes", "CHATFOLD_GRAPHQL_BYTES", 1_048_576 to 1_073_741_824, bytes;
    /// Most bytes of an answer, 65536 to 67108864 [default: 4194304]
    graphql_answer_bytes: "answer_bytes", "CHATFOLD_GRAPHQL_ANSWER_BYTES", 65_536 to 67_108_864, answer_bytes;
    /// Longest wait in milliseconds for the log position in Chatfold-Min-Seq, 0 to 10000 [default: 1000]
    graphql_wait_ms: "wait_ms", "CHATFOLD_GRAPHQL_WAIT_MS", 0 to 10_000, wait;
    /// Most subscribers at once, 1 to 10000. A websocket counts as one, each subscription on it after the first as one
    /// more, and an event stream as one [default: 1000]
    graphql_subscribers: "subscribers", "CHATFOLD_GRAPHQL_SUBSCRIBERS", 1 to 10_000, subscribers;
    /// Most subscribers of one token, 1 to 10000 [default: 100]
    graphql_subscribers_per_token: "subscribers_per_token", "CHATFOLD_GRAPHQL_SUBSCRIBERS_PER_TOKEN", 1 to 10_000, subscribers_per_token;
    /// Most operations at once on one websocket, 1 to 1000 [default: 20]
    graphql_operations: "operations", "CHATFOLD_GRAPHQL_OPERATIONS", 1 to 1_000, operations;
}

/// The origins whose pages may query, each exactly as browsers send it.
pub(super) fn origins(told: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let all: Vec<String> = told.into_iter().filter(|origin| !origin.is_empty()).collect();
    let is_origin = |origin: &String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]_".contains(&byte);
        !host.is_empty() && host.bytes().all(plain)
    };
    match all.iter().find(|origin| !is_origin(origin)) {
        Some(wrong) => Err(ConfigError(format!(
            "cors_origins: expected an origin as browsers send it, such as https://app.example.com, not {wrong:?}. Write \
             scheme and host in small letters, and the port if there is one, but no path and no *"
        ))),
        None => Ok(all),
    }
}
