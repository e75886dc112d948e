//! The server as CometChat reaches it: by its public name, through whatever stands in front.

use super::Finding;
use crate::cli::send;
use crate::config::Config;
use std::time::{Duration, Instant};

/// CometChat waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A delivery may be that large.
const LARGE: usize = 1_900_000;
const SUBJECT: &str = "address";

/// Requests that chatfold refuses for their type, after it has checked the credentials. So nothing is stored.
pub(super) fn check(config: &Config, url: &str) -> Vec<Finding> {
    let (url, authorization) = match (send::url(url), send::authorization(config, None)) {
        (Ok(url), Ok(authorization)) => (url, authorization),
        (Err(error), _) | (_, Err(error)) => return vec![Finding::bad(SUBJECT, error.0, "Correct --url.")],
    };
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE * 5))
        .build()
        .new_agent();
    let ask = |body: &[u8], with: bool| {
        let mut request = agent.post(&url).header("Content-Type", "text/plain");
        if let Some(value) = authorization.as_ref().filter(|_| with) {
            request = request.header("Authorization", value);
        }
        request.send(body)
    };
    let begun = Instant::now();
    let mut all = Vec::new();
    match ask(b"{}", true) {
        Err(error) => {
            let advice = "Is the name right, is the port open, is the certificate one that everybody trusts?";
            return vec![Finding::bad(SUBJECT, format!("no answer from {url}: {error}"), advice)];
        }
        Ok(answer) => all.push(first(answer.status().as_u16(), &url, authorization.is_some())),
    }
    if begun.elapsed() > PATIENCE {
        let advice = "CometChat waits 2 s: look for a proxy that is slow or far away.";
        all.push(Finding::bad(SUBJECT, format!("the answer took {:.1} s", begun.elapsed().as_secs_f64()), advice));
    }
    if !url.starts_with("https://") {
        all.push(Finding::warn(SUBJECT, "it is no https address", "CometChat delivers to https only."));
    }
    if authorization.is_some() && ask(b"{}", false).is_ok_and(|it| it.status().as_u16() != 401) {
        let advice = "Something in front lets requests in, or adds credentials of its own.";
        all.push(Finding::bad(SUBJECT, "a request without credentials is not answered 401", advice));
    }
    if ask(&vec![b' '; LARGE], true).is_ok_and(|it| it.status().as_u16() == 413) {
        let advice = "Raise the limit of the proxy to that of body_limit, such as `client_max_body_size 2m` in nginx.";
        all.push(Finding::bad(SUBJECT, "a large delivery is refused (413)", advice));
    }
    all
}

fn first(status: u16, url: &str, has_credentials: bool) -> Finding {
    match (status, has_credentials) {
        (415, true) => Finding::ok(SUBJECT, format!("{url} takes the webhook credentials")),
        (415, false) => Finding::ok(SUBJECT, format!("{url} is answered by chatfold")),
        (401, true) => Finding::bad(
            SUBJECT,
            "the webhook credentials of these settings are refused (401)",
            "The server has other credentials, or a proxy strips the header Authorization.",
        ),
        (401, false) => Finding::warn(
            SUBJECT,
            "the server wants webhook credentials, and these settings have none",
            "Run doctor with the settings of the server: --config, or its variables.",
        ),
        (403, _) => Finding::bad(
            SUBJECT,
            "the request is refused (403): without credentials only this machine may post",
            "Set CHATFOLD_WEBHOOK_USERNAME and CHATFOLD_WEBHOOK_PASSWORD for the server.",
        ),
        (404 | 405, _) => {
            Finding::bad(SUBJECT, format!("{status}: no webhook is at {url}"), "The path is /webhooks/cometchat.")
        }
        (300..=399, _) => Finding::bad(
            SUBJECT,
            format!("{status}: the answer is a redirect"),
            "CometChat follows none: enter the address it leads to.",
        ),
        _ => Finding::bad(
            SUBJECT,
            format!("the answer is {status}, not chatfold's"),
            "Does the proxy lead to chatfold? Does chatfold run?",
        ),
    }
}
