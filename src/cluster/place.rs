//! Whether the log goes on where a file is.

use crate::store::postgres::{Link, LogError};
use crate::store::sqlite::shared_log::Joined;

/// What a node does that the log has left behind.
pub const JOIN_AGAIN: &str = "Stop the node and run `chatfold join --from https://NODE --force`, which puts a copy of another \
                          node in its place. Its outbox stays, and is emptied then";

/// How the log and a file fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The log goes on where the file is.
    Fits,
    /// It does not. What happened, and what to do.
    Lost(String),
    /// The log has no rows any more that the file needs. What to do.
    Trimmed(String),
}

/// Looks whether the log goes on where a file is.
pub async fn place(link: &Link, joined: &Joined) -> Result<Place, LogError> {
    let head = link.head().await?;
    if head.log_id != joined.log_id {
        return Ok(Place::Lost("the setting `log` leads to another log than this file has followed so far".to_owned()));
    }
    let there = link.id_at(joined.position).await?;
    let is_other = there.is_some_and(|there| joined.delivery_id.as_deref() != Some(&there[..]));
    if head.position < joined.position || is_other {
        return Ok(Place::Lost(format!(
            "the shared log has lost deliveries that this node has folded, the newest at position {}. It was changed, \
             or its primary was replaced by a server that did not have them",
            joined.position
        )));
    }
    let is_trimmed = match link.oldest().await? {
        Some(oldest) => oldest > joined.position + 1,
        None => head.position > joined.position,
    };
    Ok(if is_trimmed { Place::Trimmed(trimmed(joined.position)) } else { Place::Fits })
}

/// Fails with what to do unless the log goes on where a copy is.
pub async fn fits(link: &Link, joined: &Joined) -> Result<(), String> {
    match place(link, joined).await {
        Ok(Place::Fits) => Ok(()),
        Ok(Place::Lost(_)) if link.head().await.is_ok_and(|head| head.log_id != joined.log_id) => {
            Err("the node that gave the copy follows another log than the setting `log` names. Name a node of that log"
                .to_owned())
        }
        Ok(Place::Lost(why)) => Err(why),
        Ok(Place::Trimmed(_)) => Err(format!(
            "the copy is at position {}, and the shared log has nothing so old any more: the node that gave the copy is \
             behind. Name another node",
            joined.position
        )),
        Err(error) => Err(format!("the shared log: {error}")),
    }
}

/// What a node is told that is behind what the log has.
pub fn trimmed(position: i64) -> String {
    match position {
        0 => "the shared log has lost its beginning by age, or never had it, so a new file would hold half of it. Run \
              `chatfold join --from https://NODE --force`, which begins the file with a copy of another node"
            .to_owned(),
        _ => format!(
            "the shared log has nothing so old any more as what follows position {position}: this node was away for longer \
             than the log keeps deliveries. {JOIN_AGAIN}"
        ),
    }
}
