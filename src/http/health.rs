//! `/healthz` and `/readyz`, open to all.

use super::{Shared, problem};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

/// 200 while the process lives.
pub(super) async fn healthz() -> HttpResponse {
    ok("{\"status\":\"alive\"}")
}

/// 200 when a delivery would be accepted now.
pub(super) async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    match shared.not_ready() {
        None => ok("{\"status\":\"ready\"}"),
        Some(why) => problem::unavailable(&why),
    }
}

fn ok(body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}
