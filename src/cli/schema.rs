//! `chatfold schema`.

use std::io::Write;
use std::process::ExitCode;

/// Prints the SDL.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    out.write_all(crate::graphql::sdl().as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
