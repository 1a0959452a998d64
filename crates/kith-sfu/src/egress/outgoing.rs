//! Decisions: what is to be written for a subscriber.

use super::sequencer::Sent;

/// Most packets that one incoming packet can become: itself, and two before it that were lost and are recovered from
/// its redundancy (RED).
pub const MAX_OUTGOING: usize = 3;

/// The decision to send one packet to a subscriber: which stored packet, with which numbers. [`super::DownTrack::write`]
/// turns it into a packet while the hub's history still has the bytes, **once**: sealing the same packet index a second
/// time with another stamp in it would give the key away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Extended sequence number on the stream.
    pub(super) sequence: u64,
    /// Extended sequence number on the stream of retransmissions; 0: it does not go there.
    pub(super) rtx: u32,
    pub(super) sent: Sent,
}

const _: () = assert!(size_of::<Outgoing>() <= 32);

impl Outgoing {
    /// Whether it is a retransmission on the RTX stream.
    #[inline]
    pub fn is_rtx(&self) -> bool {
        self.rtx != 0
    }
}

/// At most [`MAX_OUTGOING`] decisions, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoings {
    items: [Outgoing; MAX_OUTGOING],
    len: u8,
}

impl Outgoings {
    /// The decisions.
    #[inline]
    pub fn as_slice(&self) -> &[Outgoing] {
        self.items.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether nothing is to be sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a decision; there is room for it.
    #[inline]
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        if let Some(slot) = self.items.get_mut(usize::from(self.len)) {
            *slot = outgoing;
            self.len += 1;
        }
    }
}

impl<'a> IntoIterator for &'a Outgoings {
    type Item = &'a Outgoing;
    type IntoIter = std::slice::Iter<'a, Outgoing>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

/// Where decisions go. Handing them on one by one spares a copy that would have to wait for what was just written.
pub(super) struct Sink<F> {
    push: F,
    count: u8,
}

impl<F: FnMut(Outgoing)> Sink<F> {
    pub(super) fn new(push: F) -> Self {
        Sink { push, count: 0 }
    }

    /// Whether [`MAX_OUTGOING`] were taken.
    pub(super) fn is_full(&self) -> bool {
        usize::from(self.count) >= MAX_OUTGOING
    }

    #[inline]
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.count += 1;
        (self.push)(outgoing);
    }
}

/// What is only known when a packet leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStamp {
    /// Transport-wide sequence number, if the transport counts them.
    pub transport_sequence: Option<u16>,
    /// Send time, 24 bits in units of 2⁻¹⁸ s.
    pub abs_send_time: u32,
}

/// A packet was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length in the buffer, header included.
    pub len: usize,
    /// Upper bits of the sender's 48-bit packet index, for SRTP.
    pub roc: u32,
}
