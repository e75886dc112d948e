//! SIGINT and SIGTERM for commands that have something to take back.

use crate::backup::Stop;
use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// From now on these signals ask, and do not end the process. The second one ends it.
pub(super) fn on_signal() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    let asked = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (terminate, interrupt) = runtime.block_on(async {
        std::io::Result::Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    })?;
    let wait = move || {
        let (mut terminate, mut interrupt) = (terminate, interrupt);
        runtime.block_on(async {
            for _ in 0..2 {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked.is_asked() {
                    std::process::exit(130);
                }
                asked.ask();
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).context("cannot wait for signals")?;
    Ok(stop)
}
