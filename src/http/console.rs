//! `GET /` and below: the console's pages over HTTP.
//!
//! Where a token is needed, a reader signs in with one and gets a session in a cookie. The cookie is `SameSite=Strict` and
//! opens nothing but pages to read, GraphiQL's among them. No page of another origin can ask on a reader's behalf.

use super::changes::{KEEP_ALIVE, send};
use super::seats::{Full, Seat};
use super::shown::Shown;
use super::tokens::Access;
use super::{Shared, access, body, either, problem};
use crate::clock;
use crate::console::{self, Params, Reader, Rendered, Zone};
use crate::graphql::Asker;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::guard::GuardContext;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    RETRY_AFTER,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The reader's time zone, by its IANA name. A page's script writes it when the reader asks for it.
const ZONE: &str = "chatfold_zone";
/// Longest form that is read.
const FORM: usize = 4 << 10;
const HTML: &str = "text/html; charset=utf-8";
/// Between two signs to an open page that there is news.
const NEWS: Duration = Duration::from_secs(1);
/// Nothing but our own style sheet, script and icon; forms go to us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a reader of pages may see: by the session of the cookie, else as for everybody.
fn access_of(request: &HttpRequest, shared: &Shared) -> Result<Access, HttpResponse> {
    if !shared.tokens.are_needed() {
        return access::of_reader(request, shared);
    }
    access::of_session(request, shared).map_or_else(|| access::of_reader(request, shared), Ok)
}

/// Whether there is a page at the path. A browser is told by a page that there is none.
pub(super) fn is_page(ctx: &GuardContext<'_>) -> bool {
    console::page(ctx.head().uri.path()).is_some() || super::graphiql::is_wanted(ctx)
}

/// The time zone that the reader chose; UTC otherwise.
fn zone_of(request: &HttpRequest) -> Zone {
    request.cookie(ZONE).and_then(|cookie| Zone::named(cookie.value())).unwrap_or_default()
}

/// Somebody who has not signed in.
fn stranger(request: &HttpRequest) -> Reader {
    Reader { zone: zone_of(request), ..Reader::default() }
}

/// Answers a page.
pub(super) async fn get(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let access = match access_of(&request, &shared) {
        Ok(access) => access,
        Err(_) if shared.tokens.are_needed() => return see_other(&sign_in_href(&request)),
        Err(refusal) => return refusal,
    };
    // An open page that heard of news; whoever sees the same heard of it too.
    if let Ok(Some(seq)) = super::graphql::in_header(&request) {
        // The same address is another page in another time zone.
        let key = (access.token(), format!("{} {}", zone_of(&request).name(), request.uri()));
        let make = async {
            let (shown, rendered) = render(&request, &shared, &access).await;
            let html = Bytes::from(rendered.body);
            (rendered.status == 200).then(|| Shown { seq: shown, html })
        };
        let shown = shared.pages.at_least(key, seq, make).await;
        return match shown.filter(|_| access.is_still_valid()) {
            Some(Shown { html, .. }) => answer(StatusCode::OK).body(html),
            None => problem::unavailable("the page cannot be shown now: load it again"),
        };
    }
    let (_, rendered) = render(&request, &shared, &access).await;
    if !access.is_still_valid() {
        return see_other(&sign_in_href(&request));
    }
    html(rendered)
}

/// The page, and the log position it shows.
async fn render(request: &HttpRequest, shared: &Shared, access: &Access) -> (i64, Rendered) {
    let params = Params::parse(request.query_string());
    let caller = access.caller(shared.config.default_app.clone());
    let scope = caller.scope;
    let reader = Reader { signed_in: access.is_signed_in(), scope, zone: zone_of(request) };
    let Some(page) = console::page(request.path()) else {
        return (0, console::nowhere(request.path(), params, &reader));
    };
    shared.metrics.graphql_requests.fetch_add(1, Ordering::Relaxed);
    let mut variables = page.variables(&params);
    page.within(scope, &mut variables);
    let variables = async_graphql::Variables::from_json(serde_json::Value::Object(variables));
    let asked = async_graphql::Request::new(page.document).variables(variables);
    let mut answer = shared.console.execute(asked, caller.clone()).await;
    if console::must_choose(&answer) {
        answer["data"] =
            shared.console.execute(async_graphql::Request::new(console::APPS), caller).await["data"].take();
    } else {
        shared.console.meters().count_refusal(&answer);
    }
    let seq = answer["extensions"]["chatfold"]["seq"].as_str().and_then(|seq| seq.parse().ok());
    // Off the workers, which take deliveries meanwhile.
    let rendered = tokio::task::spawn_blocking(move || page.render(params, &reader, answer)).await;
    let rendered = rendered.unwrap_or_else(|error| {
        tracing::error!(%error, "a page panicked");
        Rendered::html(500, String::new())
    });
    (seq.unwrap_or_default(), rendered)
}

