//! A connection to the log.

use super::LogError;
use super::address::Address;
use super::durability::Durability;
use super::nodes::Check;
use super::statements as sql;
use crate::ids::Time;
use crate::store::{Delivery, DeliveryId};
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config, Row as Columns, Statement};

/// A host has so long for the whole way from a connection to an open session.
const OPEN_WITHIN: Duration = Duration::from_millis(1_500);
/// The function of PostgreSQL in which a commit waits for standbys. A notice of this function says that somebody ended the
/// wait (`pg_cancel_backend`, `pg_terminate_backend`).
const WAITS_FOR_STANDBYS: &str = "SyncRepWaitForLSN";
/// The tables that this edition of chatfold makes and reads.
pub(super) const LAYOUT: i32 = 1;

/// A connection to the server that can be written. Dropping it closes the connection at once, whatever is under way.
pub struct Link {
    pub(super) client: Client,
    connection: JoinHandle<()>,
    signals: Arc<Signals>,
    append: Statement,
    after: Statement,
}

/// What the task of the connection tells.
#[derive(Default)]
pub(super) struct Signals {
    /// What was appended, by whichever node.
    news: News,
    /// The connection is closed.
    end: Notify,
}

/// How far the log is known to go. Whoever has read so far need not read again.
#[derive(Default)]
pub struct News {
    newest: AtomicI64,
    wake: Notify,
}

