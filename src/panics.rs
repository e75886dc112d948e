//! Panics: bugs of chatfold's own, met while it runs.
//!
//! A panic over one event makes that event a dead letter. A panic while a row is read from the file, and any other panic of
//! the thread that writes, ends the process.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

/// Some code panicked. The log tells where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bug in chatfold (its log tells where)")]
pub struct Panicked;

/// Runs code that may panic. The caller takes back whatever the code left half done.
pub fn caught<T>(code: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|_| Panicked)
}

/// From now on panics are told in the log, by their place. A message that was put together while running is left out:
/// it may quote a chat.
pub fn tell_in_the_log() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not told: it may hold data)");
        let thread = std::thread::current();
        tracing::error!(place, message, thread = thread.name(), "chatfold panicked: this is a bug, please report it");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!("{backtrace}");
        }
    }));
}
