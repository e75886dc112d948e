//! `/healthz` and `/readyz`, open to all.

use super::{Shared, body, problem};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

/// 200 while the process lives.
pub(super) async fn healthz(payload: web::Payload) -> HttpResponse {
    body::closing(ok("{\"status\":\"alive\"}"), payload)
}

/// 200 when a delivery would be accepted now.
pub(super) async fn readyz(shared: web::Data<Shared>, payload: web::Payload) -> HttpResponse {
    let response = match shared.not_ready() {
        None => ok("{\"status\":\"ready\"}"),
        Some(why) => problem::unavailable(&why),
    };
    body::closing(response, payload)
}

fn ok(body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}
