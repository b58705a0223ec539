//! Memory that does not grow for ever.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// The newest of what came.
#[derive(Debug)]
pub(crate) struct Newest<T> {
    items: VecDeque<T>,
    max: usize,
    /// The number that the next one gets; numbers are never used again.
    next: u64,
    total: u64,
}

impl<T: Clone> Newest<T> {
    pub fn new(max: usize) -> Newest<T> {
        Newest { items: VecDeque::new(), max, next: 0, total: 0 }
    }

    /// Puts one in, and gives the number under which it is found again.
    pub fn push(&mut self, item: T) -> u64 {
        if self.items.len() == self.max {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.next += 1;
        self.total += 1;
        self.next - 1
    }

    /// The one of this number, if it is still kept.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let behind = usize::try_from(self.next - number).ok()?;
        let index = self.items.len().checked_sub(behind)?;
        self.items.get_mut(index)
    }

    /// So many of the newest, the newest last.
    pub fn newest(&self, count: usize) -> Vec<T> {
        self.items.iter().skip(self.items.len().saturating_sub(count)).cloned().collect()
    }

    /// How many came.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn clear(&mut self) {
        self.items.clear();
        self.total = 0;
    }
}

/// A map that forgets its oldest entries.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    entries: HashMap<String, (u64, T)>,
    by_age: BTreeMap<u64, String>,
    max: usize,
    next: u64,
}

impl<T> Memory<T> {
    pub fn new(max: usize) -> Memory<T> {
        Memory { entries: HashMap::new(), by_age: BTreeMap::new(), max, next: 0 }
    }

    pub fn get(&self, key: &str) -> Option<&T> {
        self.entries.get(key).map(|(_, item)| item)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.entries.get_mut(key).map(|(_, item)| item)
    }

    pub fn insert(&mut self, key: &str, item: T) {
        self.remove(key);
        if self.entries.len() == self.max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_age.insert(self.next, key.to_owned());
        self.entries.insert(key.to_owned(), (self.next, item));
        self.next += 1;
    }

    pub fn remove(&mut self, key: &str) {
        if let Some((age, _)) = self.entries.remove(key) {
            self.by_age.remove(&age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_found_by_their_numbers() {
        let mut kept = Newest::new(2);
        let numbers = ["a", "b", "c"].map(|item| kept.push(item));
        assert_eq!((kept.newest(9), kept.newest(1), kept.total()), (vec!["b", "c"], vec!["c"], 3));
        assert_eq!(numbers.map(|number| kept.get_mut(number).copied()), [None, Some("b"), Some("c")]);
        kept.clear();
        assert_eq!((kept.get_mut(numbers[2]).copied(), kept.total()), (None, 0));
        let number = kept.push("d");
        assert_eq!([number, numbers[2]].map(|number| kept.get_mut(number).copied()), [Some("d"), None]);
    }

    #[test]
    fn the_oldest_entry_is_forgotten() {
        let mut memory = Memory::new(2);
        memory.insert("a", 1);
        memory.insert("b", 2);
        memory.insert("a", 3);
        memory.insert("c", 4);
        assert_eq!(["a", "b", "c"].map(|key| memory.get(key).copied()), [Some(3), None, Some(4)]);
        memory.remove("a");
        memory.insert("d", 5);
        assert_eq!(["a", "c", "d"].map(|key| memory.get(key).copied()), [None, Some(4), Some(5)]);
    }
}
