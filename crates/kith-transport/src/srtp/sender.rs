//! Sealing.

use std::fmt;

use super::cipher::Cipher;
use super::{KeyError, MAX_SRTCP_INDEX, SrtpProfile, rtcp_ssrc, rtp_header};
use crate::error::SealError;

/// The sending direction of one SRTP session.
pub struct SrtpSender {
    cipher: Cipher,
    next_rtcp: u32,
}

impl fmt::Debug for SrtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpSender")
            .field("next_rtcp", &self.next_rtcp)
            .finish_non_exhaustive()
    }
}

impl SrtpSender {
    /// Derives the session keys.
    pub fn new(
        profile: SrtpProfile,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<Self, KeyError> {
        Ok(Self {
            cipher: Cipher::new(profile, master_key, master_salt)?,
            next_rtcp: 1,
        })
    }

    /// Protects the RTP packet in `buf[..len]` in place and returns the protected length. `buf` needs
    /// [`SrtpProfile::rtp_overhead`] bytes more. `roc` is the upper 32 bits of the packet's 48-bit index (RFC 3711 section 3.3.1).
    #[inline]
    pub fn seal_rtp(&self, roc: u32, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        let (packet, rest) = buf.split_at_mut_checked(len).ok_or(SealError::NoRoom)?;
        let tag = rest
            .get_mut(..self.cipher.rtp_overhead())
            .ok_or(SealError::NoRoom)?;
        let header = rtp_header(packet).ok_or(SealError::Malformed)?;
        let index = u64::from(roc) << 16 | u64::from(header.sequence_number);
        self.cipher
            .seal_rtp(header.ssrc, index, header.len, packet, tag)
            .map_err(|_| SealError::Malformed)?;
        Ok(len + tag.len())
    }

    /// Protects the compound RTCP packet in `buf[..len]` in place and returns the protected length. `buf` needs
    /// [`super::MAX_OVERHEAD`] bytes more.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        // One counter for all SSRCs: each of them sees its index grow, which is all that RFC 3711 section 3.4 asks for.
        let index = self.next_rtcp;
        if index > MAX_SRTCP_INDEX {
            return Err(SealError::KeyExhausted);
        }
        let (packet, rest) = buf.split_at_mut_checked(len).ok_or(SealError::NoRoom)?;
        let trailer = rest
            .get_mut(..self.cipher.rtcp_overhead())
            .ok_or(SealError::NoRoom)?;
        let ssrc = rtcp_ssrc(packet).ok_or(SealError::Malformed)?;
        self.cipher
            .seal_rtcp(ssrc, index, packet, trailer)
            .map_err(|_| SealError::Malformed)?;
        self.next_rtcp += 1;
        Ok(len + trailer.len())
    }

    #[cfg(test)]
    pub(super) fn with_cipher(cipher: Cipher, next_rtcp: u32) -> Self {
        Self { cipher, next_rtcp }
    }
}
