//! Makes the log: an empty one, or one that goes on behind what a file holds.

use super::address::Address;
use super::link::{Closing, Head, LAYOUT, Link, connect, head_of};
use super::orders;
use super::statements as sql;
use super::{LogError, nodes};
use tokio_postgres::{Client, Transaction};

/// What `chatfold log init` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub head: Head,
    /// False: the log was there.
    pub is_new: bool,
}

/// The file that a log goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founder {
    /// Made for this log alone: an attempt that broke off is known again by it.
    pub log_id: String,
    /// The newest position that the file has given.
    pub position: i64,
}

impl Link {
    /// Makes the tables, where they are missing.
    pub async fn init(address: &Address, log_id: &str) -> Result<Made, LogError> {
        let (mut client, _closing) = open(address).await?;
        let transaction = client.transaction().await?;
        let made = begin(&transaction, log_id).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// The same for a log that goes on behind what a file holds: the log has no row of older positions. Refuses a log that
    /// has given positions already, unless to this file. Doing it twice changes nothing.
    pub async fn found(address: &Address, founder: &Founder) -> Result<Made, LogError> {
        let (mut client, _closing) = open(address).await?;
        let transaction = client.transaction().await?;
        let made = begin(&transaction, &founder.log_id).await?;
        let head = head_of(&transaction.query_one(sql::LOCK_HEAD, &[]).await?)?;
        let oldest: Option<i64> = transaction.query_one(sql::OLDEST, &[]).await?.try_get(0)?;
        let is_known = head.log_id == founder.log_id;
        match oldest {
            None if is_known || head.position == 0 => {}
            Some(oldest) if is_known && oldest == founder.position + 1 => return Ok(Made { head, is_new: false }),
            _ => {
                return Err(LogError::Unusable(format!(
                    "the log has deliveries already, up to position {}: only an empty log can go on with a file. Name \
                     another database, or make this machine a node of the log with `chatfold join`",
                    head.position
                )));
            }
        }
        transaction.execute(sql::FOUND, &[&founder.log_id, &founder.position]).await?;
        transaction.commit().await?;
        let head = Head { log_id: founder.log_id.clone(), position: founder.position };
        Ok(Made { head, is_new: made.is_new })
    }
}

async fn open(address: &Address) -> Result<(Client, Closing), LogError> {
    let (client, connection, _) = connect(address).await?;
    let closing = Closing(Some(connection));
    let encoding: String = client.query_one(sql::ENCODING, &[]).await?.get(0);
    if encoding != "UTF8" {
        return Err(LogError::Unusable(format!(
            "the database has the encoding {encoding}, and ids may be any text: make one with ENCODING 'UTF8'"
        )));
    }
    Ok((client, closing))
}

async fn begin(transaction: &Transaction<'_>, log_id: &str) -> Result<Made, LogError> {
    transaction.batch_execute(sql::TABLES).await?;
    transaction.batch_execute(nodes::TABLES).await?;
    transaction.batch_execute(orders::TABLES).await?;
    let made = transaction.execute(sql::BEGIN_LOG, &[&log_id, &LAYOUT]).await?;
    let head = head_of(&transaction.query_one(sql::HEAD, &[]).await?)?;
    Ok(Made { head, is_new: made > 0 })
}
