//! Answers as they are sent: what each carries beside its data, and its errors trimmed.

use super::error::{Code, complete, is_request_error, once_a_field};
use super::written::{length, write};
use crate::fold::FOLD_VERSION;
use crate::ids::Time;
use async_graphql::{Name, Response, Value, value};

/// The answer to a request that is not executed.
pub(super) fn refusal(code: Code, message: &str) -> String {
    finish(Response::from_errors(vec![code.server_error(message)]), None)
}

/// The answer as JSON.
pub(super) fn text(response: &Response) -> String {
    let mut out = Vec::with_capacity((1 << 10) + length(&response.data));
    out.extend_from_slice(b"{\"data\":");
    write(&response.data, &mut out);
    write_rest(response, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// What stands behind the data.
fn write_rest(response: &Response, out: &mut Vec<u8>) {
    for (place, (name, value)) in response.extensions.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b",\"extensions\":{" } else { b"," });
        write(&Value::from(name.as_str()), out);
        out.push(b':');
        write(value, out);
    }
    if !response.extensions.is_empty() {
        out.push(b'}');
    }
    if !response.errors.is_empty() {
        out.extend_from_slice(b",\"errors\":");
        out.extend_from_slice(&serde_json::to_vec(&response.errors).unwrap_or_default());
    }
    out.push(b'}');
}

/// What an answer shows.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub seq: i64,
    /// Arrival of the newest event, of those apps that the caller may read.
    pub received_at: Option<Time>,
    /// When this node last had folded all of the log that it shares; `None`: it shares none.
    pub log_read_at: Option<Option<Time>>,
    /// Edition of the fold that made the tables; where it is another than ours they are being made anew.
    pub fold_version: i64,
    /// What the request cost, and the most it may.
    pub cost: usize,
    pub most: usize,
}

/// Errors of an answer; how many more there are is told.
const ERRORS: usize = 10;

/// Sets what every answer carries, and trims its errors.
pub(super) fn finish(mut response: Response, shown: Option<Shown>) -> String {
    // The library tells some of them twice.
    response.errors.dedup();
    once_a_field(&mut response.errors);
    let left_out = response.errors.len().saturating_sub(ERRORS);
    response.errors.truncate(ERRORS);
    response.errors.iter_mut().for_each(complete);
    if let Some(shown) = shown {
        let mut told = value!({
            "seq": shown.seq.to_string(),
            "receivedAt": shown.received_at.map(Time::rfc3339),
            "foldVersion": shown.fold_version,
            "rebuilding": shown.fold_version != FOLD_VERSION,
            "cost": shown.cost,
            "maxCost": shown.most,
        });
        if let (Some(read_at), Value::Object(told)) = (shown.log_read_at, &mut told) {
            told.insert(Name::new("logReadAt"), value!(read_at.map(Time::rfc3339)));
        }
        response.extensions.insert("chatfold".to_owned(), told);
        if left_out > 0 {
            response.extensions.insert("errorsLeftOut".to_owned(), value!(left_out));
        }
    }
    if !response.errors.iter().any(is_request_error) {
        return text(&response);
    }
    // Nothing was executed, or nothing of it counts: then an answer has no data at all.
    response.errors.retain(is_request_error);
    response.errors.iter_mut().for_each(|error| error.path.clear());
    let mut out = Vec::new();
    write_rest(&response, &mut out);
    out[0] = b'{';
    String::from_utf8(out).unwrap_or_default()
}