fn html(Rendered { status, kind, body, location, file }: Rendered) -> HttpResponse {
    if let Some(href) = location {
        return see_other(&href);
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = answer(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((RETRY_AFTER, "1"));
    }
    if let Some(name) = file {
        let disposition = format!("attachment; filename=\"{name}\"");
        answer.insert_header((CONTENT_TYPE, kind)).insert_header((CONTENT_DISPOSITION, disposition));
    }
    answer.body(body)
}

fn answer(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CONTENT_TYPE, HTML))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "same-origin"));
    answer
}

fn see_other(href: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, href)).insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// The style sheet, the script, the icon: the same for every reader, and part of the form that asks for a token.
pub(super) async fn asset(request: HttpRequest, name: web::Path<String>, shared: web::Data<Shared>) -> HttpResponse {
    either(access::of_page(&request, &shared).map(|()| own_file(&name)))
}

fn own_file(name: &str) -> HttpResponse {
    let (kind, text) = match name {
        "console.css" => ("text/css; charset=utf-8", console::STYLE),
        "console.js" => ("text/javascript; charset=utf-8", console::SCRIPT),
        "icon.svg" => ("image/svg+xml", console::ICON),
        _ => return problem::of(StatusCode::NOT_FOUND, "there is nothing at this path"),
    };
    HttpResponse::Ok().insert_header((CONTENT_TYPE, kind)).insert_header((CACHE_CONTROL, "no-cache")).body(text)
}

fn sign_in_href(request: &HttpRequest) -> String {
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    console::href("/sign-in", [("next", path)])
}

/// Where to go after signing in: a page of ours.
fn next(told: Option<&str>) -> &str {
    told.filter(|path| path.starts_with('/') && !path[1..].starts_with(['/', '\\']) && !path.contains(char::is_control))
        .unwrap_or("/")
}

/// The form that asks for a token.
pub(super) async fn sign_in_form(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let params = Params::parse(request.query_string());
    if access_of(&request, &shared).is_ok() {
        return see_other(next(params.get("next")));
    }
    if !shared.tokens.are_needed() {
        return either(access::of_reader(&request, &shared).map(|_| see_other("/")));
    }
    html(console::sign_in(params, &stranger(&request), false))
}

/// Takes a token, and begins a session in a cookie that script cannot read.
pub(super) async fn sign_in(
    request: HttpRequest,
    mut payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let response = either(signed_in(&request, &mut payload, &shared).await);
    body::closing(response, payload)
}

async fn signed_in(
    request: &HttpRequest,
    payload: &mut web::Payload,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    access::of_page(request, shared)?;
    access::own_origin(request, shared)?;
    let address = access::address(request, shared);
    let mut share = shared.graphql_budget.share(Some(Asker { token: None, address: Some(address) }.party()));
    let form = body::read(request.headers(), payload, FORM, &mut share).await?;
    let form = Params::parse(&String::from_utf8_lossy(&form));
    let token = form.get("token").unwrap_or_default().trim();
    let Some(token) = shared.tokens.check(token, address).and_then(|access| access.token()) else {
        return Ok(html(console::sign_in(form.with("token", None), &stranger(request), true)));
    };
    let name = shared.sessions.begin(token, clock::now()).map_err(|error| {
        tracing::error!(%error, "no session was begun");
        problem::unavailable("the server cannot begin a session now. Try again")
    })?;
    end_session(request, shared);
    let mut response = see_other(next(form.get("next")));
    set_cookie(&mut response, &cookie(request, shared, &name));
    Ok(response)
}