impl News {
    /// The log goes up to this position.
    pub fn tell(&self, newest: i64) {
        self.newest.fetch_max(newest, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// The log goes on behind a position, but nobody says how far.
    pub fn tell_of_some(&self) {
        self.tell(i64::MAX);
    }

    /// Whether the log is known to go on behind a position.
    pub fn are_behind(&self, position: i64) -> bool {
        self.newest.load(Ordering::Acquire) > position
    }

    /// Ends when the log is known to go on behind a position. What was told is forgotten then: a log that was replaced by
    /// an older one may not go so far.
    pub async fn behind(&self, position: i64) {
        while self.newest.swap(0, Ordering::AcqRel) <= position {
            self.wake.notified().await;
        }
    }
}

/// The row that gives the positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub log_id: String,
    /// The newest position given.
    pub position: i64,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub position: i64,
    pub id: DeliveryId,
    pub received_at: Time,
    pub body: Vec<u8>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Link {
    /// Tries all hosts at once; the first that can be written wins. Fails where the tables are missing.
    pub async fn open(address: &Address) -> Result<Self, LogError> {
        let (client, connection, signals) = connect(address).await?;
        // From here on dropping it closes the connection.
        let closing = Closing(Some(connection));
        let prepared = timeout(OPEN_WITHIN, async {
            client.batch_execute(sql::SESSION).await?;
            Ok((client.prepare(sql::APPEND).await?, client.prepare(sql::AFTER).await?))
        });
        let prepared: Result<_, tokio_postgres::Error> = prepared.await.map_err(|_| slow())?;
        let (append, after) =
            prepared.map_err(|error| match error.code().map(tokio_postgres::error::SqlState::code) {
                // Undefined table.
                Some("42P01") => incomplete(),
                _ => error.into(),
            })?;
        Ok(Self { client, connection: closing.keep(), signals, append, after })
    }

    /// Ends when the connection is closed.
    pub async fn closed(&self) {
        self.signals.end.notified().await;
    }

    /// Which log this is, and how far it goes.
    pub async fn head(&self) -> Result<Head, LogError> {
        let row = self.client.query_opt(sql::HEAD, &[]).await?;
        let row =
            row.ok_or_else(|| LogError::Unusable("the log has no head: `chatfold log init` makes it".to_owned()))?;
        head_of(&row)
    }

    /// Appends deliveries in one transaction: the position of the first, the others follow it. After an error they may be
    /// in the log or not.
    pub async fn append(&self, deliveries: &[&Delivery]) -> Result<i64, LogError> {
        let number = i64::try_from(deliveries.len()).unwrap_or(i64::MAX);
        let ids: Vec<&[u8]> = deliveries.iter().map(|it| &it.id[..]).collect();
        let received: Vec<i64> = deliveries.iter().map(|it| it.received_at.0).collect();
        let apps: Vec<String> = deliveries.iter().map(|it| told(&it.app_id)).collect();
        let webhooks: Vec<Option<String>> = deliveries.iter().map(|it| it.webhook.as_deref().map(told)).collect();
        let bodies: Vec<&[u8]> = deliveries.iter().map(|it| &it.body[..]).collect();
        let row = self.client.query_one(&self.append, &[&number, &ids, &received, &apps, &webhooks, &bodies]).await?;
        row.try_get::<_, Option<i64>>(0)?
            .ok_or_else(|| LogError::Unusable("the log has no head: `chatfold log init` makes it".to_owned()))
    }

    /// Waits until nobody else appends. Nobody does until [`Link::append_in_turn`] ends, or the connection.
    pub async fn turn(&self) -> Result<(), LogError> {
        Ok(self.client.batch_execute(sql::TURN).await?)
    }

    /// The same as [`Link::append`], after [`Link::turn`].
    pub async fn append_in_turn(&self, deliveries: &[&Delivery]) -> Result<i64, LogError> {
        // Both are sent at once. After an append that failed, COMMIT takes the transaction back.
        let (first, committed) = tokio::join!(biased; self.append(deliveries), self.client.batch_execute(sql::COMMIT));
        let first = first?;
        committed?;
        Ok(first)
    }

    /// Appends what is not in the log yet, of deliveries that may be there: an answer to an append was lost.
    pub async fn settle(&self, deliveries: &[Delivery]) -> Result<(), LogError> {
        self.barrier().await?;
        let ids: Vec<&[u8]> = deliveries.iter().map(|it| &it.id[..]).collect();
        let found = self.client.query(sql::FIND, &[&ids]).await?;
        let found: HashMap<Vec<u8>, i64> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
        let missing: Vec<&Delivery> = deliveries.iter().filter(|it| !found.contains_key(&it.id[..])).collect();
        if !missing.is_empty() {
            self.append(&missing).await?;
        }
        Ok(())
    }

    /// Commits something, behind all that is under way. What can be read after it is as durable as this commit.
    pub async fn barrier(&self) -> Result<(), LogError> {
        self.client.execute(sql::BARRIER, &[]).await?;
        Ok(())
    }

    /// The rows behind a position, in their order: at most so many, and so many bytes but for a single row. And the
    /// newest check: a row behind the position of a check is never seen before the check is.
    pub async fn after(&self, position: i64, rows: i64, bytes: i64) -> Result<(Check, Vec<Row>), LogError> {
        let rows = self.client.query(&self.after, &[&position, &rows, &bytes]).await?;
        let first = rows.first().ok_or_else(incomplete)?;
        let check = Check { number: first.try_get(0)?, position: first.try_get(1)? };
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(position) = row.try_get(2)? {
                let (id, received_at) = (id_of(row.try_get(3)?)?, Time(row.try_get(4)?));
                deliveries.push(Row { position, id, received_at, body: row.try_get(5)? });
            }
        }
        Ok((check, deliveries))
    }

    /// The delivery at a position; `None`: there is no such row.
    pub async fn id_at(&self, position: i64) -> Result<Option<DeliveryId>, LogError> {
        let row = self.client.query_opt(sql::ID_AT, &[&position]).await?;
        row.map(|row| id_of(row.try_get(0)?)).transpose()
    }

    /// The oldest position that the log still has.
    pub async fn oldest(&self) -> Result<Option<i64>, LogError> {
        Ok(self.client.query_one(sql::OLDEST, &[]).await?.try_get(0)?)
    }

    /// What the server promises of a commit now.
    pub async fn durability(&self) -> Result<Durability, LogError> {
        let row = self.client.query_one(sql::DURABILITY, &[]).await?;
        Ok(Durability::of(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    }

    /// From now on [`Link::news`] tells of the appends of all nodes. False: the caller has to look from time to time.
    pub async fn listen(&self) -> bool {
        let listens = self.client.batch_execute(sql::LISTEN).await;
        if let Err(error) = &listens {
            tracing::info!(%error, "the log does not wake this node, which looks every 50 ms");
        }
        listens.is_ok()
    }

    /// What was appended, by whichever node.
    pub fn news(&self) -> &News {
        &self.signals.news
    }
}

/// Closes a connection when dropped.
pub(super) struct Closing(pub(super) Option<JoinHandle<()>>);

impl Closing {
    fn keep(mut self) -> JoinHandle<()> {
        self.0.take().unwrap_or_else(|| tokio::spawn(async {}))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.abort();
        }
    }
}

pub(super) async fn connect(address: &Address) -> Result<(Client, JoinHandle<()>, Arc<Signals>), LogError> {
    let mut tries = JoinSet::new();
    for config in &address.hosts {
        let (config, tls) = (config.clone(), address.tls.clone());
        tries.spawn(
            async move { timeout(OPEN_WITHIN, connect_to(&config, tls.0)).await.unwrap_or_else(|_| Err(slow())) },
        );
    }
    let mut words = Vec::new();
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => words.push(error.to_string()),
            Err(error) => words.push(error.to_string()),
        }
    }
    words.sort_unstable();
    words.dedup();
    Err(LogError::Away(words.join("; ")))
}

