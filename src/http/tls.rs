//! The server's own TLS: 1.2 and 1.3, HTTP/1.1 only. The certificate is read again while the server runs.

use crate::clock;
use crate::config::TlsFiles;
use crate::ids::Time;
use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode;

/// A certificate that ends within this time is told of.
const SOON_MS: i64 = 14 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A certificate with its key.
#[derive(Debug)]
struct Pair {
    served: Arc<CertifiedKey>,
    /// When the certificate ends. `None` if this cannot be read.
    ends: Option<Time>,
}

/// What is served, what was read last, and what was told of it.
pub(super) struct Tls {
    files: TlsFiles,
    served: Arc<Served>,
    acceptor: TlsAcceptor,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Served(RwLock<Arc<Pair>>);

#[derive(Default)]
struct Told {
    bytes: (Vec<u8>, Vec<u8>),
    problem: Option<String>,
    end_at: Time,
}

impl Pair {
    fn parse(files: &TlsFiles, certificate: &[u8], key: &[u8]) -> anyhow::Result<Self> {
        let name = |path: &Path| path.display().to_string();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .with_context(|| format!("tls_certificate {} is no PEM file", name(&files.certificate)))?;
        let Some(own) = chain.first() else {
            bail!("tls_certificate {} holds no certificate in PEM", name(&files.certificate));
        };
        let ends = end_of(own);
        let key = PrivateKeyDer::from_pem_slice(key)
            .with_context(|| format!("tls_key {} holds no key in PEM", name(&files.key)))?;
        let served = CertifiedKey::from_der(chain, key, &default_provider()).with_context(|| {
            format!("tls_key {} does not fit tls_certificate {}", name(&files.key), name(&files.certificate))
        })?;
        Ok(Self { served: Arc::new(served), ends })
    }
}

fn bytes(files: &TlsFiles) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let read =
        |what: &str, path: &Path| std::fs::read(path).with_context(|| format!("reading {what} {}", path.display()));
    Ok((read("tls_certificate", &files.certificate)?, read("tls_key", &files.key)?))
}

/// When the certificate of these files ends; `None` if that cannot be read. Fails if the pair cannot be served.
pub fn certificate_end(files: &TlsFiles) -> anyhow::Result<Option<Time>> {
    let (certificate, key) = bytes(files)?;
    Ok(Pair::parse(files, &certificate, &key)?.ends)
}

/// The end of its validity.
fn end_of(certificate: &CertificateDer<'_>) -> Option<Time> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = parsed.tbs_certificate().validity().not_after.to_unix_duration();
    Some(Time(i64::try_from(end.as_millis()).ok()?))
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now().served))
    }
}

impl Served {
    fn now(&self) -> Arc<Pair> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tls {
    /// Reads the files for the first time.
    pub(super) fn open(files: &TlsFiles) -> anyhow::Result<Self> {
        let bytes = bytes(files)?;
        let pair = Pair::parse(files, &bytes.0, &bytes.1)?;
        let served = Arc::new(Served(RwLock::new(Arc::new(pair))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let told = Mutex::new(Told { bytes, ..Told::default() });
        let tls = Self { files: files.clone(), served, acceptor: TlsAcceptor::from(Arc::new(config)), told };
        tls.tell_the_end();
        Ok(tls)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// When the certificate ends that is served now.
    pub(super) fn ends(&self) -> Option<Time> {
        self.served.now().ends
    }

    /// Reads the files again, and serves what they hold if they have changed. A pair that cannot be served changes
    /// nothing. The log tells each problem once.
    pub(super) fn reload(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let read = bytes(&self.files).and_then(|new| match new == told.bytes {
            true => Ok(None),
            false => Pair::parse(&self.files, &new.0, &new.1).map(|pair| Some((new, pair))),
        });
        match read {
            Ok(None) => told.problem = None,
            Ok(Some((new, pair))) => {
                tracing::info!(ends = pair.ends.map(Time::rfc3339), "serving the new certificate");
                *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                *told = Told { bytes: new, ..Told::default() };
            }
            Err(error) => {
                let problem = format!("{error:#}");
                if told.problem.as_ref() != Some(&problem) {
                    tracing::error!("the new certificate is not used, the old one stays: {problem}");
                }
                told.problem = Some(problem);
            }
        }
        drop(told);
        self.tell_the_end();
    }

    /// Warns once a day if the certificate ends soon.
    fn tell_the_end(&self) {
        let (Some(ends), now) = (self.ends(), clock::now()) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.0 - now.0 > SOON_MS || now.0 - told.end_at.0 < DAY_MS {
            return;
        }
        told.end_at = now;
        match ends < now {
            true => tracing::error!("the certificate ended at {}: clients refuse to connect", ends.rfc3339()),
            false => tracing::warn!("the certificate ends at {}", ends.rfc3339()),
        }
    }
}
