//! `/healthz` and `/readyz`, open to all.

use super::{Shared, body, problem};
use crate::disk;
use crate::disk::Disk;
use actix_web::body::MessageBody;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

/// 200 while the process lives.
pub(super) async fn healthz(payload: web::Payload) -> HttpResponse {
    body::closing(ok("{\"status\":\"alive\"}"), payload)
}

/// 200 when a delivery would be accepted now; with a warning if that may end soon.
pub(super) async fn readyz(shared: web::Data<Shared>, payload: web::Payload) -> HttpResponse {
    let is_nearly_full = || Disk::of(&shared.config.db).is_some_and(Disk::is_nearly_full);
    let response = match shared.not_ready() {
        None if is_nearly_full() => {
            ok(serde_json::json!({ "status": "ready", "warnings": [disk::NEARLY_FULL] }).to_string())
        }
        None => ok("{\"status\":\"ready\"}"),
        Some(why) => problem::unavailable(&why),
    };
    body::closing(response, payload)
}

fn ok(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}
