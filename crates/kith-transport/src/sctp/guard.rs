//! What an SCTP packet may ask of `sctp-proto`, which takes a peer's word for more than a server should.
//!
//! The engine bounds the bytes of unread messages by its receive window, but not the number of chunks that they come in, nor how far
//! ahead of the acknowledged data a chunk may lie; it keeps every such chunk, and the packet around it, for as long as the gap before
//! it stays open. So packets are looked through on their way in, and acknowledgements on their way out. What goes too far is dropped
//! like a packet that the network lost.

/// How far ahead of the acknowledged TSN a chunk may be. A full window of chunks of 16 bytes.
const MAX_TSN_AHEAD: u32 = 16_384;
/// Chunks that wait to be read or to be completed, at most.
const MAX_UNREAD_CHUNKS: u32 = 16_384;
/// Streams above this number are not used. Chromium allows no more, and each stream costs the engine some hundred bytes.
pub(crate) const MAX_STREAMS: u16 = 1024;

const COMMON_HEADER: usize = 12;
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const FORWARD_TSN: u8 = 192;
const I_FORWARD_TSN: u8 = 194;

/// Follows one association.
#[derive(Debug)]
pub(crate) struct Guard {
    receive_window: u32,
    /// The highest TSN before which nothing is missing. `None` before the peer's INIT.
    acknowledged: Option<u32>,
    /// An upper bound, from what arrived and what was read.
    unread_chunks: u32,
}

/// What a packet is, for those who route it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new association.
    Init,
    /// It carries data.
    Data,
    Other,
}

impl Guard {
    pub(crate) fn new(receive_window: u32) -> Self {
        Self {
            receive_window,
            acknowledged: None,
            unread_chunks: 0,
        }
    }

    /// Whether the engine may see a packet of the peer's.
    pub(crate) fn admits(&mut self, packet: &[u8]) -> bool {
        let mut data_chunks = 0;
        for (kind, value) in chunks(packet) {
            match kind {
                INIT | INIT_ACK => {
                    if let Some(initial) = word(value, 12) {
                        self.acknowledged = Some(initial.wrapping_sub(1));
                        self.unread_chunks = 0;
                    }
                }
                DATA => {
                    let (Some(tsn), Some(acknowledged)) = (word(value, 0), self.acknowledged)
                    else {
                        return false;
                    };
                    let stream = word(value, 4).map(|word| word >> 16);
                    let too_far =
                        tsn.wrapping_sub(acknowledged).cast_signed() > MAX_TSN_AHEAD.cast_signed();
                    if too_far || stream.is_none_or(|stream| stream >= MAX_STREAMS.into()) {
                        return false;
                    }
                    data_chunks += 1;
                }
                // Skips at most what could have been sent.
                FORWARD_TSN | I_FORWARD_TSN => {
                    let (Some(tsn), Some(acknowledged)) = (word(value, 0), self.acknowledged)
                    else {
                        return false;
                    };
                    if tsn.wrapping_sub(acknowledged).cast_signed() > MAX_TSN_AHEAD.cast_signed() {
                        return false;
                    }
                }
                _ => {}
            }
        }
        if data_chunks > 0 && self.unread_chunks + data_chunks > MAX_UNREAD_CHUNKS {
            return false;
        }
        self.unread_chunks += data_chunks;
        true
    }

    /// Learns from an acknowledgement of ours how far the engine is.
    pub(crate) fn sent(&mut self, packet: &[u8]) {
        for (kind, value) in chunks(packet) {
            if kind == SACK
                && let (Some(acknowledged), Some(window)) = (word(value, 0), word(value, 4))
            {
                self.acknowledged = Some(acknowledged);
                // Every chunk that waits has a byte at least. This also takes back what retransmissions counted twice.
                self.unread_chunks = self
                    .unread_chunks
                    .min(self.receive_window.saturating_sub(window));
            }
        }
    }

    /// Learns that a message of this many chunks was read.
    pub(crate) fn read(&mut self, chunks: usize) {
        self.unread_chunks = self
            .unread_chunks
            .saturating_sub(u32::try_from(chunks).unwrap_or(u32::MAX));
    }
}

/// The tag that the sender of an INIT wants to be addressed by: it names the association that the INIT asks for.
pub(crate) fn initiate_tag(packet: &[u8]) -> Option<u32> {
    chunks(packet)
        .next()
        .filter(|(kind, _)| *kind == INIT)
        .and_then(|(_, value)| word(value, 0))
}

/// What a packet is, by its first chunk. An INIT travels alone and under the verification tag 0 (RFC 9260 section 8.5.1).
pub(crate) fn kind(packet: &[u8]) -> Kind {
    match chunks(packet).next() {
        Some((INIT, _)) if word(packet, 4) == Some(0) => Kind::Init,
        _ if chunks(packet).any(|(kind, _)| kind == DATA) => Kind::Data,
        _ => Kind::Other,
    }
}

/// Type and value of each chunk, up to the first that does not fit.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [kind, _, l0, l1] = *rest.first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunks: &[(u8, &[u8])]) -> Vec<u8> {
        let mut packet = vec![0; COMMON_HEADER];
        for (kind, value) in chunks {
            packet.extend([*kind, 3]);
            packet.extend((value.len() as u16 + 4).to_be_bytes());
            packet.extend(*value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        packet
    }

    fn data(tsn: u32, stream: u16) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend(stream.to_be_bytes());
        value.extend([0; 7]);
        packet(&[(DATA, &value)])
    }

    fn established() -> Guard {
        let mut guard = Guard::new(1000);
        let mut init = vec![0; 16];
        init[12..16].copy_from_slice(&100u32.to_be_bytes());
        assert!(guard.admits(&packet(&[(INIT, &init)])));
        guard
    }

    #[test]
    fn data_far_ahead_is_dropped() {
        let mut guard = established();
        assert!(guard.admits(&data(100, 0)));
        assert!(guard.admits(&data(99 + MAX_TSN_AHEAD, 0)));
        assert!(!guard.admits(&data(100 + MAX_TSN_AHEAD, 0)));
        assert!(!guard.admits(&data(101, MAX_STREAMS)));
        assert!(!Guard::new(1000).admits(&data(100, 0)));
    }

    #[test]
    fn unread_chunks_are_counted_and_acknowledgements_correct_the_count() {
        let mut guard = established();
        for n in 0..MAX_UNREAD_CHUNKS {
            assert!(guard.admits(&data(100 + n % 100, 0)));
        }
        assert!(!guard.admits(&data(100, 0)));
        guard.read(10);
        assert!(guard.admits(&data(100, 0)));
        let sack: Vec<u8> = [99u32, 990]
            .into_iter()
            .flat_map(u32::to_be_bytes)
            .chain([0; 4])
            .collect();
        guard.sent(&packet(&[(SACK, &sack)]));
        assert_eq!(guard.unread_chunks, 10);
    }

    #[test]
    fn truncated_chunks_end_the_walk() {
        let mut guard = established();
        for len in 0..40 {
            let _ = kind(data(100, 0).get(..len).unwrap_or_default());
            let _ = guard.admits(&vec![0; len]);
        }
    }
}
