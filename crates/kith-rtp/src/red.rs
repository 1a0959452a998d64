//! Redundant audio (RFC 2198): earlier payloads in front of the current one.

use crate::write::put;
use crate::{PayloadType, WriteError};

/// Most redundant blocks in a packet. Chromium sends at most 9; a packet with more is no audio of use to anybody.
pub const MAX_REDUNDANT_BLOCKS: usize = 32;
/// Longest redundant block: its length has 10 bits.
pub const MAX_BLOCK_LEN: usize = 0x3FF;
/// Largest timestamp offset: it has 14 bits.
pub const MAX_TIMESTAMP_OFFSET: u16 = 0x3FFF;

const REDUNDANT_HEADER_LEN: usize = 4;

/// Why bytes are no RED payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedError {
    /// Headers or blocks lie beyond the end.
    #[error("RED payload is truncated")]
    Truncated,
    /// More than [`MAX_REDUNDANT_BLOCKS`].
    #[error("RED payload has more than 32 redundant blocks")]
    TooManyBlocks,
}

/// An earlier payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedBlock<'a> {
    /// Payload type.
    pub payload_type: PayloadType,
    /// How far its timestamp lies before the packet's, in units of the clock rate, 0 to 16383.
    pub timestamp_offset: u16,
    /// The payload, at most 1023 bytes.
    pub payload: &'a [u8],
}

/// A checked view of a RED payload.
#[derive(Clone, Copy, Debug)]
pub struct Red<'a> {
    headers: &'a [[u8; REDUNDANT_HEADER_LEN]],
    blocks: &'a [u8],
    primary_type: PayloadType,
    primary: &'a [u8],
}

impl<'a> Red<'a> {
    /// Checks a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, RedError> {
        let (all_headers, _) = payload.as_chunks::<REDUNDANT_HEADER_LEN>();
        let is_redundant = |header: &&[u8; REDUNDANT_HEADER_LEN]| header[0] & 0x80 != 0;
        let in_reach = all_headers
            .get(..MAX_REDUNDANT_BLOCKS + 1)
            .unwrap_or(all_headers);
        let count = in_reach.iter().take_while(is_redundant).count();
        if count > MAX_REDUNDANT_BLOCKS {
            return Err(RedError::TooManyBlocks);
        }
        let (headers, _) = all_headers
            .split_at_checked(count)
            .ok_or(RedError::Truncated)?;
        let rest = payload
            .get(count * REDUNDANT_HEADER_LEN..)
            .ok_or(RedError::Truncated)?;
        let (&primary_header, rest) = rest.split_first().ok_or(RedError::Truncated)?;
        if primary_header & 0x80 != 0 {
            // A redundant header that is cut off.
            return Err(RedError::Truncated);
        }
        let blocks_len = headers.iter().map(block_len).sum();
        let (blocks, primary) = rest
            .split_at_checked(blocks_len)
            .ok_or(RedError::Truncated)?;
        Ok(Red {
            headers,
            blocks,
            primary_type: PayloadType(primary_header),
            primary,
        })
    }

    /// Payload type of the current payload.
    pub fn primary_type(&self) -> PayloadType {
        self.primary_type
    }

    /// The current payload.
    pub fn primary(&self) -> &'a [u8] {
        self.primary
    }

    /// The earlier payloads in wire order, which is oldest first.
    pub fn redundant(&self) -> impl Iterator<Item = RedBlock<'a>> + use<'a> {
        let mut rest = self.blocks;
        self.headers.iter().map_while(move |header| {
            let (payload, after) = rest.split_at_checked(block_len(header))?;
            rest = after;
            Some(RedBlock {
                payload_type: PayloadType(header[0] & 0x7F),
                timestamp_offset: u16::from_be_bytes([header[1], header[2]]) >> 2,
                payload,
            })
        })
    }
}

fn block_len(header: &[u8; REDUNDANT_HEADER_LEN]) -> usize {
    usize::from(u16::from_be_bytes([header[2] & 0x03, header[3]]))
}

