//! The transforms: AES-GCM (RFC 7714) and AES-CM with HMAC-SHA1-80 (RFC 3711 sections 4.1.1 and 4.2.1), for one direction.
//!
//! They know packets as header, payload and index; what an index is and whether it was seen is decided above.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::kdf::{Derivation, Label};
use super::{GCM_TAG, KeyError, SHA1_80_TAG, SRTCP_INDEX, SrtpProfile};

/// The session keys of one direction.
pub(crate) enum Cipher {
    Gcm {
        rtp: GcmKeys,
        rtcp: GcmKeys,
    },
    /// Boxed: HMAC contexts come to 1.7 kB each.
    Cm {
        rtp: Box<CmKeys>,
        rtcp: Box<CmKeys>,
    },
}

/// A packet that did not authenticate, or (never with keys and lengths that were checked) a cipher that refused.
#[derive(Debug)]
pub(crate) struct CipherError;

impl Cipher {
    pub(crate) fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(KeyError);
        }
        let kdf = Derivation::new(key, salt)?;
        let gcm = |key: Label, salt: Label| match profile {
            SrtpProfile::AeadAes256Gcm => GcmKeys::new(&kdf.derive::<32>(key)?, kdf.derive(salt)?),
            _ => GcmKeys::new(&kdf.derive::<16>(key)?, kdf.derive(salt)?),
        };
        let cm = |key: Label, auth: Label, salt: Label| {
            CmKeys::new(
                &kdf.derive::<16>(key)?,
                &kdf.derive::<20>(auth)?,
                kdf.derive(salt)?,
            )
            .map(Box::new)
        };
        Ok(match profile {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => Self::Gcm {
                rtp: gcm(Label::RtpEncryption, Label::RtpSalt)?,
                rtcp: gcm(Label::RtcpEncryption, Label::RtcpSalt)?,
            },
            SrtpProfile::Aes128CmHmacSha1_80 => Self::Cm {
                rtp: cm(
                    Label::RtpEncryption,
                    Label::RtpAuthentication,
                    Label::RtpSalt,
                )?,
                rtcp: cm(
                    Label::RtcpEncryption,
                    Label::RtcpAuthentication,
                    Label::RtcpSalt,
                )?,
            },
        })
    }

    pub(crate) fn rtp_overhead(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG,
            Self::Cm { .. } => SHA1_80_TAG,
        }
    }

    pub(crate) fn rtcp_overhead(&self) -> usize {
        self.rtp_overhead() + SRTCP_INDEX
    }

    /// `tag` has [`Self::rtp_overhead`] bytes. `index` has 48 bits.
    #[inline]
    pub(crate) fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), CipherError> {
        match self {
            Self::Gcm { rtp, .. } => {
                let (header, payload) =
                    packet.split_at_mut_checked(header_len).ok_or(CipherError)?;
                rtp.seal(rtp_nonce(ssrc, index), header, payload, tag)
            }
            Self::Cm { rtp, .. } => {
                let (_, payload) = packet.split_at_mut_checked(header_len).ok_or(CipherError)?;
                rtp.apply_keystream(ssrc, index, payload)?;
                tag.copy_from_slice(&rtp.tag(packet, &roc(index)));
                Ok(())
            }
        }
    }

    /// The counterpart of [`Self::seal_rtp`].
    #[inline]
    pub(crate) fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CipherError> {
        match self {
            Self::Gcm { rtp, .. } => {
                let (header, payload) =
                    packet.split_at_mut_checked(header_len).ok_or(CipherError)?;
                rtp.open(rtp_nonce(ssrc, index), header, payload, tag)
            }
            Self::Cm { rtp, .. } => {
                verify_slices_are_equal(&rtp.tag(packet, &roc(index)), tag)
                    .map_err(|_| CipherError)?;
                let (_, payload) = packet.split_at_mut_checked(header_len).ok_or(CipherError)?;
                rtp.apply_keystream(ssrc, index, payload)
            }
        }
    }

    /// `trailer` has [`Self::rtcp_overhead`] bytes and receives tag and index in the profile's order.
    pub(crate) fn seal_rtcp(
        &self,
        ssrc: u32,
        index: u32,
        packet: &mut [u8],
        trailer: &mut [u8],
    ) -> Result<(), CipherError> {
        let word = (index | SRTCP_ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { rtcp, .. } => {
                let (header, payload) = packet
                    .split_at_mut_checked(super::RTCP_HEADER)
                    .ok_or(CipherError)?;
                let (tag, end) = trailer.split_at_mut_checked(GCM_TAG).ok_or(CipherError)?;
                rtcp.seal(
                    rtcp_nonce(ssrc, index),
                    &rtcp_aad(header, word)?,
                    payload,
                    tag,
                )?;
                end.copy_from_slice(&word);
                Ok(())
            }
            Self::Cm { rtcp, .. } => {
                let (_, payload) = packet
                    .split_at_mut_checked(super::RTCP_HEADER)
                    .ok_or(CipherError)?;
                rtcp.apply_keystream(ssrc, u64::from(index), payload)?;
                let (end, tag) = trailer
                    .split_at_mut_checked(SRTCP_INDEX)
                    .ok_or(CipherError)?;
                end.copy_from_slice(&word);
                tag.copy_from_slice(&rtcp.tag(packet, &word));
                Ok(())
            }
        }
    }

    /// Splits the trailer of an SRTCP packet into tag and index word. `None` if it is too short.
    pub(crate) fn rtcp_trailer<'a>(&self, trailer: &'a [u8]) -> Option<(&'a [u8], u32)> {
        let (tag, word) = match self {
            Self::Gcm { .. } => trailer.split_at_checked(GCM_TAG)?,
            Self::Cm { .. } => trailer
                .split_at_checked(SRTCP_INDEX)
                .map(|(word, tag)| (tag, word))?,
        };
        Some((tag, u32::from_be_bytes(word.try_into().ok()?)))
    }

    /// The counterpart of [`Self::seal_rtcp`].
    pub(crate) fn open_rtcp(
        &self,
        ssrc: u32,
        index: u32,
        packet: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CipherError> {
        let word = (index | SRTCP_ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { rtcp, .. } => {
                let (header, payload) = packet
                    .split_at_mut_checked(super::RTCP_HEADER)
                    .ok_or(CipherError)?;
                rtcp.open(
                    rtcp_nonce(ssrc, index),
                    &rtcp_aad(header, word)?,
                    payload,
                    tag,
                )
            }
            Self::Cm { rtcp, .. } => {
                verify_slices_are_equal(&rtcp.tag(packet, &word), tag).map_err(|_| CipherError)?;
                let (_, payload) = packet
                    .split_at_mut_checked(super::RTCP_HEADER)
                    .ok_or(CipherError)?;
                rtcp.apply_keystream(ssrc, u64::from(index), payload)
            }
        }
    }
}

