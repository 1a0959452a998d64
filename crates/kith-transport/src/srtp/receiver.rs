//! Opening: the index of a packet, whether it was seen, whether it is authentic.

use std::fmt;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::cipher::{Cipher, SRTCP_ENCRYPTED};
use super::replay::ReplayWindow;
use super::{KeyError, MAX_SRTCP_INDEX, SrtpProfile, rtcp_ssrc, rtp_header};
use crate::error::Dropped;

/// SSRCs that are remembered per direction, RTP and RTCP each. A publisher of simulcast with RTX uses six per camera, so this is
/// 170 cameras; beyond it the SSRC that was silent for longest is forgotten, and with it its rollover counter and replay window.
pub const MAX_SSRCS: usize = 1024;

/// RTP packets may be late by 960 packets: a second of 4K video over a path that reorders.
type RtpWindow = ReplayWindow<16>;
/// RTCP may be late by 128 packets.
type RtcpWindow = ReplayWindow<3>;

/// A stream that was silent for this long may have advanced by more than half a cycle of sequence numbers, unheard; from then on
/// later rollover counters are tried as well, one per packet. Before, only the nearest index is, so that forged packets cost live
/// streams nothing.
const ROC_DOUBT: Duration = Duration::from_secs(5);
/// Rollover counters that are tried in turn: a minute of silence at 3000 packets per second.
const ROC_TRIES: u8 = 4;

/// The receiving direction of one SRTP session.
pub struct SrtpReceiver {
    cipher: Cipher,
    rtp: FxHashMap<u32, Stream<RtpWindow>>,
    rtcp: FxHashMap<u32, Stream<RtcpWindow>>,
}

struct Stream<W> {
    window: W,
    last_heard: Instant,
    /// Packets in a row that did not authenticate or were not fresh.
    failures: u8,
}

impl fmt::Debug for SrtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpReceiver")
            .field("ssrcs", &self.rtp.len())
            .finish_non_exhaustive()
    }
}

