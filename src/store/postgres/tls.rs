//! TLS to PostgreSQL, by rustls.
//!
//! `sslmode=disable`: none. `prefer` (the default): TLS where the server has it. `require`: never without. Both take
//! any certificate, as PostgreSQL's own programs do. `verify-full`: the certificate must be signed by `sslrootcert`, and
//! name the host.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How a connection is encrypted.
#[derive(Clone)]
pub struct Tls(pub MakeRustlsConnect);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[tls]")
    }
}

/// Reads `sslmode` and `sslrootcert` of an address.
pub(super) fn of(mode: Option<&str>, root: Option<&Path>) -> Result<(SslMode, Tls), String> {
    let ssl_mode = match mode.unwrap_or("prefer") {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" | "verify-full" => SslMode::Require,
        _ => return Err("sslmode: expected disable, prefer, require or verify-full".to_owned()),
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match (mode, root) {
        (Some("verify-full"), Some(root)) => builder.with_root_certificates(roots(root)?),
        (Some("verify-full"), None) => {
            return Err("sslmode=verify-full needs sslrootcert, a file with the root certificate".to_owned());
        }
        (_, Some(_)) => return Err("sslrootcert is used by sslmode=verify-full alone".to_owned()),
        (_, None) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    };
    Ok((ssl_mode, Tls(MakeRustlsConnect::new(config.with_no_client_auth()))))
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("sslrootcert {}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"it holds no certificate"));
    }
    Ok(roots)
}

/// What the operator has to do about an error of a handshake. The error itself says only what is wrong.
pub(super) fn advice(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let Some(Error::InvalidCertificate(problem)) = inner.and_then(|inner| inner.downcast_ref()) else {
        return (error.to_string() == "server does not support TLS")
            .then_some("Write `ssl = on` into postgresql.conf, or sslmode=disable into the address of the log");
    };
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Some("sslrootcert has to hold the certificate of the authority that signed the server's certificate")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some("The address of the log has to name the host as the subjectAltName of the server's certificate does")
        }
        // rustls gives this one no name of its own.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => Some(
            "The server uses the certificate of an authority: sign a certificate for the server with basicConstraints=CA:FALSE",
        ),
        _ => None,
    }
}

/// Takes any certificate: the connection is encrypted, and nothing says with whom.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
