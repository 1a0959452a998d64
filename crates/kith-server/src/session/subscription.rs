//! What a participant wants of the tracks of others, and how far it has come.

use std::collections::HashMap;

use kith_net::{PublicationId, SubscriptionId};
use kith_rtp::Codec;

use crate::room::layers::TrackSettings;

/// Wishes and settings that are kept for tracks that do not exist (yet), per participant. A client sends them for the
/// tracks of a room that it is joining; the protocol's largest rooms have some hundred tracks per client.
pub(crate) const MAX_REMEMBERED: usize = 1024;

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It waits for a section.
    Waiting,
    /// It has a section in an offer of ours that is not answered yet.
    Offered,
    /// The subscriber can only take a codec in which the track is not published yet.
    NeedsCodec(Codec),
    /// It is sent.
    Active {
        subscription: SubscriptionId,
        publication: PublicationId,
    },
    /// The subscriber has none of the codecs.
    Unsupported,
}

/// A track that a participant wants and may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    pub(crate) progress: Progress,
    /// What the client said about how it shows the track.
    pub(crate) settings: TrackSettings,
    /// The subscriber cannot take spatial layers of one stream apart: it gets the lowest, which decodes alone.
    pub(crate) lowest_only: bool,
}

/// A bounded memory of what was said about tracks by sid.
#[derive(Debug)]
pub(crate) struct Remembered<T> {
    by_sid: HashMap<String, T>,
}

impl<T: Copy> Remembered<T> {
    pub(crate) fn new() -> Self {
        Remembered {
            by_sid: HashMap::new(),
        }
    }

    /// Remembers, unless too much is remembered already.
    pub(crate) fn set(&mut self, sid: &str, value: T) {
        if let Some(known) = self.by_sid.get_mut(sid) {
            *known = value;
        } else if self.by_sid.len() < MAX_REMEMBERED {
            self.by_sid.insert(sid.to_owned(), value);
        }
    }

    pub(crate) fn get(&self, sid: &str) -> Option<T> {
        self.by_sid.get(sid).copied()
    }

    pub(crate) fn forget(&mut self, sid: &str) {
        self.by_sid.remove(sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_is_remembered() {
        let mut remembered = Remembered::new();
        for n in 0..MAX_REMEMBERED + 10 {
            remembered.set(&n.to_string(), true);
        }
        assert_eq!(remembered.get("0"), Some(true));
        assert_eq!(remembered.get(&MAX_REMEMBERED.to_string()), None);
        remembered.set("0", false);
        assert_eq!(remembered.get("0"), Some(false));
        remembered.forget("0");
        remembered.set("new", true);
        assert_eq!(remembered.get("new"), Some(true));
    }
}
