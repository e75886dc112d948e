//! Web pages of other origins: only those of the origins configured may read an answer. Tokens travel in a header, so
//! no credentials of the browser are ever allowed.

use super::{Shared, body, problem};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, Route, web};

/// Headers that a page may send in addition to those that every page may send.
const HEADERS: &str = "authorization, content-type, chatfold-min-seq";
const SECONDS: &str = "600";
const NOT_ALLOWED: &str = "pages of this origin may not ask: the setting cors_origins lists the origins that may, such as http://localhost:3000";

/// The origin of the page, if it is one of those configured.
fn allowed<'a>(request: &HttpRequest, origins: &'a [String]) -> Option<&'a str> {
    let mut all = request.headers().get_all(ORIGIN);
    let (origin, more) = (all.next()?, all.next());
    origins.iter().map(String::as_str).find(|it| more.is_none() && it.as_bytes() == origin.as_bytes())
}

/// Lets the page read the answer, also a refusal.
pub(super) fn mark(request: &HttpRequest, shared: &Shared, response: &mut HttpResponse) {
    let origins = &shared.config.cors_origins;
    if origins.is_empty() {
        return;
    }
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed(request, origins).and_then(|it| HeaderValue::from_str(it).ok()) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

/// `OPTIONS`: what a browser asks before it sends a page's request to a path that takes these methods.
pub(super) fn preflight(methods: &'static str) -> Route {
    web::method(Method::OPTIONS).to(
        move |request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>| async move {
            body::closing(answer(&request, &shared, methods), payload)
        },
    )
}

fn answer(request: &HttpRequest, shared: &Shared, methods: &'static str) -> HttpResponse {
    let headers = request.headers();
    let asks = headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match allowed(request, &shared.config.cors_origins) {
        Some(_) if asks => HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, SECONDS))
            .finish(),
        None if asks => problem::of(StatusCode::FORBIDDEN, NOT_ALLOWED),
        _ => problem::method_not_allowed(methods),
    };
    mark(request, shared, &mut response);
    response
}
