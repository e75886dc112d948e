//! Who may read.
//!
//! With a token in the file, or with webhook credentials configured, every reader needs a token, on this machine too.
//! Without either, readers on this machine are answered, and nobody else is. A loopback address alone proves nothing: a
//! proxy or a tunnel on this machine makes loopback the internet, and a web page in the browser of somebody here reaches
//! loopback too. So a request that shows a sign of either is refused.

use super::tokens::Access;
use super::{Shared, connections, problem, proxies};
use crate::clock;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse};
use std::net::IpAddr;

const MAX_HEADER: usize = 512;
const COOKIE: &str = "chatfold_session";
/// A browser takes a cookie of this name from the host itself only, and over TLS only.
pub(super) const COOKIE_OVER_TLS: &str = "__Host-chatfold_session";
const MAKE_A_TOKEN: &str = "`chatfold token create` makes a token, and then every reader needs one";

/// What a reader may see, or the refusal.
pub(super) fn of_reader(request: &HttpRequest, shared: &Shared) -> Result<Access, HttpResponse> {
    let address = address(request, shared);
    if !shared.tokens.are_needed() {
        local_only(request, MAKE_A_TOKEN)?;
        return Ok(shared.tokens.local(address));
    }
    bearer(request.headers()).and_then(|token| shared.tokens.check(token, address)).ok_or_else(unauthorized)
}

/// What a request to `/graphql` may see. A token decides, where the request brings one. Otherwise the session of the console
/// counts for pages of our own: a browser tells the origin of a page in `Origin`, and no page can change that header.
pub(super) fn of_asker(request: &HttpRequest, shared: &Shared) -> Result<Access, HttpResponse> {
    let headers = request.headers();
    let by_page =
        !headers.contains_key(AUTHORIZATION) && headers.contains_key(ORIGIN) && own_origin(request, shared).is_ok();
    let signed_in = if by_page && shared.tokens.are_needed() { of_session(request, shared) } else { None };
    signed_in.map_or_else(|| of_reader(request, shared), Ok)
}

/// What the session in the cookie opens.
pub(super) fn of_session(request: &HttpRequest, shared: &Shared) -> Option<Access> {
    let cookie = request.cookie(cookie_name(request, shared))?;
    shared.tokens.of_session(shared.sessions.find(cookie.value(), clock::now())?, address(request, shared))
}

/// The client: its address, or for IPv6 its network. A trusted proxy tells it.
pub(super) fn address(request: &HttpRequest, shared: &Shared) -> IpAddr {
    connections::network(proxies::client(request, &shared.config.trusted_proxies))
}

/// Whether the client is known to speak TLS, with this server or with a trusted proxy.
fn over_tls(request: &HttpRequest, shared: &Shared) -> bool {
    proxies::over_tls(request, &shared.config.trusted_proxies).unwrap_or(shared.tls.is_some())
}

/// Beyond this machine a session goes over TLS only. Here any proxy that tells of TLS is believed: the cookie is then
/// bound more tightly, never less.
pub(super) fn cookie_name(request: &HttpRequest, shared: &Shared) -> &'static str {
    let proto = request.headers().get("x-forwarded-proto");
    let is_told = proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    if is_told || over_tls(request, shared) || !host_is_local(request) { COOKIE_OVER_TLS } else { COOKIE }
}

/// For pages that hold no data. If a token is needed, everybody gets these pages, because people type the token there.
pub(super) fn of_page(request: &HttpRequest, shared: &Shared) -> Result<(), HttpResponse> {
    match shared.tokens.are_needed() {
        true => Ok(()),
        false => local_only(request, MAKE_A_TOKEN),
    }
}

/// The answer is the same for every cause.
pub(super) fn unauthorized() -> HttpResponse {
    let status = StatusCode::UNAUTHORIZED;
    let detail = "a valid access token is needed (Authorization: Bearer …); `chatfold token create` makes one";
    problem::builder(status)
        .insert_header((WWW_AUTHENTICATE, "Bearer realm=\"chatfold\""))
        .body(problem::text(status, detail))
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

/// The rule for routes that ask for no secret. `way_out` tells the reader how to set one.
pub(super) fn local_only(request: &HttpRequest, way_out: &str) -> Result<(), HttpResponse> {
    match sign_of_elsewhere(request) {
        None => Ok(()),
        Some(why) => Err(problem::of(StatusCode::FORBIDDEN, &format!("{why}; {way_out}"))),
    }
}

/// Why a request may come from another machine or another site. `None`: it comes from this machine.
fn sign_of_elsewhere(request: &HttpRequest) -> Option<String> {
    let headers = request.headers();
    if !request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        return Some("without a secret, this route answers only requests from this machine".into());
    }
    if let Some(header) = added_by_a_proxy(headers) {
        return Some(format!(
            "the request has the header {header}, so it came through a proxy; without a secret, this route answers only local requests"
        ));
    }
    // nginx speaks HTTP/1.0 to its upstream and adds no header, unless it is told otherwise.
    if request.version() < Version::HTTP_11 {
        return Some(
            "without a secret, this route answers only HTTP/1.1 and newer, because some proxies use older versions"
                .into(),
        );
    }
    if !host_is_local(request) {
        return Some("without a secret, this route answers only to the Host localhost, 127.0.0.1 or [::1]".into());
    }
    if !headers.get_all(ORIGIN).all(|origin| host_of(origin).is_some_and(is_local)) {
        return Some("without a secret, this route answers no web page of another origin".into());
    }
    is_asked_by_another_site(headers)
        .then(|| "without a secret, this route answers no request that a browser makes for another site".into())
}

