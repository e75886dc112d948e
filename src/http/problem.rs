//! Errors outside GraphQL: `application/problem+json` (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder};

/// An answer whose `detail` says what was expected. It never holds anything of a body, a credential or a path of this
/// machine.
pub(super) fn of(status: StatusCode, detail: &str) -> HttpResponse {
    builder(status).body(text(status, detail))
}

/// 405, naming what is allowed.
pub(super) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    builder(status).insert_header((ALLOW, allowed)).body(text(status, &format!("this path takes {allowed}")))
}

/// 503 with the seconds after which another attempt makes sense.
pub(super) fn unavailable(detail: &str) -> HttpResponse {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    builder(status).insert_header((RETRY_AFTER, "1")).body(text(status, detail))
}

/// The start of an answer of this kind, for those with headers of their own.
pub(super) fn builder(status: StatusCode) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder.insert_header((CONTENT_TYPE, "application/problem+json")).insert_header((CACHE_CONTROL, "no-store"));
    builder
}

/// The body.
pub(super) fn text(status: StatusCode, detail: &str) -> String {
    serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    })
    .to_string()
}
