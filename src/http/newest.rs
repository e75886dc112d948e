//! The newest log position of what a reader may see, asked once for all open pages that are waiting for the same news.

use super::places::Places;
use std::time::Instant;

/// Sets of apps whose answers are kept.
const KEPT: usize = 256;

/// The newest answer for each set of apps: when the question was asked, and the position.
pub(super) struct Newest(Places<Vec<String>, (Instant, i64)>);

impl Default for Newest {
    fn default() -> Self {
        Self(Places::keeping(KEPT))
    }
}

impl Newest {
    /// The newest position of these apps, as somebody asked for the position at `since` or later. `None` where nobody can
    /// tell the position now.
    pub(super) async fn of<F>(&self, apps: Vec<String>, since: Instant, ask: F) -> Option<i64>
    where
        F: Future<Output = Option<i64>>,
    {
        let place = self.0.of(apps);
        let mut known = place.lock().await;
        if let Some((_, newest)) = known.filter(|(asked_at, _)| *asked_at >= since) {
            return Some(newest);
        }
        let asked_at = Instant::now();
        *known = ask.await.map(|newest| (asked_at, newest));
        known.map(|(_, newest)| newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[actix_web::test]
    async fn a_hundred_pages_that_wake_together_ask_once_and_again_only_after_the_next_news() {
        let (newest, asked) = (Arc::new(Newest::default()), Arc::new(AtomicI64::new(0)));
        let wake = |apps: &'static [&'static str], since: Instant| {
            let (newest, asked) = (Arc::clone(&newest), Arc::clone(&asked));
            let apps = apps.iter().map(|app| (*app).to_owned()).collect();
            actix_web::rt::spawn(async move {
                let ask = async {
                    tokio::task::yield_now().await;
                    Some(asked.fetch_add(1, Ordering::SeqCst) + 1)
                };
                newest.of(apps, since, ask).await
            })
        };
        let news = Instant::now();
        for page in (0..100).map(|_| wake(&["a"], news)).collect::<Vec<_>>() {
            assert_eq!(page.await.unwrap(), Some(1));
        }
        assert_eq!(wake(&["a", "b"], news).await.unwrap(), Some(2), "other apps");
        assert_eq!(wake(&["a"], Instant::now()).await.unwrap(), Some(3), "what was asked before the news says nothing");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        let unknown = newest.of(vec!["a".to_owned()], Instant::now(), async { None });
        assert_eq!(unknown.await, None);
        assert_eq!(wake(&["a"], news).await.unwrap(), Some(4), "no answer is not kept");
    }
}