/// Ends the session.
pub(super) async fn sign_out(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let may = access::of_page(&request, &shared).and_then(|()| access::own_origin(&request, &shared));
    let response = either(may.map(|()| {
        end_session(&request, &shared);
        let mut gone = cookie(&request, &shared, "");
        gone.make_removal();
        let mut response = see_other("/sign-in");
        set_cookie(&mut response, &gone);
        response
    }));
    body::closing(response, payload)
}

fn end_session(request: &HttpRequest, shared: &Shared) {
    if let Some(cookie) = request.cookie(access::cookie_name(request, shared)) {
        shared.sessions.end(cookie.value());
    }
}

fn cookie<'a>(request: &HttpRequest, shared: &Shared, session: &'a str) -> Cookie<'a> {
    let name = access::cookie_name(request, shared);
    let secure = name == access::COOKIE_OVER_TLS;
    Cookie::build(name, session).path("/").http_only(true).same_site(SameSite::Strict).secure(secure).finish()
}

fn set_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(actix_web::http::header::SET_COOKIE, value);
    }
}

/// Tells an open page that there is news, at most once a second: it asks for itself again. Nothing else is sent, and
/// of an app that the reader may not see not even that.
pub(super) async fn live(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    either(follow(&request, &shared))
}

fn follow(request: &HttpRequest, shared: &web::Data<Shared>) -> Result<HttpResponse, HttpResponse> {
    let access = access_of(request, shared)?;
    let seat = Seat::take(shared, &access).map_err(Full::problem)?;
    let (sender, receiver) = mpsc::channel(1);
    if request.method() == Method::HEAD {
        drop(sender);
        return Ok(super::changes::stream(receiver));
    }
    let shared = shared.clone();
    actix_web::rt::spawn(async move {
        let _seat = seat;
        let (mut seq, mut stopping) = (shared.seq.clone(), shared.stopping.subscribe());
        let mut told = None;
        loop {
            // What is committed from here on is news.
            seq.mark_unchanged();
            let (since, caller) = (Instant::now(), access.caller(None));
            let newest = match caller.apps.clone() {
                None => Some(*shared.seq.borrow()),
                Some(apps) => shared.newest.of(apps, since, shared.console.newest(caller)).await,
            };
            if !access.is_still_valid() {
                return;
            }
            if newest != told {
                let seq = newest.unwrap_or_default();
                if !send(&sender, format!("id: {seq}\ndata: {seq}\n\n")).await {
                    return;
                }
                told = newest;
            }
            // All open pages hear at once, so that one answer serves them.
            let since = shared.started.elapsed().as_micros();
            let seconds = (since / NEWS.as_micros() + 1) as u32;
            tokio::time::sleep_until((shared.started + NEWS * seconds).into()).await;
            loop {
                let news = async {
                    tokio::select! {
                        committed = seq.changed() => committed.is_ok(),
                        _ = stopping.wait_for(|is_stopping| *is_stopping) => false,
                    }
                };
                match tokio::time::timeout(KEEP_ALIVE / 5, news).await {
                    _ if !access.is_still_valid() => return,
                    Ok(true) => break,
                    Ok(false) => return,
                    Err(_) if send(&sender, ": still here\n\n".to_owned()).await => {}
                    Err(_) => return,
                }
            }
        }
    });
    Ok(super::changes::stream(receiver))
}

#[cfg(test)]
mod tests {
    use super::{RETRY_AFTER, Rendered, html, next};

    #[test]
    fn a_page_that_cannot_be_shown_now_says_when_to_ask_again() {
        for (status, is_told) in [(503, true), (200, false), (404, false)] {
            let answer = html(Rendered::html(status, String::new()));
            assert_eq!(answer.headers().contains_key(RETRY_AFTER), is_told, "{status}");
        }
    }

    #[test]
    fn one_is_sent_on_to_our_own_pages_only() {
        assert_eq!(next(Some("/group?guid=g")), "/group?guid=g");
        for elsewhere in [
            None,
            Some(""),
            Some("//evil.example"),
            Some("/\\evil.example"),
            Some("https://evil.example"),
            Some("/a\r\nb"),
        ] {
            assert_eq!(next(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