/// A header that proxies add and clients do not.
fn added_by_a_proxy(headers: &HeaderMap) -> Option<&str> {
    const NAMES: [&str; 5] = ["via", "cdn-loop", "x-remote-addr", "x-scheme", "x-nginx-proxy"];
    const STARTS: [&str; 7] = ["x-original-", "x-envoy-", "x-amzn-", "x-azure-", "x-appengine-", "cf-", "tailscale-"];
    headers.keys().map(|name| name.as_str()).find(|name| {
        // X-Real-IP, X-Client-IP, True-Client-IP, Fastly-Client-IP and others.
        let tells_an_address = name.ends_with("-ip");
        // Forwarded, X-Forwarded-For, Fly-Forwarded-Proto, X-Vercel-Forwarded-For and others.
        let tells_of_forwarding = name.contains("forward");
        let is_known = NAMES.contains(name) || STARTS.iter().any(|start| name.starts_with(start));
        tells_an_address || tells_of_forwarding || is_known
    })
}

/// Whether a browser asks on behalf of a page of another site or port: for an image, a frame, a script. A link that is
/// followed is no such request, because only the reader sees the answer.
fn is_asked_by_another_site(headers: &HeaderMap) -> bool {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let follows_a_link = (told("sec-fetch-mode"), told("sec-fetch-dest")) == (Some("navigate"), Some("document"));
    match told("sec-fetch-site") {
        None | Some("same-origin" | "none") => false,
        // Another port of this machine. The rule for `Origin` decides about requests by script.
        Some("same-site") if headers.contains_key(ORIGIN) => false,
        Some(_) => !follows_a_link,
    }
}

/// Whether every host that the request names is this machine.
pub(super) fn host_is_local(request: &HttpRequest) -> bool {
    // A request line with a whole URL names a host too.
    let in_line = request.uri().authority().is_none_or(|authority| is_local(authority.as_str()));
    let mut hosts = request.headers().get_all(HOST);
    let (host, more) = (hosts.next(), hosts.next());
    in_line && more.is_none() && host.and_then(|it| it.to_str().ok()).is_some_and(is_local)
}

/// For forms: a browser sends the origin of the page with the form, which must be ours. Over TLS a page that came without
/// TLS is not ours: somebody on the way may have changed it.
pub(super) fn own_origin(request: &HttpRequest, shared: &Shared) -> Result<(), HttpResponse> {
    let host = proxies::host(request, &shared.config.trusted_proxies);
    let over_tls = over_tls(request, shared);
    let own = |origin: &HeaderValue| {
        let is_safe = !over_tls || origin.as_bytes().starts_with(b"https://");
        is_safe && host_of(origin).is_some_and(|from| from.eq_ignore_ascii_case(&host))
    };
    match request.headers().get_all(ORIGIN).all(own) {
        true => Ok(()),
        false => Err(problem::of(StatusCode::FORBIDDEN, "the form was sent by a page of another origin")),
    }
}

/// Host and port of an origin.
fn host_of(origin: &HeaderValue) -> Option<&str> {
    origin.to_str().ok()?.split_once("://").map(|(_, host)| host)
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

    const PEER: &str = "127.0.0.1:50000";

    fn allowed_from(peer: &str, version: Version, headers: &[(&'static str, &'static str)]) -> bool {
        let request = TestRequest::post().peer_addr(peer.parse().unwrap()).version(version);
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        local_only(&request.to_http_request(), "configure it").is_ok()
    }

    #[test]
    fn the_rule() {
        let allowed = |headers: &[(&'static str, &'static str)]| allowed_from(PEER, Version::HTTP_11, headers);
        assert!(allowed(&[("Host", "localhost:80")]));
        assert!(allowed(&[("Host", "localhost:80"), ("Origin", "http://[::1]:3000")]));
        assert!(!allowed(&[]), "no Host");
        assert!(!allowed(&[("Host", "localhost"), ("Host", "localhost")]), "two Hosts");
        assert!(!allowed(&[("Host", "evil.example")]));
        for header in ["Forwarded", "Via", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything", "X-Real-IP"]
        {
            assert!(!allowed(&[("Host", "localhost"), (header, "x")]), "{header}");
        }
        for origin in ["null", "https://evil.example", "http://localhost.evil.example", ""] {
            assert!(!allowed(&[("Host", "localhost"), ("Origin", origin)]), "{origin}");
        }
        let request = TestRequest::post().uri("http://evil.example/graphql").append_header(("Host", "localhost"));
        let request = request.peer_addr(PEER.parse().unwrap());
        assert!(local_only(&request.to_http_request(), "").is_err(), "a whole URL in the request line");
    }

    #[test]
    fn only_peers_of_this_machine_that_speak_http_1_1_are_local() {
        let allowed = |peer, version| allowed_from(peer, version, &[("Host", "localhost")]);
        for peer in ["127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(allowed(peer, Version::HTTP_11) && allowed(peer, Version::HTTP_2), "{peer}");
            assert!(!allowed(peer, Version::HTTP_10) && !allowed(peer, Version::HTTP_09), "{peer}");
        }
        for peer in ["192.168.1.5:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1", "0.0.0.0:1"] {
            assert!(!allowed(peer, Version::HTTP_11), "{peer}");
        }
    }
}
