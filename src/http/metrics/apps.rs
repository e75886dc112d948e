//! What each app sent since the start. There are few labels, whatever is posted.

use super::text::Page;
use crate::trigger::TRIGGERS;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Apps that have labels of their own: those that were heard of first.
pub(super) const MOST: usize = 50;
/// Longest id of such an app.
const LONGEST: usize = 64;
/// The label of all other apps, and of all triggers that chatfold does not know.
const OTHER: &str = "other";

/// The name of a trigger that chatfold knows; `other`: a sender made it up, or CometChat has a new one.
pub(in crate::http) fn trigger_label(trigger: &str) -> &'static str {
    TRIGGERS.iter().map(|(name, _)| *name).find(|name| *name == trigger).unwrap_or(OTHER)
}

/// Deliveries by app, trigger and outcome.
#[derive(Default)]
pub(super) struct Apps(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    named: BTreeMap<String, Counts>,
    others: Counts,
}

/// By trigger and outcome.
type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl Counted {
    /// The counts of an app; `None` if it has no label of its own.
    fn of(&mut self, app: &str) -> Option<&mut Counts> {
        let may_be_named = self.named.len() < MOST && app.len() <= LONGEST && app != OTHER;
        if may_be_named && !self.named.contains_key(app) {
            self.named.insert(app.to_owned(), Counts::new());
        }
        self.named.get_mut(app)
    }
}

impl Apps {
    /// Gives labels to apps that the file knows, as far as there are any left.
    pub fn name(&self, apps: &[String]) {
        let mut counted = self.counted();
        for app in apps {
            counted.of(app);
        }
    }

    /// Apps with labels of their own.
    pub fn named(&self) -> Vec<String> {
        self.counted().named.keys().cloned().collect()
    }

    /// A delivery was taken.
    pub fn delivered(&self, app: &str, trigger: &'static str, outcome: &'static str) {
        let mut counted = self.counted();
        let counts = match counted.of(app) {
            Some(counts) => counts,
            None => &mut counted.others,
        };
        *counts.entry((trigger, outcome)).or_default() += 1;
    }

    /// Only of these apps, where `only` names some.
    pub fn write(&self, page: &mut Page, only: Option<&[String]>) {
        const NAME: &str = "chatfold_app_deliveries_total";
        page.head(NAME, "counter", "Deliveries answered 200, by app, trigger and outcome.");
        let counted = self.counted();
        let named = counted.named.iter().filter(|(app, _)| only.is_none_or(|only| only.contains(app)));
        let others = only.is_none().then_some((OTHER, &counted.others));
        for (app, counts) in named.map(|(app, counts)| (app.as_str(), counts)).chain(others) {
            for ((trigger, outcome), n) in counts {
                page.row(NAME, &[("app", app), ("trigger", trigger), ("outcome", outcome)], n);
            }
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(apps: &Apps, only: Option<&[String]>) -> String {
        let mut page = Page::default();
        apps.write(&mut page, only);
        page.0
    }

    #[test]
    fn apps_beyond_the_fiftieth_share_one_label() {
        let apps = Apps::default();
        for app in 0..1_000 {
            apps.delivered(&format!("app{app:03}"), "message_sent", "applied");
        }
        let page = page(&apps, None);
        assert_eq!(page.lines().count(), 2 + MOST + 1, "{page}");
        assert!(page.contains(r#"{app="other",trigger="message_sent",outcome="applied"} 950"#), "{page}");
    }

    #[test]
    fn an_app_with_a_long_id_has_no_label_of_its_own() {
        let apps = Apps::default();
        apps.delivered(&"x".repeat(65), "message_sent", "applied");
        assert!(apps.named().is_empty());
    }

    #[test]
    fn a_reader_of_an_app_that_is_called_other_sees_no_other_apps() {
        let apps = Apps::default();
        apps.delivered(OTHER, "message_sent", "applied");
        apps.delivered(&"x".repeat(65), "message_sent", "applied");
        let only = [OTHER.to_owned()];
        assert_eq!(page(&apps, Some(&only)).lines().count(), 2, "the head");
    }

    #[test]
    fn a_trigger_that_is_made_up_is_other() {
        assert_eq!(trigger_label("message_sent"), "message_sent");
        assert_eq!(trigger_label("message_sent\n"), OTHER);
    }
}
