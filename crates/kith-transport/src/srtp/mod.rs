//! SRTP and SRTCP (RFC 3711, RFC 7714), one context per direction.
//!
//! [`SrtpSender`] seals, [`SrtpReceiver`] opens, both in place. Session keys are derived once, at construction.
//!
//! - **The sender keeps no table.** The caller numbers its packets with 48 bits and passes the upper 32 as `roc`.
//! - **One (SSRC, index) means one plaintext.** Sealing two different packets under the same SSRC and index gives away the GCM
//!   authentication key. A retransmission is therefore sent as RTX, or from the very same bytes, header extensions included.
//! - **Nothing of a packet changes the receiver's state before the packet is authentic.**

mod cipher;
mod kdf;
mod receiver;
mod replay;
mod sender;

pub use receiver::{MAX_SSRCS, SrtpReceiver};
pub use replay::ReplayWindow;
pub use sender::SrtpSender;

/// A protection profile of DTLS-SRTP (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`
    Aes128CmHmacSha1_80,
}

/// The most bytes that sealing adds to a packet, RTCP included: a GCM tag and the SRTCP index.
pub const MAX_OVERHEAD: usize = GCM_TAG + SRTCP_INDEX;

pub(crate) const GCM_TAG: usize = 16;
pub(crate) const SHA1_80_TAG: usize = 10;
/// The E flag and 31 bits of index that end an SRTCP packet.
pub(crate) const SRTCP_INDEX: usize = 4;
/// RFC 3711 section 9.2: at most 2^31 SRTCP packets under one master key.
pub(crate) const MAX_SRTCP_INDEX: u32 = 0x7fff_ffff;

impl SrtpProfile {
    /// Length of the master key, bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt, bytes.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// Bytes that sealing adds to an RTP packet. SRTCP adds four more.
    #[must_use]
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => GCM_TAG,
            Self::Aes128CmHmacSha1_80 => SHA1_80_TAG,
        }
    }
}

/// Keying material that does not fit its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("SRTP keying material does not fit the profile")]
pub struct KeyError;

/// Makes both contexts out of what DTLS exported (RFC 5764 section 4.2): client key, server key, client salt, server salt.
pub fn from_dtls(
    profile: SrtpProfile,
    material: &[u8],
    we_are_client: bool,
) -> Result<(SrtpSender, SrtpReceiver), KeyError> {
    let (key, salt) = (profile.key_len(), profile.salt_len());
    if material.len() != 2 * (key + salt) {
        return Err(KeyError);
    }
    let (keys, salts) = material.split_at(2 * key);
    let (client_key, server_key) = keys.split_at(key);
    let (client_salt, server_salt) = salts.split_at(salt);
    let (client, server) = ((client_key, client_salt), (server_key, server_salt));
    let (ours, theirs) = if we_are_client {
        (client, server)
    } else {
        (server, client)
    };
    Ok((
        SrtpSender::new(profile, ours.0, ours.1)?,
        SrtpReceiver::new(profile, theirs.0, theirs.1)?,
    ))
}

/// What SRTP reads of an RTP header: where the payload begins, the sequence number and the SSRC. `None` if that is not RTP.
#[inline]
pub(crate) fn rtp_header(packet: &[u8]) -> Option<RtpHeader> {
    let fixed: &[u8; 12] = packet.first_chunk()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let mut len = 12 + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & 0x10 != 0 {
        let words = packet.get(len + 2..len + 4)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes(words.try_into().ok()?));
    }
    if len > packet.len() {
        return None;
    }
    Some(RtpHeader {
        len,
        sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
    })
}

/// See [`rtp_header`].
pub(crate) struct RtpHeader {
    pub(crate) len: usize,
    pub(crate) sequence_number: u16,
    pub(crate) ssrc: u32,
}

/// The sender's SSRC of a compound RTCP packet. `None` if that is not RTCP.
pub(crate) fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let fixed: &[u8; RTCP_HEADER] = packet.first_chunk()?;
    (fixed[0] >> 6 == 2).then(|| u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]))
}

/// The part of a compound RTCP packet that stays in the clear.
pub(crate) const RTCP_HEADER: usize = 8;

#[cfg(test)]
mod vectors;
