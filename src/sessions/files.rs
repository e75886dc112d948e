//! What a session left: recordings and transcripts, each told once or in pieces.

use super::{RecordingRow, TranscriptRow};
use crate::ids::Time;
use std::collections::BTreeMap;

/// One row a recording. One told without its address is the one that began then, if there is exactly one.
pub(super) fn recordings(told: Vec<RecordingRow>) -> Vec<RecordingRow> {
    let mut rows: BTreeMap<(Option<Time>, String), Option<i64>> = BTreeMap::new();
    for recording in told {
        let duration = rows.entry((recording.started_at, recording.url)).or_default();
        *duration = (*duration).max(recording.duration_ms);
    }
    let nameless: Vec<_> = rows.iter().filter(|((_, url), _)| url.is_empty()).map(|((at, _), it)| (*at, *it)).collect();
    for (at, duration) in nameless {
        let mut named: Vec<_> = rows.iter_mut().filter(|((start, url), _)| *start == at && !url.is_empty()).collect();
        if let [(_, known)] = named.as_mut_slice() {
            **known = (**known).max(duration);
            rows.remove(&(at, String::new()));
        }
    }
    let row = |((started_at, url), duration_ms)| RecordingRow { started_at, url, duration_ms };
    rows.into_iter().map(row).collect()
}

/// One row a transcript; of differing values the greater counts, so that no order of facts matters.
pub(super) fn transcripts(told: Vec<TranscriptRow>) -> Vec<TranscriptRow> {
    let mut rows: BTreeMap<String, TranscriptRow> = BTreeMap::new();
    for transcript in told {
        let known = rows.entry(transcript.id.clone()).or_insert_with(|| transcript.clone());
        known.url = known.url.take().max(transcript.url);
        known.started_at = known.started_at.max(transcript.started_at);
        known.ended_at = known.ended_at.max(transcript.ended_at);
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_told_in_pieces_is_one() {
        let row = |url: &str, duration_ms| RecordingRow { started_at: Some(Time(5)), url: url.into(), duration_ms };
        assert_eq!(recordings(vec![row("", Some(2_500)), row("u", None)]), [row("u", Some(2_500))]);
        assert_eq!(recordings(vec![row("", Some(2_500)), row("u", None), row("v", None)]).len(), 3, "nothing by guess");
    }

    #[test]
    fn silence_blanks_no_transcript() {
        let row = |url: Option<&str>| TranscriptRow {
            id: "t".into(),
            url: url.map(str::to_owned),
            started_at: None,
            ended_at: None,
        };
        assert_eq!(transcripts(vec![row(None), row(Some("u")), row(None)]), [row(Some("u"))]);
    }
}
