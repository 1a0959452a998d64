//! Who speaks, and how loudly, told at most every 400 ms and only when it changed.
//!
//! Levels come from the media plane per publication; here they become one entry per participant. Levels are told in
//! eighths, so that a voice that only wavers causes no message.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How often a change may be told (LiveKit's `audio.update_interval`).
pub(crate) const UPDATE_INTERVAL: Duration = Duration::from_millis(400);

/// Steps into which a level of 0 to 1 is divided.
const LEVEL_STEPS: f32 = 8.0;

/// What is told about one participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speaking {
    /// 0 to 1, in eighths; 0 when silent.
    pub(crate) level: f32,
    /// Whether the participant speaks.
    pub(crate) active: bool,
}

impl Speaking {
    const SILENT: Speaking = Speaking {
        level: 0.0,
        active: false,
    };

    fn new(level: f32, active: bool) -> Self {
        let level = if level.is_finite() {
            level.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let level = (level * LEVEL_STEPS).ceil() / LEVEL_STEPS;
        if active && level > 0.0 {
            Speaking { level, active }
        } else {
            Speaking::SILENT
        }
    }
}

/// Levels of a room's microphones. `S` names a participant, `P` a publication.
#[derive(Debug)]
pub(crate) struct Speakers<S, P> {
    levels: HashMap<P, (S, Speaking)>,
    told: HashMap<S, Speaking>,
    last_update: Option<Instant>,
}

impl<S: Copy + Eq + std::hash::Hash + Ord, P: Eq + std::hash::Hash> Speakers<S, P> {
    /// A silent room.
    pub(crate) fn new() -> Self {
        Speakers {
            levels: HashMap::new(),
            told: HashMap::new(),
            last_update: None,
        }
    }

    /// Notes a level. Answers when the change is to be told, `None` when there is none to tell.
    pub(crate) fn set(
        &mut self,
        now: Instant,
        speaker: S,
        publication: P,
        level: f32,
        active: bool,
    ) -> Option<Instant> {
        let speaking = Speaking::new(level, active);
        if speaking.active {
            self.levels.insert(publication, (speaker, speaking));
        } else {
            self.levels.remove(&publication);
        }
        self.due(now, speaker)
    }

    /// A publication ended or was muted.
    pub(crate) fn clear(&mut self, now: Instant, speaker: S, publication: &P) -> Option<Instant> {
        self.levels.remove(publication)?;
        self.due(now, speaker)
    }

    /// A participant left: nothing more is told about it.
    pub(crate) fn forget(&mut self, speaker: S) {
        self.levels.retain(|_, (of, _)| *of != speaker);
        self.told.remove(&speaker);
    }

    /// What was last told about `speaker`, if it speaks.
    pub(crate) fn current(&self, speaker: S) -> Option<Speaking> {
        self.told.get(&speaker).copied()
    }

    fn due(&self, now: Instant, speaker: S) -> Option<Instant> {
        if self.told.get(&speaker).copied() == self.loudest(speaker) {
            return None;
        }
        Some(match self.last_update {
            Some(last) => now.max(last + UPDATE_INTERVAL),
            None => now,
        })
    }

    fn loudest(&self, speaker: S) -> Option<Speaking> {
        self.levels
            .values()
            .filter(|(of, _)| *of == speaker)
            .map(|(_, speaking)| *speaking)
            .max_by(|a, b| a.level.total_cmp(&b.level))
    }

    /// What changed since the last call: loudest first, those that fell silent last.
    pub(crate) fn changes(&mut self, now: Instant) -> Vec<(S, Speaking)> {
        let mut current: HashMap<S, Speaking> = HashMap::with_capacity(self.levels.len());
        for (speaker, speaking) in self.levels.values() {
            let loudest = current.entry(*speaker).or_insert(*speaking);
            if speaking.level > loudest.level {
                *loudest = *speaking;
            }
        }
        let mut changes: Vec<(S, Speaking)> = current
            .iter()
            .filter(|(speaker, speaking)| self.told.get(speaker) != Some(*speaking))
            .map(|(speaker, speaking)| (*speaker, *speaking))
            .chain(
                self.told
                    .keys()
                    .filter(|speaker| !current.contains_key(speaker))
                    .map(|speaker| (*speaker, Speaking::SILENT)),
            )
            .collect();
        changes.sort_by(|(a, x), (b, y)| y.level.total_cmp(&x.level).then(a.cmp(b)));
        self.told = current;
        if !changes.is_empty() {
            self.last_update = Some(now);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_told_in_eighths_and_only_when_it_changed() {
        let start = Instant::now();
        let mut speakers = Speakers::new();
        assert_eq!(speakers.set(start, 1, 'a', 0.30, true), Some(start));
        assert_eq!(
            speakers.changes(start),
            [(
                1,
                Speaking {
                    level: 0.375,
                    active: true
                }
            )]
        );
        let later = start + Duration::from_millis(100);
        assert_eq!(speakers.set(later, 1, 'a', 0.31, true), None);
        assert_eq!(
            speakers.set(later, 1, 'a', 0.9, true),
            Some(start + UPDATE_INTERVAL)
        );
    }

    #[test]
    fn the_loudest_publication_of_a_participant_counts() {
        let start = Instant::now();
        let mut speakers = Speakers::new();
        speakers.set(start, 1, 'a', 0.5, true);
        speakers.set(start, 1, 'b', 0.25, true);
        speakers.set(start, 2, 'c', 1.0, true);
        let told: Vec<_> = speakers
            .changes(start)
            .into_iter()
            .map(|(speaker, speaking)| (speaker, speaking.level))
            .collect();
        assert_eq!(told, [(2, 1.0), (1, 0.5)]);
    }

    #[test]
    fn one_who_falls_silent_is_told_once_with_level_zero() {
        let start = Instant::now();
        let mut speakers = Speakers::new();
        speakers.set(start, 1, 'a', 0.5, true);
        speakers.changes(start);
        assert!(speakers.clear(start, 1, &'a').is_some());
        assert_eq!(speakers.changes(start), [(1, Speaking::SILENT)]);
        assert_eq!(speakers.changes(start), []);
        assert_eq!(speakers.clear(start, 1, &'a'), None);
    }

    #[test]
    fn nothing_is_told_about_one_who_left() {
        let start = Instant::now();
        let mut speakers = Speakers::new();
        speakers.set(start, 1, 'a', 0.5, true);
        speakers.changes(start);
        speakers.forget(1);
        assert_eq!(speakers.changes(start), []);
    }

    #[test]
    fn a_level_that_is_not_a_number_is_silence() {
        let start = Instant::now();
        let mut speakers = Speakers::<u8, char>::new();
        assert_eq!(speakers.set(start, 1, 'a', f32::NAN, true), None);
    }
}