impl SrtpReceiver {
    /// Derives the session keys.
    pub fn new(
        profile: SrtpProfile,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<Self, KeyError> {
        Ok(Self::with_cipher(Cipher::new(
            profile,
            master_key,
            master_salt,
        )?))
    }

    pub(super) fn with_cipher(cipher: Cipher) -> Self {
        Self {
            cipher,
            rtp: FxHashMap::default(),
            rtcp: FxHashMap::default(),
        }
    }

    /// Opens an SRTP packet in place and returns the length of the RTP packet at its beginning. On an error the bytes are garbage.
    #[inline]
    pub fn open_rtp(&mut self, now: Instant, packet: &mut [u8]) -> Result<usize, Dropped> {
        let len = packet
            .len()
            .checked_sub(self.cipher.rtp_overhead())
            .ok_or(Dropped::Malformed)?;
        let (packet, tag) = packet.split_at_mut_checked(len).ok_or(Dropped::Malformed)?;
        let header = rtp_header(packet).ok_or(Dropped::Malformed)?;
        let (ssrc, seq) = (header.ssrc, header.sequence_number);

        let Some(stream) = self.rtp.get_mut(&ssrc) else {
            let index = u64::from(seq);
            self.cipher
                .open_rtp(ssrc, index, header.len, packet, tag)
                .map_err(|_| Dropped::NotAuthentic)?;
            insert(
                &mut self.rtp,
                ssrc,
                Stream {
                    window: RtpWindow::starting_at(index),
                    last_heard: now,
                    failures: 0,
                },
            );
            return Ok(len);
        };
        // The index with these lower 16 bits that is nearest to the highest one (RFC 3711 section 3.3.1), or a later such one.
        let ahead = i64::from(
            seq.wrapping_sub(stream.window.highest() as u16)
                .cast_signed(),
        );
        let doubt =
            stream.failures != 0 && now.saturating_duration_since(stream.last_heard) > ROC_DOUBT;
        let cycles = if doubt {
            i64::from(stream.failures % ROC_TRIES)
        } else {
            0
        };
        let ahead = ahead + (cycles << 16);
        let fresh = stream
            .window
            .highest()
            .checked_add_signed(ahead)
            .map(|index| index & INDEX_MASK);
        let Some(index) = fresh.filter(|index| stream.window.is_fresh(*index)) else {
            stream.failures = stream.failures.wrapping_add(1);
            return Err(Dropped::Replayed);
        };
        if self
            .cipher
            .open_rtp(ssrc, index, header.len, packet, tag)
            .is_err()
        {
            stream.failures = stream.failures.wrapping_add(1);
            return Err(Dropped::NotAuthentic);
        }
        stream.window.mark(index);
        stream.last_heard = now;
        stream.failures = 0;
        Ok(len)
    }

    /// Opens an SRTCP packet in place and returns the length of the compound RTCP packet at its beginning. On an error the bytes
    /// are garbage.
    pub fn open_rtcp(&mut self, now: Instant, packet: &mut [u8]) -> Result<usize, Dropped> {
        let len = packet
            .len()
            .checked_sub(self.cipher.rtcp_overhead())
            .ok_or(Dropped::Malformed)?;
        let (packet, trailer) = packet.split_at_mut_checked(len).ok_or(Dropped::Malformed)?;
        let ssrc = rtcp_ssrc(packet).ok_or(Dropped::Malformed)?;
        let (tag, word) = self
            .cipher
            .rtcp_trailer(trailer)
            .ok_or(Dropped::Malformed)?;
        if word & SRTCP_ENCRYPTED == 0 {
            return Err(Dropped::NotAuthentic);
        }
        let index = word & MAX_SRTCP_INDEX;

        let known = self.rtcp.get_mut(&ssrc);
        if known
            .as_ref()
            .is_some_and(|stream| !stream.window.is_fresh(index.into()))
        {
            return Err(Dropped::Replayed);
        }
        self.cipher
            .open_rtcp(ssrc, index, packet, tag)
            .map_err(|_| Dropped::NotAuthentic)?;
        match known {
            Some(stream) => {
                stream.window.mark(index.into());
                stream.last_heard = now;
            }
            None => {
                let window = RtcpWindow::starting_at(index.into());
                insert(
                    &mut self.rtcp,
                    ssrc,
                    Stream {
                        window,
                        last_heard: now,
                        failures: 0,
                    },
                );
            }
        }
        Ok(len)
    }
}

const INDEX_MASK: u64 = (1 << 48) - 1;

/// Inserts and keeps to [`MAX_SSRCS`]. Only authentic packets get here, so that only the peer can make its own streams be forgotten.
fn insert<W>(streams: &mut FxHashMap<u32, Stream<W>>, ssrc: u32, stream: Stream<W>) {
    if streams.len() >= MAX_SSRCS
        && let Some(&silent) = streams
            .iter()
            .min_by_key(|(_, stream)| stream.last_heard)
            .map(|(ssrc, _)| ssrc)
    {
        streams.remove(&silent);
    }
    streams.insert(ssrc, stream);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::{MAX_OVERHEAD, SrtpSender};

    const PROFILES: [SrtpProfile; 3] = [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmHmacSha1_80,
    ];

    fn pair(profile: SrtpProfile) -> (SrtpSender, SrtpReceiver) {
        let (key, salt) = (
            &[7; 32][..profile.key_len()],
            &[9; 14][..profile.salt_len()],
        );
        (
            SrtpSender::new(profile, key, salt).unwrap(),
            SrtpReceiver::new(profile, key, salt).unwrap(),
        )
    }

    fn rtp(ssrc: u32, seq: u16) -> Vec<u8> {
        let mut packet = vec![
            0x90, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0, 1, 2, 3, 4, 5,
        ];
        packet[2..4].copy_from_slice(&seq.to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        packet
    }

    fn sealed(sender: &SrtpSender, index: u64, ssrc: u32) -> Vec<u8> {
        let mut packet = rtp(ssrc, index as u16);
        let len = packet.len();
        packet.resize(len + MAX_OVERHEAD, 0);
        let len = sender
            .seal_rtp((index >> 16) as u32, &mut packet, len)
            .unwrap();
        packet.truncate(len);
        packet
    }

    #[test]
    fn what_was_sealed_opens_once() {
        for profile in PROFILES {
            let (sender, mut receiver) = pair(profile);
            let now = Instant::now();
            let protected = sealed(&sender, 77, 5);
            assert_eq!(protected.len(), rtp(5, 77).len() + profile.rtp_overhead());
            let mut packet = protected.clone();
            let len = receiver.open_rtp(now, &mut packet).unwrap();
            assert_eq!(packet[..len], rtp(5, 77));
            assert_eq!(
                receiver.open_rtp(now, &mut protected.clone()),
                Err(Dropped::Replayed)
            );
        }
    }

    #[test]
    fn any_changed_bit_is_noticed_and_changes_nothing() {
        for profile in PROFILES {
            let (sender, mut receiver) = pair(profile);
            let now = Instant::now();
            let protected = sealed(&sender, 1, 5);
            for at in 0..protected.len() {
                let mut packet = protected.clone();
                packet[at] ^= 1;
                assert!(
                    receiver.open_rtp(now, &mut packet).is_err(),
                    "{profile:?} byte {at}"
                );
            }
            assert!(receiver.rtp.is_empty());
            assert!(receiver.open_rtp(now, &mut protected.clone()).is_ok());
        }
    }

    #[test]
    fn the_rollover_counter_follows_loss_and_reordering() {
        let (sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
        let now = Instant::now();
        for index in [
            65_000,
            65_535,
            65_537,
            65_534,
            65_536,
            98_000,
            130_000,
            131_071,
            131_072 + 5,
            131_072 + 30_000,
        ] {
            assert!(
                receiver
                    .open_rtp(now, &mut sealed(&sender, index, 5))
                    .is_ok(),
                "{index}"
            );
        }
        assert_eq!(
            receiver.open_rtp(now, &mut sealed(&sender, 131_072 + 30_000 - 960, 5)),
            Err(Dropped::Replayed)
        );
        assert!(
            receiver
                .open_rtp(now, &mut sealed(&sender, 131_072 + 30_000 - 959, 5))
                .is_ok()
        );
    }

    #[test]
    fn a_stream_comes_back_after_an_outage_of_most_of_a_cycle() {
        let (sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
        let start = Instant::now();
        receiver
            .open_rtp(start, &mut sealed(&sender, 100, 5))
            .unwrap();
        let later = start + Duration::from_secs(30);
        let opened = (0..4)
            .filter(|i| {
                receiver
                    .open_rtp(later, &mut sealed(&sender, 50_000 + i, 5))
                    .is_ok()
            })
            .count();
        assert_eq!(opened, 3, "one packet to notice, then all");
        assert!(
            receiver
                .open_rtp(later, &mut sealed(&sender, 50_000 + 9, 5))
                .is_ok()
        );
    }

    #[test]
    fn rtcp_opens_once_and_counts() {
        for profile in PROFILES {
            let (mut sender, mut receiver) = pair(profile);
            let now = Instant::now();
            let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
            for n in 0..300 {
                let mut packet = [0; 8 + MAX_OVERHEAD];
                packet[..8].copy_from_slice(&report);
                let len = sender.seal_rtcp(&mut packet, 8).unwrap();
                let mut again = packet;
                let plain = receiver.open_rtcp(now, &mut packet[..len]).unwrap();
                assert_eq!(packet[..plain], report, "{n}");
                assert_eq!(
                    receiver.open_rtcp(now, &mut again[..len]),
                    Err(Dropped::Replayed)
                );
            }
        }
    }

    #[test]
    fn the_ssrc_table_is_bounded_and_the_silent_one_goes() {
        let (sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
        let start = Instant::now();
        for ssrc in 0..=MAX_SSRCS as u32 {
            let now = start + Duration::from_millis(ssrc.into());
            receiver
                .open_rtp(now, &mut sealed(&sender, 1, ssrc))
                .unwrap();
        }
        assert_eq!(receiver.rtp.len(), MAX_SSRCS);
        assert!(!receiver.rtp.contains_key(&0));
        assert!(receiver.rtp.contains_key(&1));
    }

    #[test]
    fn short_packets_are_malformed() {
        for profile in PROFILES {
            let (_, mut receiver) = pair(profile);
            for len in 0..40 {
                let mut packet = vec![0x9f; len];
                assert!(receiver.open_rtp(Instant::now(), &mut packet).is_err());
                assert!(receiver.open_rtcp(Instant::now(), &mut packet).is_err());
            }
        }
    }
}
