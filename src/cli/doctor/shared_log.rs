//! The log that several nodes share: is the log there, and what does PostgreSQL promise of a commit?

use super::Finding;
use crate::config::{LogDurability, SharedLog};
use crate::store::postgres::{Durability, Link, LogError};
use std::time::Duration;
use tokio::time::timeout;

const SUBJECT: &str = "shared log";
/// A server that is there answers sooner.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn check(log: &SharedLog) -> Finding {
    match ask(log) {
        Ok(has) => promise(&has, log.durability),
        Err(error) => Finding::bad(
            SUBJECT,
            format!("{}: {error}", log.address.shown()),
            "Until the log is there, deliveries go to the outbox, or are answered 503.",
        ),
    }
}

fn ask(log: &SharedLog) -> Result<Durability, LogError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| LogError::Away(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(async {
        let asked = timeout(PATIENCE, async {
            let link = Link::open(&log.address).await?;
            link.head().await?;
            link.durability().await
        });
        asked.await.unwrap_or_else(|_| Err(LogError::Away("it does not answer in time".to_owned())))
    })
}

fn promise(has: &Durability, wanted: Option<LogDurability>) -> Finding {
    match (wanted, has.lacks()) {
        (_, None) => {
            Finding::ok(SUBJECT, format!("a commit waits for {} standbys, and {} are in sync", has.wanted, has.in_sync))
        }
        (Some(LogDurability::Local), Some(_)) => Finding::warn(
            SUBJECT,
            "a commit is on one disk",
            "log_durability is local. With quorum standbys keep it too.",
        ),
        (None, Some(_)) if !has.asks_for_quorum() => Finding::warn(
            SUBJECT,
            "a commit is on one disk",
            "Set synchronous_standby_names in PostgreSQL, and log_durability = \"quorum\".",
        ),
        (_, Some(lack)) => Finding::bad(
            SUBJECT,
            format!("a commit would not be on several disks: {lack}"),
            "Until this is mended, deliveries go to the outbox, or are answered 503.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Level;

    #[test]
    fn a_commit_that_is_not_as_safe_as_it_has_to_be_is_bad_and_one_disk_deserves_a_look() {
        let level = |wanted: i64, in_sync: i64, durability| {
            promise(&Durability { waits: true, wanted, in_sync, is_visible: true }, durability).level
        };
        let (quorum, local) = (Some(LogDurability::Quorum), Some(LogDurability::Local));
        for durability in [quorum, local, None] {
            assert_eq!(level(1, 2, durability), Level::Ok, "{durability:?}");
        }
        assert_eq!([level(1, 0, quorum), level(0, 0, quorum), level(1, 0, None)], [Level::Bad; 3]);
        assert_eq!([level(1, 0, local), level(0, 0, local), level(0, 0, None)], [Level::Warn; 3]);
    }
}
