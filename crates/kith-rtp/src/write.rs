//! Writing RTP headers (RFC 3550 section 5.1, RFC 8285).

use crate::packet::{FIXED_HEADER_LEN, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
use crate::{PayloadType, SeqNo, Ssrc};

/// Why something could not be written. The buffer's content is unspecified then, its use is up to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer is shorter than what is to be written.
    #[error("buffer is too small")]
    BufferTooSmall,
    /// A value does not fit the field that the format has for it.
    #[error("value does not fit its field")]
    OutOfRange,
}

/// The fields of a fixed RTP header that vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeaderFields {
    /// Marker bit.
    pub marker: bool,
    /// Payload type; bits above the lowest seven are ignored.
    pub payload_type: PayloadType,
    /// Sequence number.
    pub sequence_number: SeqNo,
    /// Timestamp in units of the clock rate.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: Ssrc,
}

/// Writes a header without CSRCs and padding, and returns its length. The elements are written in the given order, in
/// the one-byte form unless one of them needs the two-byte form (id above 14, value empty or longer than 16 bytes).
/// Ids are 1 to 255, values at most 255 bytes.
#[inline]
pub fn write_rtp_header(
    out: &mut [u8],
    fields: &RtpHeaderFields,
    exts: &[(u8, &[u8])],
) -> Result<usize, WriteError> {
    let (fixed, rest) = out
        .split_first_chunk_mut::<FIXED_HEADER_LEN>()
        .ok_or(WriteError::BufferTooSmall)?;
    let has_extension = !exts.is_empty();
    fixed[0] = 0x80 | u8::from(has_extension) << 4;
    fixed[1] = u8::from(fields.marker) << 7 | fields.payload_type.0 & 0x7F;
    [fixed[2], fixed[3]] = fields.sequence_number.0.to_be_bytes();
    [fixed[4], fixed[5], fixed[6], fixed[7]] = fields.timestamp.to_be_bytes();
    [fixed[8], fixed[9], fixed[10], fixed[11]] = fields.ssrc.0.to_be_bytes();
    if !has_extension {
        return Ok(FIXED_HEADER_LEN);
    }

    let form = ExtensionForm::for_elements(exts)?;
    let (head, body) = rest
        .split_first_chunk_mut::<4>()
        .ok_or(WriteError::BufferTooSmall)?;
    let body = body
        .get_mut(..form.words * 4)
        .ok_or(WriteError::BufferTooSmall)?;
    let profile = if form.two_byte {
        TWO_BYTE_PROFILE
    } else {
        ONE_BYTE_PROFILE
    };
    [head[0], head[1]] = profile.to_be_bytes();
    let words = u16::try_from(form.words).map_err(|_| WriteError::OutOfRange)?;
    [head[2], head[3]] = words.to_be_bytes();

    let total = body.len();
    let mut rest = body;
    for (id, value) in exts {
        // Lengths were checked by `for_elements`: a value is at most 255 bytes.
        let len = value.len() as u8;
        rest = if form.two_byte {
            put_short(put_short(rest, &[*id, len])?, value)?
        } else {
            put_short(
                put_short(rest, &[*id << 4 | len.wrapping_sub(1) & 0x0F])?,
                value,
            )?
        };
    }
    for byte in rest {
        *byte = 0;
    }
    Ok(FIXED_HEADER_LEN + 4 + total)
}

/// The length that [`write_rtp_header`] would write.
pub fn rtp_header_len(exts: &[(u8, &[u8])]) -> Result<usize, WriteError> {
    if exts.is_empty() {
        return Ok(FIXED_HEADER_LEN);
    }
    Ok(FIXED_HEADER_LEN + 4 + ExtensionForm::for_elements(exts)?.words * 4)
}

struct ExtensionForm {
    two_byte: bool,
    /// Length of the body in 32-bit words.
    words: usize,
}

impl ExtensionForm {
    #[inline]
    fn for_elements(exts: &[(u8, &[u8])]) -> Result<Self, WriteError> {
        let mut two_byte = false;
        let mut values = 0;
        for (id, value) in exts {
            if *id == 0 || value.len() > usize::from(u8::MAX) {
                return Err(WriteError::OutOfRange);
            }
            two_byte |= *id > 14 || value.is_empty() || value.len() > 16;
            values += value.len();
        }
        let per_element = if two_byte { 2 } else { 1 };
        let words = (values + exts.len() * per_element).div_ceil(4);
        Ok(ExtensionForm { two_byte, words })
    }
}

