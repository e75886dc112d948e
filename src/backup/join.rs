//! A copy of a running node, which becomes the file of a new node.

use super::part::Part;
use super::restore::{check, may_replace, put};
use super::{BackupError, Progress};
use crate::config::Source;
use crate::lock::Lock;
use crate::store::StoreError;
use crate::store::sqlite::shared_log::{self, Joined};
use crate::store::sqlite::{self, copy};
use rustls::CertificateError;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

const CONNECT: Duration = Duration::from_secs(10);
/// Bytes that are written at once.
const CHUNK: usize = 256 << 10;
/// Characters of an error page that are told.
const TOLD: u64 = 2_000;

/// What is in place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub joined: Joined,
    /// The edition of the fold that made its tables.
    pub fold_version: i64,
    /// Where the files are kept that were in place before.
    pub kept: Vec<PathBuf>,
}

/// Why no copy is in place. What was in place before still is.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{url}: {why}")]
    Refused { url: String, why: String },
    /// It does not belong to the log that the caller asked for.
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Backup(error.into())
    }
}

/// Fetches a copy, checks it, and puts it in the place of a file. Nobody may write the file meanwhile. `replace`: also
/// where there is a file, which is kept under another name. `fits` says whether the log goes on where the copy is.
pub fn fetch(
    source: &Source,
    db: &Path,
    replace: bool,
    fits: impl FnOnce(&Joined) -> Result<(), String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fetched, FetchError> {
    let (_lock, real) = Lock::hold(db).map_err(BackupError::from)?;
    may_replace(&real, replace)?;
    let part = Part::create(&real)?;
    receive(source, &part, progress)?;
    progress(Progress::Check);
    let foreign = |why: &str| FetchError::Refused { url: source.url.clone(), why: why.to_owned() };
    let opened = sqlite::open_copy(part.path());
    let (file, is_new) =
        opened.map_err(|error| foreign(&format!("what came is no file for this chatfold: {error}")))?;
    let note = copy::note(&file)?;
    let note = note.ok_or_else(|| foreign("what came is no copy that a chatfold made"))?;
    let joined = shared_log::read(&file)?;
    let joined = joined.ok_or_else(|| foreign("it is no node: its file has a log of its own"))?;
    fits(&joined).map_err(FetchError::Other)?;
    let fold_version = sqlite::fold_version(&file)?;
    drop(file);
    // What the copy says of itself is checked before anything of it is changed.
    let (file, _) = sqlite::open_copy(part.path())?;
    check(&file, Some(&note), is_new)?;
    drop(file);
    copy::finish_as_node(part.path())?;
    part.sync()?;
    Ok(Fetched { joined, fold_version, kept: put(part, &real)? })
}

/// Writes what the node sends into the file, and compares it with what the node says of it.
fn receive(source: &Source, part: &Part, progress: &mut dyn FnMut(Progress)) -> Result<(), FetchError> {
    let told = |why: String| FetchError::Refused { url: source.url.clone(), why };
    let mut request = agent(source).map_err(told)?.get(&source.url);
    if let Some(token) = &source.token {
        request = request.header("Authorization", format!("Bearer {}", token.expose()));
    }
    progress(Progress::Wait);
    let mut answer = request.call().map_err(|error| told(trouble(&error)))?;
    if answer.status() != 200 {
        let mut page = String::new();
        // What can be read of it is enough.
        let _ = answer.body_mut().as_reader().take(TOLD).read_to_string(&mut page);
        return Err(told(refusal(answer.status().as_u16(), &page)));
    }
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let digest = header("repr-digest");
    let total = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let (mut body, mut hash, mut chunk, mut done) =
        (answer.into_body().into_reader(), Sha256::new(), vec![0; CHUNK], 0);
    loop {
        let read = body.read(&mut chunk).map_err(|error| told(format!("it broke off: {error}")))?;
        if read == 0 {
            break;
        }
        part.write(&chunk[..read])?;
        hash.update(&chunk[..read]);
        done += read as u64;
        progress(Progress::Fetch { done, total });
    }
    let came = format!("sha-256=:{}:", base64(&hash.finalize()));
    if digest.is_some_and(|digest| digest != came) {
        return Err(told("what came is not what it sent".to_owned()));
    }
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Redirects are not followed: the token is for this host alone. Making the copy takes as long as it takes.
fn agent(source: &Source) -> Result<ureq::Agent, String> {
    let mut tls = TlsConfig::builder();
    if let Some(pem) = &source.ca {
        let mut roots = Vec::new();
        for item in parse_pem(pem) {
            if let PemItem::Certificate(root) = item.map_err(|error| format!("--ca-file: {error}"))? {
                roots.push(root);
            }
        }
        if roots.is_empty() {
            return Err("--ca-file holds no certificate".to_owned());
        }
        tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
    }
    Ok(ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls.build())
        .user_agent(concat!("chatfold/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent())
}

/// Why there is no answer, and what the operator has to do about a certificate.
fn trouble(error: &ureq::Error) -> String {
    let tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    let advice = match tls {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ". No authority that is known here signed the certificate: --ca-file names the root certificate"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ". --from has to name the host as the certificate does"
            }
            _ => "",
        },
        Some(rustls::Error::InvalidMessage(_)) => ". If it does not speak TLS: use http://",
        _ => "",
    };
    format!("{error}{advice}")
}

/// What an answer other than 200 says.
fn refusal(status: u16, page: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(page).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str()).map(str::to_owned);
    match (status, detail) {
        (401, _) => {
            "it wants a token of scope admin for all apps: --token-file, or CHATFOLD_JOIN_TOKEN. `chatfold token \
                     create --scope admin` on that node prints one"
                .to_owned()
        }
        (400, None) if page.contains("this port speaks TLS") => page.to_owned(),
        (_, Some(detail)) => format!("it answered {status}: {detail}"),
        (_, None) => format!("it answered {status}, and not as chatfold does"),
    }
}

impl Part {
    fn write(&self, bytes: &[u8]) -> Result<(), BackupError> {
        (&self.file).write_all(bytes).map_err(BackupError::io(&self.path))
    }
}