async fn connect_to(
    config: &Config,
    tls: tokio_postgres_rustls::MakeRustlsConnect,
) -> Result<(Client, JoinHandle<()>, Arc<Signals>), LogError> {
    let (client, mut connection) = config.connect(tls).await?;
    let signals = Arc::new(Signals::default());
    let told = Arc::clone(&signals);
    let connection = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                AsyncMessage::Notification(news) => {
                    // A node of an older edition says only that there is something.
                    news.payload().parse().map_or_else(|_| told.news.tell_of_some(), |newest| told.news.tell(newest));
                }
                // The commit succeeds after this notice, but only on one disk. Nobody may hear that it succeeded.
                AsyncMessage::Notice(notice) if notice.routine() == Some(WAITS_FOR_STANDBYS) => {
                    tracing::warn!("the connection to the shared log is closed: {}", notice.message());
                    break;
                }
                _ => {}
            }
        }
        told.end.notify_one();
    });
    Ok((client, connection, signals))
}

fn incomplete() -> LogError {
    LogError::Unusable(
        "the database holds no log, or a table of it is missing: `chatfold log init` makes what is missing".to_owned(),
    )
}

fn slow() -> LogError {
    LogError::Away("it does not answer in time".to_owned())
}

pub(super) fn head_of(row: &Columns) -> Result<Head, LogError> {
    let layout: i32 = row.try_get(1)?;
    if layout != LAYOUT {
        return Err(LogError::Unusable(format!(
            "the log has the layout {layout}, but this chatfold reads layout {LAYOUT}: use the chatfold that made it"
        )));
    }
    Ok(Head { log_id: row.try_get(0)?, position: row.try_get(2)? })
}

fn id_of(bytes: &[u8]) -> Result<DeliveryId, LogError> {
    bytes.try_into().map_err(|_| LogError::Unusable("the log holds an id that is not chatfold's".to_owned()))
}

/// A text for people: PostgreSQL stores no NUL.
pub(super) fn told(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether somebody who has read up to a position is woken now.
    async fn wakes(news: &News, position: i64) -> bool {
        tokio::select! {
            biased;
            () = news.behind(position) => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn only_what_is_not_read_yet_wakes_who_listens() {
        let news = News::default();
        assert!(!wakes(&news, 0).await);
        news.tell(5);
        news.tell(4);
        assert!(news.are_behind(4) && !news.are_behind(5));
        assert!(!wakes(&news, 5).await, "it has read so far");
        news.tell(6);
        assert!(wakes(&news, 5).await);
        assert!(!wakes(&news, 6).await);
        // Nobody says how far: it wakes once.
        news.tell_of_some();
        assert!(wakes(&news, 6).await);
        assert!(!wakes(&news, 6).await);
    }
}
