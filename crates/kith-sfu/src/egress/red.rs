//! Redundant audio for subscribers that did not negotiate it (RFC 2198).

use kith_rtp::red::{Red, RedBlock};

/// The redundant block that stands `block` packets before the primary one: 1 is the packet before.
pub(super) fn redundant_block(payload: &[u8], block: u8) -> Option<RedBlock<'_>> {
    let red = Red::parse(payload).ok()?;
    let count = red.redundant().count();
    red.redundant()
        .nth(count.checked_sub(usize::from(block))?)
        .filter(|block| !block.payload.is_empty())
}

/// Gives all blocks of a RED payload the payload type that the subscriber has for them.
pub(super) fn set_payload_types(payload: &mut [u8], payload_type: u8) {
    const REDUNDANT_HEADER_LEN: usize = 4;
    let mut at = 0;
    while let Some(head) = payload.get_mut(at) {
        let is_redundant = *head & 0x80 != 0;
        *head = *head & 0x80 | payload_type & 0x7F;
        if !is_redundant {
            break;
        }
        at += REDUNDANT_HEADER_LEN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kith_rtp::PayloadType;
    use kith_rtp::red::write;

    #[test]
    fn blocks_are_counted_backwards_and_retyped() {
        let block = |timestamp_offset, payload| RedBlock {
            payload_type: PayloadType(111),
            timestamp_offset,
            payload,
        };
        let mut payload = [0; 64];
        let blocks = [block(1920, &b"older"[..]), block(960, b"old")];
        let len = write(&mut payload, &blocks, PayloadType(111), b"new").unwrap();
        let payload = &mut payload[..len];
        assert_eq!(redundant_block(payload, 1).unwrap().payload, b"old");
        assert_eq!(redundant_block(payload, 2).unwrap().timestamp_offset, 1920);
        assert_eq!(redundant_block(payload, 3), None);
        set_payload_types(payload, 96);
        let red = Red::parse(payload).unwrap();
        assert_eq!(red.primary_type(), PayloadType(96));
        assert!(red.redundant().all(|it| it.payload_type == PayloadType(96)));
        assert_eq!(red.primary(), b"new");
    }
}