/// Writes a RED payload and returns its length: `redundant` oldest first, each within the limits of its fields, at most
/// [`MAX_REDUNDANT_BLOCKS`].
pub fn write(
    out: &mut [u8],
    redundant: &[RedBlock<'_>],
    primary_type: PayloadType,
    primary: &[u8],
) -> Result<usize, WriteError> {
    if redundant.len() > MAX_REDUNDANT_BLOCKS {
        return Err(WriteError::OutOfRange);
    }
    let room = out.len();
    let mut rest = out;
    for block in redundant {
        if block.payload.len() > MAX_BLOCK_LEN || block.timestamp_offset > MAX_TIMESTAMP_OFFSET {
            return Err(WriteError::OutOfRange);
        }
        let header = u32::from(block.payload_type.0 | 0x80) << 24
            | u32::from(block.timestamp_offset) << 10
            | block.payload.len() as u32;
        rest = put(rest, &header.to_be_bytes())?;
    }
    rest = put(rest, &[primary_type.0 & 0x7F])?;
    for block in redundant {
        rest = put(rest, block.payload)?;
    }
    rest = put(rest, primary)?;
    let left = rest.len();
    Ok(room - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two earlier payloads of 20 and 40 ms ago.
    const TWO_BLOCKS: [u8; 16] = [
        0xEF, 0x1E, 0x00, 0x02, 0xEF, 0x0F, 0x00, 0x03, 0x6F, 1, 2, 3, 4, 5, 6, 7,
    ];

    #[test]
    fn blocks_come_oldest_first_and_the_current_payload_is_the_rest() {
        let red = Red::parse(&TWO_BLOCKS).unwrap();
        let block = |timestamp_offset, payload| RedBlock {
            payload_type: PayloadType(111),
            timestamp_offset,
            payload,
        };
        let blocks = [block(1920, &[1, 2][..]), block(960, &[3, 4, 5][..])];
        assert_eq!(red.redundant().collect::<Vec<_>>(), blocks);
        assert_eq!(
            (red.primary_type(), red.primary()),
            (PayloadType(111), &[6, 7][..])
        );
        let mut out = [0; 16];
        assert_eq!(write(&mut out, &blocks, PayloadType(111), &[6, 7]), Ok(16));
        assert_eq!(out, TWO_BLOCKS);
        let short = write(&mut out[..15], &blocks, PayloadType(111), &[6, 7]);
        assert_eq!(short, Err(WriteError::BufferTooSmall));
    }

    #[test]
    fn a_packet_may_hold_the_current_payload_only() {
        let red = Red::parse(&[0x6F, 9, 8]).unwrap();
        assert_eq!(red.redundant().count(), 0);
        assert_eq!(red.primary(), [9, 8]);
    }

    #[test]
    fn truncated_and_endless_payloads_are_errors() {
        for len in 0..14 {
            assert_eq!(
                Red::parse(&TWO_BLOCKS[..len]).unwrap_err(),
                RedError::Truncated
            );
        }
        let mut endless = [0x80; 33 * 4 + 1];
        for header in endless.chunks_mut(4) {
            header[1..].fill(0);
        }
        assert_eq!(Red::parse(&endless).unwrap_err(), RedError::TooManyBlocks);
        endless[32 * 4] = 0x6F;
        assert_eq!(Red::parse(&endless).unwrap().redundant().count(), 32);
    }

    #[test]
    fn fields_that_do_not_fit_are_refused() {
        let mut out = [0; 2048];
        let long = RedBlock {
            payload_type: PayloadType(1),
            timestamp_offset: 0,
            payload: &[0; 1024],
        };
        assert_eq!(
            write(&mut out, &[long], PayloadType(1), &[]),
            Err(WriteError::OutOfRange)
        );
        let old = RedBlock {
            payload_type: PayloadType(1),
            timestamp_offset: 16384,
            payload: &[],
        };
        assert_eq!(
            write(&mut out, &[old], PayloadType(1), &[]),
            Err(WriteError::OutOfRange)
        );
    }
}
