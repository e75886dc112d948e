//! Who was there: occupants told with a uid, with a name, or both.

use super::{Occupant, StayRow};
use crate::ids::Time;
use std::collections::{BTreeMap, BTreeSet};

/// One row a stay. A stay with only a name is that of the one uid with equal name and start; with none or several it
/// is a person of its own, for names are not unique.
pub(super) fn stays(occupants: &[Occupant]) -> Vec<StayRow> {
    let mut uids: BTreeMap<(Option<&str>, Option<i64>), BTreeSet<&str>> = BTreeMap::new();
    for occupant in occupants {
        if let Some(uid) = &occupant.uid {
            uids.entry((occupant.name.as_deref(), occupant.joined_at)).or_default().insert(uid);
        }
    }
    let mut rows: BTreeMap<(String, Option<i64>), StayRow> = BTreeMap::new();
    for occupant in occupants {
        let fitting = uids.get(&(occupant.name.as_deref(), occupant.joined_at)).filter(|uids| uids.len() == 1);
        let only = fitting.and_then(|uids| uids.first()).map(|uid| (*uid).to_owned());
        let uid = occupant.uid.clone().or(only);
        let person = match &uid {
            Some(uid) => format!("u:{uid}"),
            None => format!("n:{}:{}", occupant.joined_at.unwrap_or(0), occupant.name.as_deref().unwrap_or("")),
        };
        let row = rows.entry((person.clone(), occupant.joined_at)).or_insert_with(|| StayRow {
            person,
            joined_at: occupant.joined_at.map(Time),
            uid,
            name: None,
            left_at: None,
            audio_only: None,
        });
        // The greater of each counts, so that no order of facts matters.
        row.name = row.name.take().max(occupant.name.clone());
        row.left_at = row.left_at.max(occupant.left_at.map(Time));
        row.audio_only = row.audio_only.max(occupant.audio_only);
    }
    rows.into_values().collect()
}