/// The E flag of an SRTCP packet: the payload is encrypted. Packets without it are not accepted; DTLS-SRTP never negotiates that.
pub(crate) const SRTCP_ENCRYPTED: u32 = 1 << 31;

/// Key and salt of AES-GCM.
pub(crate) struct GcmKeys {
    key: LessSafeKey,
    /// Upper 32 and lower 64 bits.
    salt: (u32, u64),
}

impl GcmKeys {
    pub(crate) fn new(key: &[u8], salt: [u8; 12]) -> Result<Self, KeyError> {
        let algorithm = if key.len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| KeyError)?;
        let salt = salt
            .into_iter()
            .fold(0u128, |salt, byte| salt << 8 | u128::from(byte));
        Ok(Self {
            key: LessSafeKey::new(key),
            salt: ((salt >> 64) as u32, salt as u64),
        })
    }

    #[inline]
    fn nonce(&self, (high, low): (u32, u64)) -> Nonce {
        let mut nonce = [0; 12];
        let (a, b) = nonce.split_at_mut(4);
        a.copy_from_slice(&(high ^ self.salt.0).to_be_bytes());
        b.copy_from_slice(&(low ^ self.salt.1).to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    #[inline]
    fn seal(
        &self,
        nonce: (u32, u64),
        aad: &[u8],
        payload: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), CipherError> {
        let sealed = self
            .key
            .seal_in_place_separate_tag(self.nonce(nonce), Aad::from(aad), payload)
            .map_err(|_| CipherError)?;
        tag.copy_from_slice(sealed.as_ref());
        Ok(())
    }

    #[inline]
    fn open(
        &self,
        nonce: (u32, u64),
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CipherError> {
        self.key
            .open_in_place_separate_tag(self.nonce(nonce), Aad::from(aad), tag, payload)
            .map_err(|_| CipherError)?;
        Ok(())
    }
}

/// RFC 7714 section 8.1: 16 zero bits, SSRC, ROC, sequence number.
#[inline]
fn rtp_nonce(ssrc: u32, index: u64) -> (u32, u64) {
    (ssrc >> 16, u64::from(ssrc) << 48 | index)
}

/// RFC 7714 section 9.1: 16 zero bits, SSRC, 16 zero bits, a zero bit, 31 bits of index.
fn rtcp_nonce(ssrc: u32, index: u32) -> (u32, u64) {
    (ssrc >> 16, u64::from(ssrc) << 48 | u64::from(index))
}

/// RFC 7714 section 9.3: the first eight bytes and the word with E flag and index.
fn rtcp_aad(header: &[u8], word: [u8; SRTCP_INDEX]) -> Result<[u8; 12], CipherError> {
    let [a, b, c, d, e, f, g, h] = *header.first_chunk().ok_or(CipherError)?;
    let [i, j, k, l] = word;
    Ok([a, b, c, d, e, f, g, h, i, j, k, l])
}

/// Keys and salt of AES-CM with HMAC-SHA1.
pub(crate) struct CmKeys {
    encryption: EncryptingKey,
    authentication: hmac::Key,
    /// The salt times 2^16.
    salt: u128,
}

impl CmKeys {
    pub(crate) fn new(key: &[u8], authentication: &[u8], salt: [u8; 14]) -> Result<Self, KeyError> {
        Ok(Self {
            encryption: UnboundCipherKey::new(&AES_128, key)
                .and_then(EncryptingKey::ctr)
                .map_err(|_| KeyError)?,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication),
            salt: salt
                .into_iter()
                .chain([0, 0])
                .fold(0, |salt, byte| salt << 8 | u128::from(byte)),
        })
    }

    /// RFC 3711 section 4.1.1.
    #[inline]
    pub(crate) fn apply_keystream(
        &self,
        ssrc: u32,
        index: u64,
        payload: &mut [u8],
    ) -> Result<(), CipherError> {
        let iv = self.salt ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16;
        self.encryption
            .less_safe_encrypt(
                payload,
                EncryptionContext::Iv128(FixedLength::from(iv.to_be_bytes())),
            )
            .map(|_| ())
            .map_err(|_| CipherError)
    }

    #[inline]
    fn tag(&self, packet: &[u8], trailer: &[u8]) -> [u8; SHA1_80_TAG] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(packet);
        context.update(trailer);
        let mut tag = [0; SHA1_80_TAG];
        // HMAC-SHA1 gives 20 bytes; the zip takes the first ten.
        tag.iter_mut()
            .zip(context.sign().as_ref())
            .for_each(|(to, from)| *to = *from);
        tag
    }
}

/// The rollover counter of an index, as the authentication tag of AES-CM covers it.
#[inline]
fn roc(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}
