//! Settings of the way to the clients: TLS, and the proxies that are believed.

use super::ConfigError;
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;

/// Most entries of the list: every request of a proxy is compared with all.
const MOST_PROXIES: usize = 256;

/// The files of the server's own TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate of the server, then those between it and the root.
    pub certificate: PathBuf,
    /// PEM: the key of the certificate.
    pub key: PathBuf,
}

impl TlsFiles {
    pub(super) fn both(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Self>, ConfigError> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(ConfigError("tls_certificate is set, but tls_key is not: TLS needs both".into())),
            (None, Some(_)) => Err(ConfigError("tls_key is set, but tls_certificate is not: TLS needs both".into())),
        }
    }
}

/// Addresses, and networks such as `10.0.0.0/8`.
pub(super) fn proxies(list: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    if list.len() > MOST_PROXIES {
        return Err(ConfigError(format!(
            "trusted_proxies has {} entries, but may have at most {MOST_PROXIES}",
            list.len()
        )));
    }
    let network = |text: &String| {
        let address = || text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical())).ok();
        text.parse::<IpNet>().ok().or_else(address).ok_or_else(|| {
            ConfigError(format!(
                "trusted_proxies: {text:?} is neither an IP address nor a network, such as 10.0.0.7 or 10.0.0.0/8"
            ))
        })
    };
    list.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_read_and_nothing_else() {
        let of = |list: &[&str]| proxies(&list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        let read = of(&["127.0.0.1", "10.0.0.0/8", "::ffff:192.0.2.1", "2001:db8::/32"]).unwrap();
        let contains = |ip: &str| read.iter().any(|network| network.contains(&ip.parse::<IpAddr>().unwrap()));
        assert!(["127.0.0.1", "10.1.2.3", "192.0.2.1", "2001:db8::1"].into_iter().all(contains));
        assert!(!["127.0.0.2", "11.0.0.1", "2001:db9::1"].into_iter().any(contains));
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "*", "10.0.0.1:80", "10.0.0"] {
            let error = of(&[wrong]).unwrap_err();
            assert!(error.0.contains("trusted_proxies") && error.0.contains(&format!("{wrong:?}")), "{error}");
        }
        assert!(of(&["10.0.0.1"; 257]).is_err());
    }

    #[test]
    fn half_a_pair_is_refused() {
        let path = || Some(PathBuf::from("x"));
        assert!(TlsFiles::both(path(), None).unwrap_err().0.contains("tls_key is not"));
        assert!(TlsFiles::both(None, path()).unwrap_err().0.contains("tls_certificate is not"));
        assert!(TlsFiles::both(path(), path()).unwrap().is_some() && TlsFiles::both(None, None).unwrap().is_none());
    }
}
