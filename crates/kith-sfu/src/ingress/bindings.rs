//! Which SSRC belongs to which encoding.

use std::time::{Duration, Instant};

use kith_rtp::Ssrc;
use rustc_hash::FxHashMap;

/// SSRCs bound at a time. Each encoding has at most a declared and a current one, each with its RTX; with the limits on
/// sections and layers this is never reached by a spec, only named so that the table has a bound of its own.
const MAX_BOUND: usize = 4096;

/// Unknown SSRCs remembered. A transport has a handful; a peer that invents more only costs itself their look-up.
const MAX_UNKNOWN: usize = 32;

/// So many packets of an unknown SSRC are looked at one by one ...
const PROBES: u32 = 10;

/// ... and then each 32nd, for senders that attach their extensions late.
const PROBE_EVERY: u32 = 32;

/// SSRCs remembered as replaced.
const MAX_RETIRED: usize = 16;

/// For so long after its replacement an SSRC cannot become current again: its last packets are still on the way.
const RETIRED_FOR: Duration = Duration::from_secs(2);

/// What an SSRC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// Index of the encoding in the receiver's list.
    pub(super) layer: usize,
    /// Whether it carries retransmissions.
    pub(super) rtx: bool,
}

/// The SSRCs of a transport: bound, retired and unknown ones. **All three are bounded.**
#[derive(Debug, Default)]
pub(super) struct Bindings {
    bound: FxHashMap<u32, Binding>,
    retired: Vec<(Ssrc, Instant)>,
    /// SSRC and how many packets it had. Full: the oldest entry makes place.
    unknown: Vec<(Ssrc, u32)>,
    next_unknown: usize,
}

impl Bindings {
    pub(super) fn get(&self, ssrc: Ssrc) -> Option<Binding> {
        self.bound.get(&ssrc.0).copied()
    }

    /// Binds `ssrc`, if there is place.
    pub(super) fn bind(&mut self, ssrc: Ssrc, binding: Binding) {
        if self.bound.len() < MAX_BOUND || self.bound.contains_key(&ssrc.0) {
            self.bound.insert(ssrc.0, binding);
            self.unknown.retain(|(unknown, _)| *unknown != ssrc);
            self.next_unknown = 0;
        }
    }

    pub(super) fn unbind(&mut self, ssrc: Ssrc) {
        self.bound.remove(&ssrc.0);
    }

    /// `ssrc` was replaced: unbinds it, and keeps it from coming back at once.
    pub(super) fn retire(&mut self, ssrc: Ssrc, now: Instant) {
        self.unbind(ssrc);
        self.retired.retain(|(_, until)| *until > now);
        if self.retired.len() == MAX_RETIRED {
            self.retired.remove(0);
        }
        self.retired.push((ssrc, now + RETIRED_FOR));
    }

    /// Whether a packet of the unbound `ssrc` is worth the look at its extensions.
    pub(super) fn may_probe(&mut self, ssrc: Ssrc, now: Instant) -> bool {
        if self
            .retired
            .iter()
            .any(|(retired, until)| *retired == ssrc && *until > now)
        {
            return false;
        }
        if let Some((_, packets)) = self
            .unknown
            .iter_mut()
            .find(|(unknown, _)| *unknown == ssrc)
        {
            *packets = packets.wrapping_add(1);
            return *packets < PROBES || *packets % PROBE_EVERY == 0;
        }
        if self.unknown.len() < MAX_UNKNOWN {
            self.unknown.push((ssrc, 0));
        } else if let Some(slot) = self.unknown.get_mut(self.next_unknown) {
            *slot = (ssrc, 0);
            self.next_unknown = (self.next_unknown + 1) % MAX_UNKNOWN;
        }
        true
    }

    /// Forgets what is bound and unknown; what is retired stays retired.
    pub(super) fn clear(&mut self) {
        self.bound.clear();
        self.unknown.clear();
        self.next_unknown = 0;
    }

    /// Entries in all tables.
    pub(super) fn len(&self) -> usize {
        self.bound.len() + self.retired.len() + self.unknown.len()
    }
}