/// As [`put`], but without a call for the few bytes that most extension values have: measured, three elements take
/// half of the time.
#[inline]
fn put_short<'b>(out: &'b mut [u8], bytes: &[u8]) -> Result<&'b mut [u8], WriteError> {
    match (bytes, out) {
        ([a], [to, rest @ ..]) => {
            *to = *a;
            Ok(rest)
        }
        ([a, b], [to_a, to_b, rest @ ..]) => {
            (*to_a, *to_b) = (*a, *b);
            Ok(rest)
        }
        ([a, b, c], [to_a, to_b, to_c, rest @ ..]) => {
            (*to_a, *to_b, *to_c) = (*a, *b, *c);
            Ok(rest)
        }
        (_, out) => put(out, bytes),
    }
}

/// Copies `bytes` to the front of `out` and returns what is left of it.
#[inline]
pub(crate) fn put<'b>(out: &'b mut [u8], bytes: &[u8]) -> Result<&'b mut [u8], WriteError> {
    let (front, rest) = out
        .split_at_mut_checked(bytes.len())
        .ok_or(WriteError::BufferTooSmall)?;
    front.copy_from_slice(bytes);
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RtpPacket;

    const FIELDS: RtpHeaderFields = RtpHeaderFields {
        marker: true,
        payload_type: PayloadType(96),
        sequence_number: SeqNo(0xFFFF),
        timestamp: 0x8000_0001,
        ssrc: Ssrc(0xCAFE_F00D),
    };

    #[test]
    fn a_bare_header_is_twelve_bytes() {
        let mut out = [0xFF; 12];
        assert_eq!(write_rtp_header(&mut out, &FIELDS, &[]), Ok(12));
        assert_eq!(
            out,
            [
                0x80, 0xE0, 0xFF, 0xFF, 0x80, 0, 0, 1, 0xCA, 0xFE, 0xF0, 0x0D
            ]
        );
        assert_eq!(
            write_rtp_header(&mut out[..11], &FIELDS, &[]),
            Err(WriteError::BufferTooSmall)
        );
    }

    #[test]
    fn short_elements_take_the_one_byte_form() {
        let mut out = [0xFF; 64];
        let exts: [(u8, &[u8]); 2] = [(1, &[7]), (14, &[9; 16])];
        let len = write_rtp_header(&mut out, &FIELDS, &exts).unwrap();
        assert_eq!(len, 12 + 4 + 20);
        assert_eq!(rtp_header_len(&exts), Ok(len));
        assert_eq!(out[12..18], [0xBE, 0xDE, 0, 5, 0x10, 7]);
        assert_eq!(out[35], 0, "the rest of the last word is padding");
        let packet = RtpPacket::parse(&out[..len]).unwrap();
        assert_eq!(packet.extensions().collect::<Vec<_>>(), exts);
    }

    #[test]
    fn one_element_that_needs_it_turns_all_into_the_two_byte_form() {
        for needy in [(15, &[1, 2][..]), (3, &[]), (3, &[5; 17]), (255, &[1; 255])] {
            let mut out = [0xFF; 512];
            let exts: [(u8, &[u8]); 2] = [(1, &[7]), needy];
            let len = write_rtp_header(&mut out, &FIELDS, &exts).unwrap();
            assert_eq!(out[12..14], [0x10, 0x00]);
            let packet = RtpPacket::parse(&out[..len]).unwrap();
            assert_eq!(packet.extensions().collect::<Vec<_>>(), exts);
        }
    }

    #[test]
    fn impossible_elements_are_refused() {
        let mut out = [0; 512];
        assert_eq!(
            write_rtp_header(&mut out, &FIELDS, &[(0, &[1])]),
            Err(WriteError::OutOfRange)
        );
        assert_eq!(
            write_rtp_header(&mut out, &FIELDS, &[(1, &[0; 256])]),
            Err(WriteError::OutOfRange)
        );
        assert_eq!(
            write_rtp_header(&mut out[..19], &FIELDS, &[(1, &[0; 4])]),
            Err(WriteError::BufferTooSmall)
        );
    }
}
