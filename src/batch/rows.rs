//! Rows of one table in memory: loaded once, changed event by event, saved once for each batch.

use foldhash::HashMap;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

/// The bytes that a key and a row take in memory.
pub trait Bytes {
    fn bytes(&self) -> usize;

    /// The bytes that the file has to hold in one row.
    fn in_one_row(&self) -> usize {
        self.bytes()
    }
}

/// A row as it is now, and as the file has it. `None`: there is no row.
#[derive(Debug)]
struct Slot<V> {
    now: Option<Arc<V>>,
    stored: Option<Arc<V>>,
    /// The bytes counted for the slot.
    bytes: usize,
    /// Whether the key is in the set of changed keys.
    is_changed: bool,
}

/// The rows of one table that this batch and earlier ones have seen.
///
/// Rows live in two generations. A row that is used moves into the younger generation. When the younger generation is
/// full, it becomes the older one, and the rows of the old one are forgotten.
///
/// The collections share their keys: an event may change a hundred thousand rows at once.
#[derive(Debug)]
pub struct Rows<K, V> {
    younger: HashMap<Arc<K>, Slot<V>>,
    older: HashMap<Arc<K>, Slot<V>>,
    /// Bytes of the younger generation.
    bytes: usize,
    /// Keys of the rows that may differ from the file.
    changed: BTreeSet<Arc<K>>,
    /// The rows that the current event changed, as they were before.
    before: HashMap<Arc<K>, Option<Arc<V>>>,
    /// The row with default values, once there is one.
    made: Option<Arc<V>>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self {
            younger: HashMap::default(),
            older: HashMap::default(),
            bytes: 0,
            changed: BTreeSet::new(),
            before: HashMap::default(),
            made: None,
        }
    }
}

impl<K: Clone + Eq + Hash + Ord + Bytes, V: Clone + PartialEq + Bytes> Rows<K, V> {
    /// Puts the row into the younger generation, and gives its key there. `load` reads a new row from the file.
    fn see<E>(&mut self, key: &K, load: impl FnOnce() -> Result<Option<V>, E>) -> Result<Arc<K>, E> {
        if let Some((key, _)) = self.younger.get_key_value(key) {
            return Ok(Arc::clone(key));
        }
        if let Some((key, slot)) = self.older.remove_entry(key) {
            return Ok(self.put(key, slot));
        }
        Ok(self.put_loaded(key.clone(), load()?))
    }

    /// Puts a row that the file has into the younger generation.
    fn put_loaded(&mut self, key: K, stored: Option<V>) -> Arc<K> {
        let stored = stored.map(Arc::new);
        let bytes = key.bytes() + stored.as_ref().map_or(0, |row| row.bytes());
        self.put(Arc::new(key), Slot { now: stored.clone(), stored, bytes, is_changed: false })
    }

    fn put(&mut self, key: Arc<K>, slot: Slot<V>) -> Arc<K> {
        self.bytes += slot.bytes;
        self.younger.insert(Arc::clone(&key), slot);
        key
    }

