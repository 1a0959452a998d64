//! Bit fields that cross byte borders.

use crate::WriteError;

/// Reads big-endian bit fields; every read past the end is `None`.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        BitReader { data, position: 0 }
    }

    pub(crate) fn at(data: &'a [u8], position: usize) -> Self {
        BitReader { data, position }
    }

    /// Bits read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Bits that are left.
    pub(crate) fn remaining(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.position)
    }

    /// The next `count` bits, at most 32.
    #[inline]
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32);
        if count == 0 {
            return Some(0);
        }
        if count as usize > self.remaining() {
            return None;
        }
        let tail = self.data.get(self.position / 8..)?;
        let window = match tail.first_chunk::<8>() {
            Some(window) => u64::from_be_bytes(*window),
            None => tail
                .iter()
                .zip([56, 48, 40, 32, 24, 16, 8])
                .fold(0, |window, (byte, shift)| {
                    window | u64::from(*byte) << shift
                }),
        };
        let value = (window << (self.position % 8)) >> (64 - count);
        self.position += count as usize;
        Some(value as u32)
    }

    #[inline]
    pub(crate) fn flag(&mut self) -> Option<bool> {
        self.bits(1).map(|bit| bit != 0)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        if count > self.remaining() {
            return None;
        }
        self.position += count;
        Some(())
    }

    /// Non-symmetric unsigned: a value below `n` (AV1 specification section 4.10.7). `n` is at least 1.
    pub(crate) fn non_symmetric(&mut self, n: u32) -> Option<u32> {
        let width = u32::BITS - n.leading_zeros();
        let short_codes = (1u32 << width).wrapping_sub(n);
        let value = self.bits(width.saturating_sub(1))?;
        if value < short_codes {
            return Some(value);
        }
        let extra = self.bits(1)?;
        Some((value << 1).wrapping_sub(short_codes).wrapping_add(extra))
    }

    /// Exponential Golomb, unsigned (ITU-T H.264 section 9.1). Values that need more than 32 bits are refused.
    pub(crate) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        ((1u32 << zeros) - 1).checked_add(rest)
    }

    /// Exponential Golomb, signed (ITU-T H.264 section 9.1.1).
    pub(crate) fn signed_exp_golomb(&mut self) -> Option<i32> {
        let code = self.exp_golomb()?;
        let magnitude = i32::try_from(code.div_ceil(2)).ok()?;
        Some(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

/// Writes big-endian bit fields over the front of a buffer.
#[derive(Debug)]
pub(crate) struct BitWriter<'a> {
    out: &'a mut [u8],
    position: usize,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        BitWriter { out, position: 0 }
    }

    /// Writes the lowest `count` bits of `value`, at most 32.
    pub(crate) fn put(&mut self, value: u32, count: u32) -> Result<(), WriteError> {
        debug_assert!(count <= 32);
        let mut left = count;
        while left > 0 {
            let used = (self.position % 8) as u32;
            let byte = self
                .out
                .get_mut(self.position / 8)
                .ok_or(WriteError::BufferTooSmall)?;
            if used == 0 {
                *byte = 0;
            }
            let take = left.min(8 - used);
            let piece = (value >> (left - take)) & ((1 << take) - 1);
            *byte |= (piece << (8 - used - take)) as u8;
            left -= take;
            self.position += take as usize;
        }
        Ok(())
    }

    /// Copies `count` bits from `from`.
    pub(crate) fn copy(
        &mut self,
        from: &mut BitReader<'_>,
        mut count: usize,
    ) -> Result<(), WriteError> {
        while count > 0 {
            let take = count.min(32) as u32;
            let value = from.bits(take).ok_or(WriteError::OutOfRange)?;
            self.put(value, take)?;
            count -= take as usize;
        }
        Ok(())
    }

    /// Inverse of [`BitReader::non_symmetric`].
    pub(crate) fn put_non_symmetric(&mut self, value: u32, n: u32) -> Result<(), WriteError> {
        if value >= n {
            return Err(WriteError::OutOfRange);
        }
        let width = u32::BITS - n.leading_zeros();
        let short_codes = (1u32 << width).wrapping_sub(n);
        if value < short_codes {
            self.put(value, width - 1)
        } else {
            self.put(value + short_codes, width)
        }
    }

    /// Bytes touched; the last one is padded with zero bits.
    pub(crate) fn len(&self) -> usize {
        self.position.div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_across_byte_borders_and_never_past_the_end() {
        let data = [
            0b1010_0101,
            0xFF,
            0x00,
            0x12,
            0x34,
            0x56,
            0x78,
            0x9A,
            0xBC,
            0xDE,
        ];
        let mut reader = BitReader::new(&data);
        assert_eq!(reader.bits(3), Some(0b101));
        assert_eq!(reader.bits(6), Some(0b00_1011));
        assert_eq!(reader.bits(0), Some(0));
        assert_eq!(reader.skip(7 + 8), Some(()));
        assert_eq!(reader.bits(32), Some(0x1234_5678));
        assert_eq!(reader.bits(25), None);
        assert_eq!(reader.bits(24), Some(0x009A_BCDE));
        assert_eq!(reader.bits(1), None);
        assert_eq!(BitReader::at(&data, 1000).bits(1), None);
    }

    #[test]
    fn golomb_codes_of_the_standards_table() {
        // Codes 1, 010, 011, 00100, 00101 are 0 to 4 (H.264 table 9-2).
        let data = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut reader = BitReader::new(&data);
        let values: Vec<_> = (0..5).map(|_| reader.exp_golomb().unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&data);
        let values: Vec<_> = (0..5)
            .map(|_| reader.signed_exp_golomb().unwrap())
            .collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
        assert_eq!(BitReader::new(&[0; 9]).exp_golomb(), None);
    }

    #[test]
    fn non_symmetric_codes_come_back() {
        for n in 1..=33 {
            for value in 0..n {
                let mut buf = [0xFF; 4];
                let mut writer = BitWriter::new(&mut buf);
                writer.put_non_symmetric(value, n).unwrap();
                let written = writer.position;
                let mut reader = BitReader::new(&buf);
                assert_eq!(reader.non_symmetric(n), Some(value));
                assert_eq!(reader.position(), written);
            }
        }
    }

    #[test]
    fn written_fields_come_back_and_a_full_buffer_is_an_error() {
        let mut buf = [0xFF; 5];
        let mut writer = BitWriter::new(&mut buf);
        writer.put(0b101, 3).unwrap();
        writer.put(0xDEAD_BEEF, 32).unwrap();
        assert_eq!(writer.len(), 5);
        writer.put(0, 6).unwrap_err();
        let mut reader = BitReader::new(&buf);
        assert_eq!(reader.bits(3), Some(0b101));
        assert_eq!(reader.bits(32), Some(0xDEAD_BEEF));
    }
}
