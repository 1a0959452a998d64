//! Single peer connection: how many more receiving sections the client is to add, without asking twice.
//!
//! The client answers a `MediaSectionsRequirement` with an offer that holds that many more `recvonly` sections. Until then
//! what was asked for is subtracted. A client that offers twice without having added them is taken to have missed the
//! request.

use kith_rtp::MediaKind;

/// Offers without the sections asked for, after which they are asked for again.
const PATIENCE: u8 = 2;

/// Sections of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SectionCounts {
    /// Audio sections.
    pub(crate) audio: u32,
    /// Video sections.
    pub(crate) video: u32,
}

impl SectionCounts {
    /// The count of `kind`.
    pub(crate) fn get_mut(&mut self, kind: MediaKind) -> &mut u32 {
        match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        }
    }

    /// Nothing at all.
    pub(crate) fn is_empty(self) -> bool {
        self == SectionCounts::default()
    }

    fn saturating_sub(self, other: SectionCounts) -> SectionCounts {
        SectionCounts {
            audio: self.audio.saturating_sub(other.audio),
            video: self.video.saturating_sub(other.video),
        }
    }
}

/// What has been asked for and not yet offered.
#[derive(Debug, Default)]
pub(crate) struct Requirement {
    asked: SectionCounts,
    /// An offer is under way because of a request.
    awaiting_offer: bool,
    fruitless_offers: u8,
}

impl Requirement {
    /// Something changed that needs an offer, and `missing` senders have no section. Answers what to ask for, if at all.
    pub(crate) fn ask(&mut self, missing: SectionCounts) -> Option<SectionCounts> {
        let more = missing.saturating_sub(self.asked);
        if self.awaiting_offer && more.is_empty() {
            return None;
        }
        self.awaiting_offer = true;
        self.asked.audio = self.asked.audio.saturating_add(more.audio);
        self.asked.video = self.asked.video.saturating_add(more.video);
        Some(more)
    }

    /// An offer came with `added` receiving sections that the one before did not have.
    pub(crate) fn on_offer(&mut self, added: SectionCounts) {
        self.awaiting_offer = false;
        self.asked = self.asked.saturating_sub(added);
        if self.asked.is_empty() || !added.is_empty() {
            self.fruitless_offers = 0;
            return;
        }
        self.fruitless_offers += 1;
        if self.fruitless_offers >= PATIENCE {
            self.forget();
        }
    }

    /// The client starts anew (resume): nothing is under way.
    pub(crate) fn forget(&mut self) {
        *self = Requirement::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(audio: u32, video: u32) -> SectionCounts {
        SectionCounts { audio, video }
    }

    #[test]
    fn a_change_that_fits_into_free_sections_asks_for_an_offer_only() {
        let mut requirement = Requirement::default();
        assert_eq!(requirement.ask(counts(0, 0)), Some(counts(0, 0)));
        assert_eq!(requirement.ask(counts(0, 0)), None);
        requirement.on_offer(counts(0, 0));
        assert_eq!(requirement.ask(counts(0, 0)), Some(counts(0, 0)));
    }

    #[test]
    fn what_was_asked_for_is_not_asked_for_again() {
        let mut requirement = Requirement::default();
        assert_eq!(requirement.ask(counts(1, 2)), Some(counts(1, 2)));
        assert_eq!(requirement.ask(counts(1, 3)), Some(counts(0, 1)));
        // An offer that was under way for another reason brings nothing.
        requirement.on_offer(counts(0, 0));
        assert_eq!(requirement.ask(counts(1, 3)), Some(counts(0, 0)));
        requirement.on_offer(counts(1, 3));
        assert_eq!(requirement.ask(counts(0, 1)), Some(counts(0, 1)));
    }

    #[test]
    fn a_client_that_never_adds_them_is_asked_again() {
        let mut requirement = Requirement::default();
        requirement.ask(counts(1, 0));
        requirement.on_offer(counts(0, 0));
        requirement.on_offer(counts(0, 0));
        assert_eq!(requirement.ask(counts(1, 0)), Some(counts(1, 0)));
    }
}
