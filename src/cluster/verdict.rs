//! Which nodes say something else than the others, by their state hashes at one position.

use crate::store::postgres::Hashed;
use std::collections::{BTreeMap, BTreeSet};

/// Checks that are compared, from the newest on.
const NEWEST: usize = 3;

/// A comparison of the nodes of one edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub position: i64,
    /// The state hash of most nodes.
    pub hash: String,
    /// Names of the nodes that have it.
    pub right: Vec<String>,
    /// Id, name and state hash of the others.
    pub others: Vec<(String, String, String)>,
}

/// Compares the hashes of one edition at one position: of the newest checks, the one that most nodes have taken, so that a
/// check that is under way changes nothing. The hash of most nodes is taken to be right. Of two hashes that equally many
/// have, that of the node that joined first is: so two nodes that differ do not both leave. `None`: there is no hash.
pub fn verdict<'a>(hashes: impl IntoIterator<Item = &'a Hashed>) -> Option<Verdict> {
    let mut by_position: BTreeMap<i64, Vec<&Hashed>> = BTreeMap::new();
    for it in hashes {
        by_position.entry(it.position).or_default().push(it);
    }
    let newest = by_position.into_iter().rev().take(NEWEST);
    let (position, all) = newest.max_by_key(|(position, all)| (all.len(), *position))?;
    let mut by_hash: BTreeMap<&str, Vec<&Hashed>> = BTreeMap::new();
    for it in all {
        by_hash.entry(&it.hash).or_default().push(it);
    }
    let first = |all: &[&Hashed]| all.iter().map(|it| (it.joined_at, it.node.clone())).min();
    let right = by_hash
        .iter()
        .max_by(|(_, one), (_, other)| one.len().cmp(&other.len()).then_with(|| first(other).cmp(&first(one))))
        .map(|(hash, _)| (*hash).to_owned())?;
    let others = by_hash.values().flatten().filter(|it| it.hash != right);
    Some(Verdict {
        position,
        right: by_hash[right.as_str()].iter().map(|it| it.name.clone()).collect(),
        others: others.map(|it| (it.node.clone(), it.name.clone(), it.hash.clone())).collect(),
        hash: right,
    })
}

/// The hashes of one edition at positions that a node has taken itself.
pub fn comparable<'a>(hashes: &'a [Hashed], own: &str, edition: &str) -> Vec<&'a Hashed> {
    let of_edition = || hashes.iter().filter(|it| it.edition == edition);
    let taken: BTreeSet<i64> = of_edition().filter(|it| it.node == own).map(|it| it.position).collect();
    of_edition().filter(|it| taken.contains(&it.position)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(position: i64, node: &str, joined_at: i64, hash: &str) -> Hashed {
        let name = format!("name of {node}");
        let (node, edition, hash) = (node.to_owned(), "1".to_owned(), hash.to_owned());
        Hashed { position, node, name, joined_at, edition, hash }
    }

    fn others(hashes: &[Hashed]) -> Vec<String> {
        verdict(hashes).unwrap().others.into_iter().map(|it| it.0).collect()
    }

    #[test]
    fn most_nodes_are_right_and_the_first_one_where_equally_many_differ() {
        assert_eq!(verdict(&[]), None);
        let three = [hashed(9, "a", 1, "x"), hashed(9, "b", 2, "y"), hashed(9, "c", 3, "y")];
        assert_eq!(others(&three), ["a"]);
        let told = verdict(&three).unwrap();
        assert_eq!((told.position, told.hash.as_str(), told.right.len()), (9, "y", 2));
        assert_eq!(others(&three[..2]), ["b"]);
        let two = [hashed(9, "a", 5, "x"), hashed(9, "b", 2, "y")];
        assert_eq!(others(&two), ["a"]);
        assert!(others(&three[1..]).is_empty());
    }

    #[test]
    fn a_check_that_is_under_way_changes_nothing() {
        let mut all = vec![hashed(9, "a", 1, "x"), hashed(9, "b", 2, "y"), hashed(9, "c", 3, "y")];
        all.extend([hashed(12, "a", 1, "x"), hashed(12, "b", 2, "z")]);
        assert_eq!(others(&all), ["a"], "two of three have taken the new one");
        all.push(hashed(12, "c", 3, "x"));
        assert_eq!(others(&all), ["b"]);
    }

    #[test]
    fn other_editions_and_positions_that_a_node_has_not_taken_are_not_compared() {
        let newer = Hashed { edition: "2".into(), ..hashed(9, "c", 3, "y") };
        let all = [hashed(9, "a", 1, "x"), hashed(9, "b", 2, "y"), newer, hashed(12, "b", 2, "y")];
        let told: Vec<(i64, &str)> =
            comparable(&all, "a", "1").into_iter().map(|it| (it.position, it.node.as_str())).collect();
        assert_eq!(told, [(9, "a"), (9, "b")]);
        assert!(comparable(&all, "d", "1").is_empty());
    }
}
