//! Who may ask. With tokens in the file: whoever has one, from anywhere. Where no secret is asked for: this machine
//! only, and nothing that came through a proxy or a web page.
//!
//! A proxy or tunnel in front makes loopback the internet, and a page in the operator's browser can reach loopback too
//! (by a name that resolves to it, or by a form), so the address alone proves nothing.

use super::tokens::Access;
use super::{Shared, problem};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse};

const MAX_HEADER: usize = 512;
const NO_TOKENS: &str = "`chatfold token create` makes one, and then asks everybody for it";

/// What whoever reads may see, or the refusal.
pub(super) fn of_reader(request: &HttpRequest, shared: &Shared) -> Result<Access, HttpResponse> {
    if !shared.tokens.are_needed() {
        local_only(request, shared.config.on_loopback(), NO_TOKENS)?;
        return Ok(shared.tokens.local());
    }
    bearer(request.headers()).and_then(|token| shared.tokens.check(token)).ok_or_else(unauthorized)
}

/// For pages that hold no data: with tokens in the file whoever comes, for that is where a token is typed.
pub(super) fn of_page(request: &HttpRequest, shared: &Shared) -> Result<(), HttpResponse> {
    match shared.tokens.are_needed() {
        true => Ok(()),
        false => local_only(request, shared.config.on_loopback(), NO_TOKENS),
    }
}

/// The same for every cause.
pub(super) fn unauthorized() -> HttpResponse {
    let status = StatusCode::UNAUTHORIZED;
    problem::builder(status)
        .insert_header((WWW_AUTHENTICATE, "Bearer realm=\"chatfold\""))
        .body(problem::text(status, "a valid access token is needed: Authorization: Bearer …"))
}

/// The token of exactly one short `Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION);
    let (value, more) = (all.next()?.to_str().ok()?, all.next());
    if more.is_some() || value.len() > MAX_HEADER {
        return None;
    }
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("bearer ").then_some(token)
}

/// The rule for routes that ask for no secret. `missing` names the secret that would open them.
pub(super) fn local_only(request: &HttpRequest, on_loopback: bool, missing: &str) -> Result<(), HttpResponse> {
    let refuse = |why: &str| Err(problem::of(StatusCode::FORBIDDEN, &format!("{why}; {missing}")));
    if !on_loopback {
        return refuse("this server listens beyond loopback, so that this route needs a secret");
    }
    if let Some(header) = forwarded(request.headers()) {
        return refuse(&format!(
            "the request carries {header}, so it came through a proxy, and without a secret this route answers local requests only"
        ));
    }
    if !host_is_local(request) {
        return refuse("without a secret this route answers to the Host localhost, 127.0.0.1 or [::1] only");
    }
    if !origin_is_local(request.headers()) {
        return refuse("without a secret this route answers no web page of another origin");
    }
    Ok(())
}

/// The name of a header that only proxies add.
fn forwarded(headers: &HeaderMap) -> Option<&'static str> {
    headers.keys().find_map(|name| match name.as_str() {
        "forwarded" => Some("Forwarded"),
        "via" => Some("Via"),
        name if name.starts_with("x-forwarded") => Some("X-Forwarded-*"),
        _ => None,
    })
}

pub(super) fn host_is_local(request: &HttpRequest) -> bool {
    // A request line with a whole URL names a host too.
    let in_line = request.uri().authority().is_none_or(|authority| is_local(authority.as_str()));
    let mut hosts = request.headers().get_all(HOST);
    let (host, more) = (hosts.next(), hosts.next());
    in_line && more.is_none() && host.and_then(|it| it.to_str().ok()).is_some_and(is_local)
}

/// For forms: what a browser says of where it comes from is where it goes to.
pub(super) fn own_origin(request: &HttpRequest) -> Result<(), HttpResponse> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = |origin: &actix_web::http::header::HeaderValue| {
        let from = origin.to_str().ok().and_then(|it| it.split_once("://")).map(|(_, host)| host);
        from.is_some_and(|from| from.eq_ignore_ascii_case(host))
    };
    match request.headers().get_all(ORIGIN).all(own) {
        true => Ok(()),
        false => Err(problem::of(StatusCode::FORBIDDEN, "the form was sent by a page of another origin")),
    }
}

fn origin_is_local(headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).all(|origin| {
        let host = origin.to_str().ok().and_then(|it| it.split_once("://")).map(|(_, host)| host);
        host.is_some_and(is_local)
    })
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.rfind(':').filter(|colon| !host[*colon..].contains(']')) {
        Some(colon) => (&host[..colon], &host[colon + 1..]),
        None => (host, ""),
    };
    let named = name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]";
    named && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn one_bearer_header_and_nothing_else_is_a_token() {
        let of = |values: &[&str]| {
            let request =
                values.iter().fold(TestRequest::post(), |it, value| it.append_header((AUTHORIZATION, *value)));
            bearer(request.to_http_request().headers()).map(str::to_owned)
        };
        assert_eq!(of(&["Bearer cf_x"]), Some("cf_x".into()));
        assert_eq!(of(&["bEARER cf_x"]), Some("cf_x".into()));
        let long = format!("Bearer {}", "x".repeat(MAX_HEADER));
        for values in [&[][..], &["Bearer"], &["Basic cf_x"], &["cf_x"], &["Bearer a", "Bearer a"], &[&long]] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }

    #[test]
    fn local_names_with_any_port() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]", "[::1]:80"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.evil.com",
            "evil.com:80",
            "127.0.0.1.nip.io",
            "::1",
            "[::1].x",
            "localhost:x",
            "user@localhost",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn the_rule() {
        let allowed = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::post(), |request, header| request.append_header(*header));
            local_only(&request.to_http_request(), true, "configure it").is_ok()
        };
        assert!(allowed(&[("Host", "localhost:80")]));
        assert!(allowed(&[("Host", "localhost:80"), ("Origin", "http://[::1]:3000")]));
        assert!(!allowed(&[]), "no Host");
        assert!(!allowed(&[("Host", "localhost"), ("Host", "localhost")]), "two Hosts");
        assert!(!allowed(&[("Host", "evil.example")]));
        for header in ["Forwarded", "Via", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything"] {
            assert!(!allowed(&[("Host", "localhost"), (header, "x")]), "{header}");
        }
        for origin in ["null", "https://evil.example", "http://localhost.evil.example", ""] {
            assert!(!allowed(&[("Host", "localhost"), ("Origin", origin)]), "{origin}");
        }
        let request = TestRequest::post().uri("http://evil.example/graphql").append_header(("Host", "localhost"));
        assert!(local_only(&request.to_http_request(), true, "").is_err(), "a whole URL in the request line");
        let request = TestRequest::post().append_header(("Host", "localhost")).to_http_request();
        assert!(local_only(&request, false, "").is_err(), "not on loopback");
    }
}
