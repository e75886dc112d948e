//! The address to listen on, as people write addresses.

use serde::{Deserialize, Deserializer};
use std::net::{Ipv4Addr, SocketAddr};

/// Reads an IP address and a port. `localhost`, and a port alone (`8080`, `:8080`), mean 127.0.0.1.
pub(super) fn parse(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost").unwrap_or(text);
    let port = port.strip_prefix(':').or((port == text).then_some(port)).and_then(|port| port.parse::<u16>().ok());
    port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "expected an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080".into())
}

/// The same from the configuration file.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse(&text)).transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_and_localhost_are_loopback() {
        for text in ["8080", ":8080", "localhost:8080", "127.0.0.1:8080"] {
            assert_eq!(parse(text), Ok(SocketAddr::from(([127, 0, 0, 1], 8080))), "{text}");
        }
        assert_eq!(parse("0.0.0.0:80").map(|it| it.to_string()), Ok("0.0.0.0:80".to_owned()));
        assert_eq!(parse("[::1]:80").map(|it| it.to_string()), Ok("[::1]:80".to_owned()));
        for wrong in ["", ":", "localhost", "localhost8080", "example.com:80", "127.0.0.1", "70000", "::8080:"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
