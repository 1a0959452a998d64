//! Writing header extensions element by element (RFC 8285), straight into the packet.

/// Length of the RTP header before CSRCs and extension.
pub(super) const FIXED_HEADER_LEN: usize = 12;
const EXTENSION_HEAD_LEN: usize = 4;
const VERSION: u8 = 0x80;
const HAS_EXTENSION: u8 = 0x10;
const ONE_BYTE_FORM: [u8; 2] = [0xBE, 0xDE];
const TWO_BYTE_FORM: [u8; 2] = [0x10, 0x00];

/// Highest id and longest value of the one-byte form (section 4.2).
pub(super) const ONE_BYTE_MAX_ID: u8 = 14;
pub(super) const ONE_BYTE_MAX_LEN: usize = 16;

/// Writes the extension of one packet. Every function returns `None` if the buffer is too short.
pub(super) struct HeaderExtension<'a> {
    buf: &'a mut [u8],
    at: usize,
    two_byte: bool,
}

impl<'a> HeaderExtension<'a> {
    /// Begins behind the fixed header, in the two-byte form if asked for. **Ids and values must fit the form.**
    #[inline]
    pub(super) fn begin(buf: &'a mut [u8], two_byte: bool) -> Self {
        HeaderExtension {
            buf,
            at: FIXED_HEADER_LEN + EXTENSION_HEAD_LEN,
            two_byte,
        }
    }

    /// Writes an element.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, id: u8, value: [u8; N]) -> Option<()> {
        let head = self.put_head(id, N)?;
        *self.buf.get_mut(head..)?.first_chunk_mut::<N>()? = value;
        self.at = head + N;
        Some(())
    }

    /// Writes an element of 1 to 255 bytes.
    #[inline]
    pub(super) fn put_slice(&mut self, id: u8, value: &[u8]) -> Option<()> {
        let head = self.put_head(id, value.len())?;
        self.buf
            .get_mut(head..head + value.len())?
            .copy_from_slice(value);
        self.at = head + value.len();
        Some(())
    }

    /// Writes an element whose value `write` puts to the front of the buffer it gets, returning the length, 1 to 255.
    pub(super) fn put_with(
        &mut self,
        id: u8,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        let head_len = if self.two_byte { 2 } else { 1 };
        let start = self.at + head_len;
        let len = write(self.buf.get_mut(start..)?)?;
        self.put_head(id, len)?;
        self.at = start + len;
        Some(())
    }

    /// Ends the extension, writes the first byte of the packet, and returns the length of the header.
    #[inline]
    pub(super) fn finish(self) -> Option<usize> {
        let (front, rest) = self
            .buf
            .split_first_chunk_mut::<{ FIXED_HEADER_LEN + EXTENSION_HEAD_LEN }>()?;
        let len = self.at - (FIXED_HEADER_LEN + EXTENSION_HEAD_LEN);
        if len == 0 {
            front[0] = VERSION;
            return Some(FIXED_HEADER_LEN);
        }
        let words = len.div_ceil(4);
        // Padding of at most three bytes. Four at once is faster, and what is too much the payload overwrites.
        let padding = rest.get_mut(len..)?;
        match padding.first_chunk_mut::<4>() {
            Some(four) => *four = [0; 4],
            None => padding.fill(0),
        }
        if rest.len() < words * 4 {
            return None;
        }
        front[0] = VERSION | HAS_EXTENSION;
        let form = if self.two_byte {
            TWO_BYTE_FORM
        } else {
            ONE_BYTE_FORM
        };
        [front[12], front[13]] = form;
        [front[14], front[15]] = (words as u16).to_be_bytes();
        Some(FIXED_HEADER_LEN + EXTENSION_HEAD_LEN + words * 4)
    }

    /// Writes the head of an element and returns where its value begins.
    #[inline]
    fn put_head(&mut self, id: u8, len: usize) -> Option<usize> {
        if self.two_byte {
            let head = self.buf.get_mut(self.at..)?.first_chunk_mut::<2>()?;
            *head = [id, len as u8];
            Some(self.at + 2)
        } else {
            *self.buf.get_mut(self.at)? = id << 4 | (len as u8).wrapping_sub(1) & 0x0F;
            Some(self.at + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kith_rtp::RtpPacket;

    #[test]
    fn both_forms_are_what_a_parser_reads() {
        for two_byte in [false, true] {
            let mut buf = [0xFF; 64];
            let mut extension = HeaderExtension::begin(&mut buf, two_byte);
            extension.put(3, [1, 2]).unwrap();
            extension.put_slice(4, b"mid").unwrap();
            extension
                .put_with(5, |room| {
                    room[0] = 9;
                    Some(1)
                })
                .unwrap();
            let len = extension.finish().unwrap();
            let packet = RtpPacket::parse(&buf[..len]).unwrap();
            assert_eq!(packet.header_len(), len);
            let expected: [(u8, &[u8]); 3] = [(3, &[1, 2]), (4, b"mid"), (5, &[9])];
            assert_eq!(packet.extensions().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn without_elements_there_is_no_extension() {
        let mut buf = [0xFF; 64];
        assert_eq!(HeaderExtension::begin(&mut buf, false).finish(), Some(12));
        assert_eq!(buf[0], 0x80);
    }

    #[test]
    fn a_short_buffer_is_no_panic() {
        for len in 0..24 {
            let mut buf = [0; 24];
            let mut extension = HeaderExtension::begin(&mut buf[..len], true);
            let written = extension.put(1, [7; 6]);
            assert_eq!(written.is_some(), len == 24);
        }
    }
}