    /// Puts many rows into the younger generation at once. `load` reads the new ones from the file.
    pub fn see_all<E>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        load: impl FnOnce(&[K]) -> Result<std::collections::HashMap<K, V>, E>,
    ) -> Result<(), E> {
        let unseen = |key: &K| !self.younger.contains_key(key) && !self.older.contains_key(key);
        let keys: Vec<K> = keys.into_iter().filter(unseen).collect();
        let mut found = load(&keys)?;
        for key in keys {
            // An event may name somebody twice.
            if !self.younger.contains_key(&key) {
                let row = found.remove(&key);
                self.put_loaded(key, row);
            }
        }
        Ok(())
    }

    /// The row as it is now.
    pub fn get<E>(&mut self, key: &K, load: impl FnOnce() -> Result<Option<V>, E>) -> Result<Option<&V>, E> {
        self.see(key, load)?;
        Ok(self.younger.get(key).and_then(|slot| slot.now.as_deref()))
    }

    /// The row, to be changed by the current event. A missing row is made with default values.
    pub fn edit<E>(&mut self, key: &K, load: impl FnOnce() -> Result<Option<V>, E>) -> Result<&mut V, E>
    where
        V: Default,
    {
        let now = self.now(key, load)?;
        Ok(Arc::make_mut(now.get_or_insert_default()))
    }

    /// Makes a missing row with default values. All such rows are one in memory until they are edited.
    pub fn make<E>(&mut self, key: &K, load: impl FnOnce() -> Result<Option<V>, E>) -> Result<(), E>
    where
        V: Default,
    {
        if self.get(key, load)?.is_none() {
            let made = Arc::clone(self.made.get_or_insert_default());
            *self.now(key, || Ok(None))? = Some(made);
        }
        Ok(())
    }

    /// The row as it is now, to be changed by the current event.
    fn now<E>(&mut self, key: &K, load: impl FnOnce() -> Result<Option<V>, E>) -> Result<&mut Option<Arc<V>>, E> {
        let key = self.see(key, load)?;
        let unseen = Slot { now: None, stored: None, bytes: 0, is_changed: false };
        let slot = self.younger.entry(Arc::clone(&key)).or_insert(unseen);
        if !self.before.contains_key(&key) {
            self.before.insert(Arc::clone(&key), slot.now.clone());
            if !std::mem::replace(&mut slot.is_changed, true) {
                self.changed.insert(key);
            }
        }
        Ok(&mut slot.now)
    }

    /// The row, if it was seen before. `None`: the file has to be asked.
    pub fn known(&self, key: &K) -> Option<Option<&V>> {
        self.younger.get(key).or_else(|| self.older.get(key)).map(|slot| slot.now.as_deref())
    }

    /// Whether the row is as the file has it.
    pub fn is_saved(&self, key: &K) -> bool {
        let slot = self.younger.get(key).or_else(|| self.older.get(key));
        slot.is_none_or(|slot| match (&slot.now, &slot.stored) {
            (Some(now), Some(stored)) => Arc::ptr_eq(now, stored),
            (now, stored) => now.is_none() && stored.is_none(),
        })
    }

    /// Whether the current event made a row larger than this many bytes.
    pub fn exceeds(&self, most: usize) -> bool {
        let row = |key: &K| self.younger.get(key).and_then(|slot| slot.now.as_ref());
        self.before.keys().any(|key| row(key).is_some_and(|row| row.in_one_row() > most))
    }

    /// Rows that the current event was given to change: the key, the row before the event and the row now.
    pub fn edited(&self) -> impl Iterator<Item = (&Arc<K>, Option<&V>, &V)> {
        self.before.iter().filter_map(|(key, before)| {
            let now = self.younger.get(key)?.now.as_deref()?;
            Some((key, before.as_deref(), now))
        })
    }

    /// Keeps the changes of the current event.
    pub fn keep(&mut self) {
        self.before.clear();
    }

    /// Undoes the changes of the current event.
    pub fn take_back(&mut self) {
        for (key, before) in std::mem::take(&mut self.before) {
            if let Some(slot) = self.younger.get_mut(&key) {
                slot.now = before;
                slot.is_changed = true;
                self.changed.insert(key);
            }
        }
    }

    /// Keys of the rows that may differ from the file, from a key on.
    pub fn changed_from(&self, key: &K) -> impl Iterator<Item = &K> {
        self.changed.range::<K, _>(key..).map(|key| &**key)
    }

    /// Rows that differ from the file, in the order of their keys: the key, the row of the file and the row now.
    pub fn changed(&self) -> impl Iterator<Item = (&K, Option<&V>, &V)> {
        self.changed.iter().filter_map(|key| {
            let slot = self.younger.get(key).filter(|slot| slot.now != slot.stored)?;
            Some((&**key, slot.stored.as_deref(), slot.now.as_deref()?))
        })
    }

    /// Saves the rows that differ from the file, in the order of their keys: `save` is given the key, the row of the file
    /// and the row now.
    pub fn save<E>(&mut self, save: impl FnMut(&K, Option<&V>, &V) -> Result<(), E>) -> Result<(), E> {
        self.save_some(&mut { usize::MAX }, save)?;
        self.before.clear();
        Ok(())
    }

    /// The same, for at most `most` rows. `most` is lowered by their number.
    pub fn save_some<E>(
        &mut self,
        most: &mut usize,
        mut save: impl FnMut(&K, Option<&V>, &V) -> Result<(), E>,
    ) -> Result<(), E> {
        while *most > 0 {
            let Some(key) = self.changed.pop_first() else { break };
            let Some(slot) = self.younger.get_mut(&key) else { continue };
            slot.is_changed = false;
            let Some(now) = slot.now.as_ref().filter(|_| slot.now != slot.stored) else { continue };
            save(&key, slot.stored.as_deref(), now)?;
            let bytes = key.bytes() + now.bytes();
            self.bytes = self.bytes + bytes - slot.bytes;
            slot.bytes = bytes;
            slot.stored = Some(Arc::clone(now));
            *most -= 1;
        }
        Ok(())
    }

    /// Number of rows that may differ from the file.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Keys of the younger rows.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.younger.keys().map(|key| &**key)
    }

    /// Bytes of the younger rows.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The younger rows become the older ones, and the older ones are forgotten. Call this when everything is saved.
    pub fn forget_old(&mut self) {
        self.older = std::mem::take(&mut self.younger);
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    impl Bytes for i32 {
        fn bytes(&self) -> usize {
            4
        }
    }

    fn nothing() -> Result<Option<i32>, Infallible> {
        Ok(None)
    }

    fn edit(rows: &mut Rows<i32, i32>, key: i32, value: i32) {
        *rows.edit(&key, nothing).unwrap() = value;
    }

    fn saved(rows: &mut Rows<i32, i32>) -> Vec<(i32, Option<i32>, i32)> {
        let mut saved = Vec::new();
        let save = |key: &i32, stored: Option<&i32>, now: &i32| {
            saved.push((*key, stored.copied(), *now));
            Ok::<_, Infallible>(())
        };
        rows.save(save).unwrap();
        saved
    }

    #[test]
    fn rows_are_saved_once_in_the_order_of_keys() {
        let mut rows = Rows::default();
        for (key, value) in [(2, 5), (1, 6), (2, 7)] {
            edit(&mut rows, key, value);
            rows.keep();
        }
        assert_eq!(saved(&mut rows), [(1, None, 6), (2, None, 7)]);
        edit(&mut rows, 2, 7);
        assert_eq!(saved(&mut rows), [], "the file has it already");
    }

    #[test]
    fn made_rows_are_one_in_memory_until_they_are_edited() {
        let mut rows = Rows::<i32, i32>::default();
        for key in [1, 2, 3] {
            rows.make(&key, nothing).unwrap();
        }
        let is_shared = |rows: &Rows<i32, i32>, key: i32| {
            let row = |key: i32| rows.younger[&key].now.as_ref().unwrap();
            Arc::ptr_eq(row(1), row(key))
        };
        assert!(is_shared(&rows, 2) && is_shared(&rows, 3));
        edit(&mut rows, 3, 5);
        assert!(!is_shared(&rows, 3));
        rows.make(&3, nothing).unwrap();
        assert_eq!(saved(&mut rows), [(1, None, 0), (2, None, 0), (3, None, 5)]);
    }

    #[test]
    fn a_row_that_is_named_twice_is_loaded_once() {
        let mut rows = Rows::<i32, i32>::default();
        rows.see_all([1, 1], |_| Ok::<_, Infallible>([(1, 7)].into())).unwrap();
        assert_eq!(rows.get(&1, nothing).unwrap(), Some(&7));
    }

    #[test]
    fn a_failed_event_leaves_rows_as_they_were_before_it() {
        let mut rows = Rows::default();
        edit(&mut rows, 1, 5);
        rows.keep();
        assert_eq!(saved(&mut rows).len(), 1);
        edit(&mut rows, 1, 6);
        rows.keep();
        for value in [7, 8] {
            edit(&mut rows, 1, value);
            edit(&mut rows, 2, value);
        }
        rows.take_back();
        assert_eq!(rows.get(&1, nothing).unwrap(), Some(&6));
        assert_eq!(rows.get(&2, nothing).unwrap(), None);
        assert_eq!(saved(&mut rows), [(1, Some(5), 6)]);
    }

    #[test]
    fn rows_that_were_used_lately_stay_in_memory() {
        let mut rows = Rows::<i32, i32>::default();
        let loads = std::cell::Cell::new(0);
        let load = || {
            loads.set(loads.get() + 1);
            Ok::<_, Infallible>(Some(1))
        };
        rows.get(&1, load).unwrap();
        rows.get(&2, load).unwrap();
        rows.forget_old();
        rows.get(&1, load).unwrap();
        rows.get(&3, load).unwrap();
        rows.forget_old();
        rows.get(&1, load).unwrap();
        assert_eq!(loads.get(), 3, "1 was used since");
        rows.get(&2, load).unwrap();
        assert_eq!(loads.get(), 4, "2 was not");
    }
}
