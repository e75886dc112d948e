//! `/healthz` and `/readyz`, open to all.

use super::{Shared, body, problem};
use crate::cluster::Intake;
use crate::disk;
use crate::disk::Disk;
use crate::ids::Time;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

/// 200 while the process lives.
pub(super) async fn healthz(payload: web::Payload) -> HttpResponse {
    body::closing(ok("{\"status\":\"alive\"}"), payload)
}

/// 200 when a delivery would be accepted now; with a warning if that may end soon.
pub(super) async fn readyz(shared: web::Data<Shared>, payload: web::Payload) -> HttpResponse {
    let response = match shared.not_ready() {
        None => ok(ready(&shared)),
        Some(why) => problem::unavailable(&why),
    };
    body::closing(response, payload)
}

/// With a warning if that may end soon, and what the node knows of the shared log, if there is one.
fn ready(shared: &Shared) -> String {
    let mut ready = serde_json::json!({ "status": "ready" });
    if Disk::of(&shared.config.db).is_some_and(Disk::is_nearly_full) {
        ready["warnings"] = serde_json::json!([disk::NEARLY_FULL]);
    }
    if let Some(log) = shared.intake.as_ref().and_then(Intake::log) {
        ready["logReadAt"] = log.read_at.map(Time::rfc3339).into();
        ready["logTrouble"] = log.trouble.into();
        ready["outbox"] = log.queued.0.into();
    }
    ready.to_string()
}

fn ok(body: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body.into())
}
