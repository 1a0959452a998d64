//! The 5-tuples on which an authentic STUN message arrived, and which of them media takes.

use std::time::{Duration, Instant};

use crate::api::Path;

/// Validated 5-tuples per connection. A browser with Wi-Fi, mobile and VPN interfaces in two address families against a few of our
/// addresses comes to about 20 pairs; beyond the limit the one that was silent for longest makes room.
pub(crate) const MAX_PATHS: usize = 32;

/// A path other than the selected one is forgotten after this much silence (consent, RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(30);

struct Entry {
    path: Path,
    last_heard: Instant,
}

/// A small table, the selected path first, so that media finds its path with one comparison.
#[derive(Default)]
pub(crate) struct Paths {
    entries: Vec<Entry>,
    selected: bool,
}

/// Where a path stands in the table, until the table changes.
#[derive(Clone, Copy)]
pub(crate) struct PathIndex(usize);

impl Paths {
    /// Whether this path was validated.
    #[inline]
    pub(crate) fn find(&self, path: &Path) -> Option<PathIndex> {
        self.entries
            .iter()
            .position(|entry| entry.path == *path)
            .map(PathIndex)
    }

    /// Notes that the peer was heard on a path.
    #[inline]
    pub(crate) fn heard(&mut self, index: PathIndex, now: Instant) {
        if let Some(entry) = self.entries.get_mut(index.0) {
            entry.last_heard = now;
        }
    }

    /// Makes a path valid, and notes that the peer was heard on it.
    pub(crate) fn validate(&mut self, path: Path, now: Instant) {
        if let Some(index) = self.find(&path) {
            return self.heard(index, now);
        }
        let keep = usize::from(self.selected);
        if self.entries.len() >= MAX_PATHS {
            let silent = self
                .entries
                .iter()
                .enumerate()
                .skip(keep)
                .min_by_key(|(_, entry)| entry.last_heard);
            if let Some((at, _)) = silent {
                self.entries.swap_remove(at);
            }
        }
        self.entries.push(Entry {
            path,
            last_heard: now,
        });
    }

    /// Sends media this way. Returns whether that is a change.
    pub(crate) fn select(&mut self, path: Path, now: Instant) -> bool {
        if self.selected() == Some(path) {
            return false;
        }
        if self.find(&path).is_none() {
            self.validate(path, now);
        }
        if let Some(PathIndex(at)) = self.find(&path) {
            self.entries.swap(0, at);
        }
        self.selected = true;
        true
    }

    /// Where media goes.
    #[inline]
    pub(crate) fn selected(&self) -> Option<Path> {
        self.first().map(|entry| entry.path)
    }

    /// When the peer was last heard on the selected path.
    pub(crate) fn selected_last_heard(&self) -> Option<Instant> {
        self.first().map(|entry| entry.last_heard)
    }

    /// Forgets a path. Returns whether it was the selected one.
    pub(crate) fn remove(&mut self, path: &Path) -> bool {
        let Some(PathIndex(at)) = self.find(path) else {
            return false;
        };
        let was_selected = self.selected && at == 0;
        self.selected &= !was_selected;
        self.entries.remove(at);
        was_selected
    }

    /// Forgets paths without consent, save the selected one.
    pub(crate) fn expire(&mut self, now: Instant) {
        let selected = self.selected();
        self.entries.retain(|entry| {
            Some(entry.path) == selected
                || now.saturating_duration_since(entry.last_heard) < CONSENT
        });
    }

    #[inline]
    fn first(&self) -> Option<&Entry> {
        self.entries.first().filter(|_| self.selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Protocol;

    fn path(port: u16) -> Path {
        Path {
            proto: Protocol::Udp,
            local: ([10, 0, 0, 1], 7882).into(),
            remote: ([10, 0, 0, 2], port).into(),
        }
    }

    #[test]
    fn the_selected_path_survives_a_flood_of_others() {
        let start = Instant::now();
        let mut paths = Paths::default();
        assert!(paths.select(path(1), start));
        for port in 2..200 {
            paths.validate(path(port), start + Duration::from_millis(port.into()));
        }
        assert_eq!(paths.entries.len(), MAX_PATHS);
        assert_eq!(paths.selected(), Some(path(1)));
        assert!(paths.find(&path(199)).is_some());
        assert!(paths.find(&path(2)).is_none());
        assert!(!paths.select(path(1), start));
        assert!(paths.select(path(199), start));
        assert!(paths.find(&path(1)).is_some());
    }

    #[test]
    fn silence_costs_validity() {
        let start = Instant::now();
        let mut paths = Paths::default();
        paths.validate(path(1), start);
        paths.select(path(2), start);
        paths.expire(start + CONSENT);
        assert!(paths.find(&path(1)).is_none());
        assert_eq!(paths.selected(), Some(path(2)));
        assert!(paths.remove(&path(2)));
        assert_eq!(paths.selected(), None);
    }
}
