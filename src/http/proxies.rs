//! What a trusted proxy tells of its client: `Forwarded` (RFC 7239) and `X-Forwarded-For`, `-Proto`, `-Host`.
//!
//! A proxy sets one of the two kinds, and passes on what a client sends of the other. So if both are there, they count
//! only where they say the same. What any other peer sends counts never.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderMap};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED: &str = "forwarded";
const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const X_HOST: &str = "x-forwarded-host";

/// Whether an address is in the list.
pub(super) fn trusts(trusted: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The address of the client: the last one on the way that is no trusted proxy.
pub(super) fn client(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !trusts(trusted, peer) {
        return Some(peer);
    }
    let headers = request.headers();
    let last = |hops: Vec<String>| {
        let mut client = peer;
        for hop in hops.iter().rev() {
            let Some(address) = address(hop) else { break };
            client = address;
            if !trusts(trusted, address) {
                break;
            }
        }
        client
    };
    let forwarded = headers.contains_key(FORWARDED).then(|| last(told(headers, "for")));
    let by_x = headers.contains_key(FOR).then(|| last(listed(headers, FOR)));
    Some(agreed(forwarded, by_x).unwrap_or(peer))
}

/// Whether the client of a trusted proxy speaks TLS with it. `None` if no trusted proxy tells it.
pub(super) fn over_tls(request: &HttpRequest, trusted: &[IpNet]) -> Option<bool> {
    let proto = of_trusted(request, trusted, "proto", PROTO)?;
    Some(proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss"))
}

/// Host and port that the client asked for: the header `Host`, unless a trusted proxy tells another.
pub(super) fn host(request: &HttpRequest, trusted: &[IpNet]) -> String {
    of_trusted(request, trusted, "host", X_HOST).unwrap_or_else(|| {
        request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned()
    })
}

/// What the nearest proxy tells, if it is trusted.
fn of_trusted(request: &HttpRequest, trusted: &[IpNet], key: &str, name: &str) -> Option<String> {
    if !request.peer_addr().is_some_and(|peer| trusts(trusted, peer.ip())) {
        return None;
    }
    let headers = request.headers();
    agreed(told(headers, key).pop(), listed(headers, name).pop())
}

/// The one that is there, or what both say.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => (one == other).then_some(one),
        (one, other) => one.or(other),
    }
}

/// The values of a list, which may stand in several headers.
fn listed(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).collect()
}

/// One key of every hop of `Forwarded`. A hop without this key is an empty text.
fn told(headers: &HeaderMap, key: &str) -> Vec<String> {
    let values = headers.get_all(FORWARDED).filter_map(|value| value.to_str().ok());
    let hops = values.flat_map(|value| split(value, ','));
    hops.map(|hop| {
        let mut pairs = split(&hop, ';').into_iter().filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"').to_owned())
        });
        pairs.next_back().unwrap_or_default()
    })
    .filter(|value| key == "for" || !value.is_empty())
    .collect()
}

/// Splits outside of quotes.
fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut is_quoted) = (vec![String::new()], false);
    for letter in text.chars() {
        is_quoted ^= letter == '"';
        match parts.last_mut() {
            Some(part) if is_quoted || letter != at => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let address = bare().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const PROXY: &str = "10.0.0.7:4000";

    fn request(peer: &str, headers: &[(&'static str, &'static str)]) -> HttpRequest {
        let request = TestRequest::get().peer_addr(peer.parse().unwrap());
        headers.iter().fold(request, |request, header| request.append_header(*header)).to_http_request()
    }

    fn trusted() -> Vec<IpNet> {
        ["10.0.0.0/8", "127.0.0.1/32"].iter().map(|it| it.parse().unwrap()).collect()
    }

    #[track_caller]
    fn is_client(peer: &str, headers: &[(&'static str, &'static str)], expected: &str) {
        let client = client(&request(peer, headers), &trusted()).unwrap();
        assert_eq!(client.to_string(), expected, "{peer} {headers:?}");
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_trusted() {
        for header in ["203.0.113.9", "1.1.1.1, 203.0.113.9", "1.1.1.1, 203.0.113.9, 10.3.3.3", "203.0.113.9:4711"] {
            is_client(PROXY, &[("x-forwarded-for", header)], "203.0.113.9");
        }
        is_client(PROXY, &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
        is_client(PROXY, &[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1");
        is_client(PROXY, &[("x-forwarded-for", "10.1.1.1, 10.2.2.2")], "10.1.1.1");
        is_client(PROXY, &[("x-forwarded-for", "203.0.113.9, nonsense, 10.2.2.2")], "10.2.2.2");
        is_client(PROXY, &[("x-forwarded-for", "")], "10.0.0.7");
        is_client(PROXY, &[], "10.0.0.7");
        is_client("[::ffff:10.0.0.7]:1", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
    }

    #[test]
    fn forwarded_is_read_with_quotes_and_ports() {
        for header in [
            "for=203.0.113.9",
            "For=\"203.0.113.9:80\";proto=https;by=10.0.0.7",
            "for=1.1.1.1, proto=http;for=203.0.113.9",
            "for=\"1.1.1.1, 2.2.2.2\", for=203.0.113.9;host=\"a;b\"",
        ] {
            is_client(PROXY, &[("forwarded", header)], "203.0.113.9");
        }
        is_client(PROXY, &[("forwarded", "for=\"[2001:db8::1]:80\"")], "2001:db8::1");
        is_client(PROXY, &[("forwarded", "for=unknown")], "10.0.0.7");
        is_client(PROXY, &[("forwarded", "for=203.0.113.9, for=_hidden")], "10.0.0.7");
    }

    #[test]
    fn headers_of_who_is_not_trusted_count_never() {
        let headers = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("host", "own.example"),
        ];
        is_client("192.0.2.1:1", &headers, "192.0.2.1");
        let request = request("192.0.2.1:1", &headers);
        assert_eq!((over_tls(&request, &trusted()), &host(&request, &trusted())[..]), (None, "own.example"));
    }

    #[test]
    fn where_the_two_kinds_differ_neither_counts() {
        let both = |by_x, forwarded| [("x-forwarded-for", by_x), ("forwarded", forwarded)];
        is_client(PROXY, &both("203.0.113.9", "for=198.51.100.1"), "10.0.0.7");
        is_client(PROXY, &both("203.0.113.9", "for=\"203.0.113.9:1\""), "203.0.113.9");
        let request = request(
            PROXY,
            &[("forwarded", "proto=http;host=evil.example"), ("x-forwarded-proto", "https"), ("host", "own.example")],
        );
        assert_eq!(over_tls(&request, &trusted()), None);
        assert_eq!(host(&request, &trusted()), "evil.example", "only one kind tells a host");
    }

    #[test]
    fn scheme_and_host_are_those_that_the_nearest_proxy_tells() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let request = request(PROXY, headers);
            (over_tls(&request, &trusted()), host(&request, &trusted()))
        };
        assert_eq!(of(&[("host", "h")]), (None, "h".into()));
        assert_eq!(of(&[("host", "h"), ("x-forwarded-proto", "http, HTTPS")]), (Some(true), "h".into()));
        assert_eq!(of(&[("x-forwarded-proto", "http"), ("x-forwarded-host", "a, b:8")]), (Some(false), "b:8".into()));
        assert_eq!(of(&[("forwarded", "for=1.1.1.1;proto=https;host=\"c:8\"")]), (Some(true), "c:8".into()));
    }
}
