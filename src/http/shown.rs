//! The pages shown last. After news, all open pages ask for themselves again at once. One answer serves all readers who
//! see the same.

use super::places::Places;
use actix_web::web::Bytes;
use std::time::Duration;

/// Number of pages kept.
const KEPT: usize = 200;
/// Most bytes of a page that is kept. A larger page is made for each reader.
const LARGEST: usize = 256 << 10;

/// The token of the reader, and the address of the page.
type Key = (Option<i64>, String);

/// A page, and the log position it shows.
#[derive(Clone)]
pub(super) struct Shown {
    pub seq: i64,
    pub html: Bytes,
}

/// The pages kept.
pub(super) struct Pages {
    kept: Places<Key, Shown>,
    /// The longest wait for a page, with the wait of all requests before in the queue.
    patience: Duration,
}

impl Pages {
    pub(super) fn new(patience: Duration) -> Self {
        Self { kept: Places::keeping(KEPT), patience }
    }

    /// The page at this log position or later: made for another request, or made now. `None` if the page cannot be
    /// kept, such as an error, or if it takes too long.
    pub(super) async fn at_least<F>(&self, key: Key, seq: i64, make: F) -> Option<Shown>
    where
        F: Future<Output = Option<Shown>>,
    {
        let place = self.kept.of(key);
        let shown = async {
            let mut kept = place.lock().await;
            match kept.as_ref().filter(|shown| shown.seq >= seq) {
                Some(shown) => Some(shown.clone()),
                None => {
                    let made = make.await;
                    *kept = made.clone().filter(|shown| shown.html.len() <= LARGEST);
                    made
                }
            }
        };
        tokio::time::timeout(self.patience, shown).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Whoever comes while a page is being made waits for no longer than whoever made them wait.
    #[actix_web::test]
    async fn who_waits_behind_a_slow_page_is_sent_away() {
        let pages = Pages::new(Duration::from_millis(20));
        let never = || pages.at_least((None, "/".to_owned()), 1, std::future::pending());
        let (first, second, third) = tokio::join!(never(), never(), never());
        assert!(first.is_none() && second.is_none() && third.is_none());
        let quick = async { Some(Shown { seq: 1, html: Bytes::new() }) };
        assert!(pages.at_least((None, "/".to_owned()), 1, quick).await.is_some(), "the next one is not kept waiting");
    }

    #[actix_web::test]
    async fn a_large_page_is_answered_and_not_kept() {
        let pages = Pages::new(Duration::from_secs(9));
        let ask = |length: usize, seq: i64| {
            let make = async move { Some(Shown { seq, html: Bytes::from(vec![b'x'; length]) }) };
            pages.at_least((None, "/".to_owned()), 0, make)
        };
        assert_eq!(ask(LARGEST + 1, 1).await.map(|it| it.html.len()), Some(LARGEST + 1));
        assert_eq!(ask(1, 2).await.map(|it| it.seq), Some(2), "made anew");
        assert_eq!(ask(1, 3).await.map(|it| it.seq), Some(2), "kept");
    }

    #[actix_web::test]
    async fn one_answer_serves_all_who_see_the_same_and_nobody_gets_an_older_one() {
        let (pages, made) = (Pages::new(Duration::from_secs(9)), AtomicI64::new(0));
        let ask = |token: i64, seq: i64| {
            let made = &made;
            let make = async move {
                made.fetch_add(1, Ordering::Relaxed);
                Some(Shown { seq, html: Bytes::new() })
            };
            pages.at_least((Some(token), "/".to_owned()), seq, make)
        };
        assert_eq!(ask(1, 5).await.map(|it| it.seq), Some(5));
        assert_eq!(ask(1, 4).await.map(|it| it.seq), Some(5));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(ask(1, 6).await.map(|it| it.seq), Some(6));
        assert_eq!(ask(2, 5).await.map(|it| it.seq), Some(5), "of another token");
        assert_eq!(made.load(Ordering::Relaxed), 3);
    }
}
