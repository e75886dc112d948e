//! `/sign-in`: asks for a token.

use super::frame::{Frame, Reader};
use super::page::Rendered;
use super::params::Params;
use askama::Template;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    refused: bool,
}

/// The form, once more where a token was refused.
pub fn sign_in(params: Params, reader: &Reader, refused: bool) -> Rendered {
    let page = SignIn { frame: Frame::bare("/sign-in", params, reader), refused };
    let html = page.render().inspect_err(|error| tracing::error!(%error, "a page was not written")).unwrap_or_default();
    Rendered::html(if refused { 401 } else { 200 }, html)
}
