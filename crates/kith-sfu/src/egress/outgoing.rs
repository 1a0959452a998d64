//! Decisions: what is to be written for a subscriber.

/// Most packets that one incoming packet can become: itself, and two before it that were lost and are recovered from
/// its redundancy (RED).
pub const MAX_OUTGOING: usize = 3;

/// The decision to send one packet to a subscriber: which stored packet, with which numbers. It is written by
/// [`super::DownTrack::write`] while the hub's history still has the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Extended sequence number on the stream it leaves on.
    pub(super) sequence: u32,
}

/// At most [`MAX_OUTGOING`] decisions, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoings {
    items: [Outgoing; MAX_OUTGOING],
    len: u8,
}

impl Outgoings {
    /// No packet.
    pub const NONE: Outgoings = Outgoings {
        items: [Outgoing { sequence: 0 }; MAX_OUTGOING],
        len: 0,
    };

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
