//! What is sent, and when. The same deliveries, options and seed give the same plan.

use crate::ids::Time;
use crate::json::quote;
use std::time::Duration;

/// One delivery, and when it was received if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub body: Vec<u8>,
    pub at: Option<Time>,
}

/// How to play deliveries.
#[derive(Debug, Clone)]
pub struct Options {
    /// So many times faster than they were received.
    pub speed: f64,
    /// Deliveries a second, instead of the times at which they were received.
    pub rate: Option<f64>,
    /// The share of deliveries that is sent twice, from 0 to 1.
    pub duplicates: f64,
    /// Each delivery may be overtaken by so many others.
    pub reorder: usize,
    /// Send each delivery as a second webhook of the app too.
    pub second_webhook: bool,
    /// Play the deliveries so many times, each time as an app of its own.
    pub copies: usize,
    pub seed: u64,
}

/// A delivery to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub body: Vec<u8>,
    /// Since the start of the run.
    pub at: Duration,
}

/// Numbers by chance, from a seed: splitmix64.
pub(super) struct Chance(u64);

impl Chance {
    pub fn new(seed: u64, more: &[u64]) -> Self {
        let mut chance = Self(seed);
        for number in more {
            chance.0 = chance.next() ^ number;
        }
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Puts the deliveries of all copies, webhooks and duplicates into one line, with the times at which they leave.
pub fn plan(deliveries: &[Delivery], options: &Options) -> Vec<Planned> {
    let mut chance = Chance::new(options.seed, &[]);
    let begun = deliveries.iter().filter_map(|it| it.at).min();
    let mut line: Vec<(f64, Planned)> = Vec::new();
    let mut put = |body: Vec<u8>, at: Duration, overtakes: f64| {
        let place = line.len() as f64 + overtakes;
        line.push((place, Planned { body, at }));
    };
    for delivery in deliveries {
        let since = delivery.at.zip(begun).map_or(0, |(at, begun)| (at.0 - begun.0).max(0).unsigned_abs());
        let at = Duration::from_millis(since).div_f64(options.speed);
        for copy in 1..=options.copies.max(1) {
            let body = if copy == 1 { delivery.body.clone() } else { of_copy(&delivery.body, copy) };
            let second = options.second_webhook.then(|| with(&body, "webhook", "chatfold-second"));
            for body in [Some(body), second].into_iter().flatten() {
                let is_doubled = chance.share() < options.duplicates;
                let mut overtakes = || chance.share() * (options.reorder + usize::from(options.reorder > 0)) as f64;
                if is_doubled {
                    put(body.clone(), at, overtakes());
                }
                put(body, at, overtakes());
            }
        }
    }
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut planned: Vec<Planned> = line.into_iter().map(|(_, it)| it).collect();
    let mut latest = Duration::ZERO;
    for (number, it) in planned.iter_mut().enumerate() {
        it.at = match options.rate {
            Some(rate) => Duration::from_secs_f64(number as f64 / rate),
            // One that overtakes leaves no earlier than its time.
            None => it.at.max(latest),
        };
        latest = it.at;
    }
    planned
}

/// The body as a delivery of another app.
fn of_copy(body: &[u8], copy: usize) -> Vec<u8> {
    let app = crate::json::Document::parse(body.to_vec()).ok();
    let app = app.as_ref().and_then(|it| it.root().get("appId")).and_then(|it| it.text()).unwrap_or_default();
    with(body, "appId", &format!("{app}-{copy}"))
}

/// The body with another value of a key. Of doubled keys the last counts, and all other bytes stay what they are.
fn with(body: &[u8], key: &str, value: &str) -> Vec<u8> {
    let Some(open) = body.trim_ascii_end().strip_suffix(b"}") else { return body.to_vec() };
    [open, format!(",{}:{}}}", quote(key), quote(value)).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(count: usize) -> Vec<Delivery> {
        let body = |n| format!(r#"{{"trigger":"t","appId":"a","n":{n}}}"#).into_bytes();
        (0..count).map(|n| Delivery { body: body(n), at: Some(Time(5_000 + n as i64 * 1_000)) }).collect()
    }

    fn options() -> Options {
        Options { speed: 1.0, rate: None, duplicates: 0.0, reorder: 0, second_webhook: false, copies: 1, seed: 7 }
    }

    fn number(planned: &Planned) -> usize {
        let text = String::from_utf8(planned.body.clone()).unwrap();
        text.split("\"n\":").nth(1).unwrap().split(['}', ',']).next().unwrap().parse().unwrap()
    }

    #[test]
    fn deliveries_leave_in_their_order_at_the_times_at_which_they_were_received() {
        let planned = plan(&deliveries(4), &Options { speed: 2.0, ..options() });
        assert_eq!(planned.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(planned.iter().map(|it| it.at.as_millis()).collect::<Vec<_>>(), [0, 500, 1000, 1500]);
        let planned = plan(&deliveries(4), &Options { rate: Some(100.0), ..options() });
        assert_eq!(planned.iter().map(|it| it.at.as_millis()).collect::<Vec<_>>(), [0, 10, 20, 30]);
        let bare: Vec<_> = deliveries(4).into_iter().map(|it| Delivery { at: None, ..it }).collect();
        assert!(plan(&bare, &options()).iter().all(|it| it.at.is_zero()));
    }

    #[test]
    fn a_seed_repeats_the_plan_and_another_one_does_not() {
        let of = |seed| plan(&deliveries(200), &Options { duplicates: 0.3, reorder: 9, seed, ..options() });
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!((230..270).contains(&of(1).len()), "{}", of(1).len());
        assert!(of(1).windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    #[test]
    fn no_delivery_is_overtaken_by_more_than_the_option_allows() {
        let order: Vec<usize> =
            plan(&deliveries(500), &Options { reorder: 3, ..options() }).iter().map(number).collect();
        assert!(!order.is_sorted());
        for (place, n) in order.iter().enumerate() {
            let later = order[..place].iter().filter(|before| *before > n).count();
            assert!(later <= 3, "{n} was overtaken by {later}");
        }
    }

    #[test]
    fn copies_and_second_webhooks_differ_in_one_key_only() {
        let planned = plan(&deliveries(1), &Options { copies: 2, second_webhook: true, ..options() });
        let texts: Vec<String> = planned.into_iter().map(|it| String::from_utf8(it.body).unwrap()).collect();
        let plain = r#"{"trigger":"t","appId":"a","n":0"#;
        assert_eq!(texts[0], format!("{plain}}}"));
        assert_eq!(texts[1], format!(r#"{plain},"webhook":"chatfold-second"}}"#));
        assert_eq!(texts[2], format!(r#"{plain},"appId":"a-2"}}"#));
        assert_eq!(texts[3], format!(r#"{plain},"appId":"a-2","webhook":"chatfold-second"}}"#));
    }
}
