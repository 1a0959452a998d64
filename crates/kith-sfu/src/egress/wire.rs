//! Writing packets: the subscriber's header and extensions in front of the stored payload, with the numbers inside of
//! the payload put right.

use kith_rtp::vp8::Vp8Descriptor;
use kith_rtp::{Codec, ExtensionKind, ExtensionMap, Ssrc, vp8, vp9};

use super::descriptor;
use super::header::{FIXED_HEADER_LEN, HeaderExtension, ONE_BYTE_MAX_ID, ONE_BYTE_MAX_LEN};
use super::hub::{Layer, TrackHub};
use super::outgoing::Outgoing;
use super::red;
use super::sequencer::Sent;
use super::stored::{Flags, PLAYOUT_DELAY_LEN, StoredPacket};
use super::{DownTrackSpec, SendStamp, Written};

/// Longest mid that is sent; those we make have a few digits.
const MAX_MID_LEN: usize = 16;
/// Length of the original sequence number in front of a retransmission (RFC 4588 section 4).
const RTX_HEAD_LEN: usize = 2;
const HAS_PADDING: u8 = 0x20;
/// No payload type: the codec was not negotiated.
const NONE: u8 = u8::MAX;

/// How packets look for one subscriber.
#[derive(Debug)]
pub(super) struct Wire {
    ssrc: Ssrc,
    rtx_ssrc: Option<Ssrc>,
    payload_types: [u8; Codec::ALL.len()],
    rtx_payload_types: [u8; Codec::ALL.len()],
    ids: Ids,
    /// One of the ids does not fit the one-byte form.
    wide_ids: bool,
    nack: bool,
    /// Packets of some codec are repeated on the same SSRC, see [`Self::repeats`].
    repeats_any: bool,
    /// Length of `mid`, 0 when it is not sent (any more).
    mid_len: u8,
    mid: [u8; MAX_MID_LEN],
    /// The playout delay to ask for in every packet.
    playout_delay: Option<[u8; PLAYOUT_DELAY_LEN]>,
}

/// Ids of the extensions at the subscriber; 0 is not negotiated.
#[derive(Clone, Copy, Debug)]
struct Ids {
    mid: u8,
    transport_sequence: u8,
    abs_send_time: u8,
    capture_time: u8,
    playout_delay: u8,
    audio_level: u8,
    orientation: u8,
    dependencies: u8,
}

impl Ids {
    fn new(map: &ExtensionMap) -> Self {
        let id = |kind| map.id(kind).unwrap_or(0);
        Ids {
            mid: id(ExtensionKind::Mid),
            transport_sequence: id(ExtensionKind::TransportWideCc),
            abs_send_time: id(ExtensionKind::AbsSendTime),
            capture_time: id(ExtensionKind::AbsCaptureTime),
            playout_delay: id(ExtensionKind::PlayoutDelay),
            audio_level: id(ExtensionKind::AudioLevel),
            orientation: id(ExtensionKind::VideoOrientation),
            dependencies: id(ExtensionKind::DependencyDescriptor),
        }
    }
}

/// Where a packet goes: on the stream itself or on that of retransmissions.
struct Route {
    payload_type: u8,
    ssrc: Ssrc,
    sequence: u64,
}

impl Wire {
    pub(super) fn new(spec: &DownTrackSpec) -> Self {
        let mut payload_types = [NONE; Codec::ALL.len()];
        let mut rtx_payload_types = [NONE; Codec::ALL.len()];
        // Of two payload types of a codec the first is preferred.
        for entry in spec.codecs.iter().rev() {
            let at = entry.codec as usize;
            if let Some(slot) = payload_types.get_mut(at) {
                *slot = entry.payload_type.0 & 0x7F;
            }
            let rtx = entry.rtx.filter(|_| spec.rtx_ssrc.is_some());
            if let Some(slot) = rtx_payload_types.get_mut(at) {
                *slot = rtx.map_or(NONE, |rtx| rtx.0 & 0x7F);
            }
        }
        let ids = Ids::new(&spec.extensions);
        let mut mid = [0; MAX_MID_LEN];
        let mut mid_len = 0;
        for (slot, byte) in mid.iter_mut().zip(spec.mid.bytes()) {
            *slot = byte;
            mid_len += u8::from(ids.mid != 0);
        }
        Wire {
            ssrc: spec.ssrc,
            rtx_ssrc: spec.rtx_ssrc,
            payload_types,
            rtx_payload_types,
            ids,
            wide_ids: ExtensionKind::ALL
                .iter()
                .any(|kind| spec.extensions.id(*kind) > Some(ONE_BYTE_MAX_ID)),
            nack: spec.nack,
            repeats_any: spec.nack
                && (spec.rtx_ssrc.is_none() || spec.codecs.iter().any(|it| it.rtx.is_none())),
            mid_len,
            mid,
            playout_delay: None,
        }
    }

    pub(super) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    pub(super) fn rtx_ssrc(&self) -> Option<Ssrc> {
        self.rtx_ssrc
    }

    /// The subscriber receives the stream, so it knows which section it belongs to.
    pub(super) fn stop_mid(&mut self) {
        if !self.repeats_any {
            self.mid_len = 0;
        }
    }

    /// Asks for a playout delay in every packet from now on, if that was negotiated.
    pub(super) fn set_playout_delay(&mut self, delay: Option<[u8; PLAYOUT_DELAY_LEN]>) {
        if !self.repeats_any && self.ids.playout_delay != 0 {
            self.playout_delay = delay;
        }
    }

    /// Whether the dependency descriptor was negotiated.
    #[inline]
    pub(super) fn has_dependencies(&self) -> bool {
        self.ids.dependencies != 0
    }

    /// Whether packets of `codec` can be sent as they are.
    #[inline]
    pub(super) fn accepts(&self, codec: Codec) -> bool {
        self.payload_type(codec) != NONE
    }

    /// Whether packets of `codec` are unwrapped.
    #[inline]
    pub(super) fn unwraps(&self, codec: Codec) -> bool {
        codec == Codec::Red && !self.accepts(Codec::Red) && self.accepts(Codec::Opus)
    }

    /// The codec as which packets of `codec` are sent.
    #[inline]
    pub(super) fn sent_as(&self, codec: Codec) -> Codec {
        if self.unwraps(codec) {
            Codec::Opus
        } else {
            codec
        }
    }

    /// Whether retransmissions of `codec` go on a stream of their own.
    #[inline]
    pub(super) fn has_rtx(&self, codec: Codec) -> bool {
        self.rtx_payload_type(codec) != NONE
    }

    /// Whether packets of `codec` are repeated on the same SSRC. Then they must be the same to the bit each time: **a
    /// packet index that is sealed twice with different content gives the key away** (RFC 7714 section 8).
    #[inline]
    fn repeats(&self, codec: Codec) -> bool {
        self.repeats_any && self.nack && !self.has_rtx(codec)
    }

    #[inline]
    fn payload_type(&self, codec: Codec) -> u8 {
        let types = &self.payload_types;
        types.get(codec as usize).copied().unwrap_or(NONE)
    }

    #[inline]
    fn rtx_payload_type(&self, codec: Codec) -> u8 {
        let types = &self.rtx_payload_types;
        types.get(codec as usize).copied().unwrap_or(NONE)
    }

    #[inline]
    fn route(&self, out: &Outgoing, codec: Codec) -> Option<Route> {
        let route = if out.is_rtx() {
            Route {
                payload_type: self.rtx_payload_type(codec),
                ssrc: self.rtx_ssrc?,
                sequence: out.rtx.into(),
            }
        } else {
            Route {
                payload_type: self.payload_type(codec),
                ssrc: self.ssrc,
                sequence: out.sequence,
            }
        };
        (route.payload_type != NONE).then_some(route)
    }

    /// Writes a packet, see [`super::DownTrack::write`].
    #[inline]
    pub(super) fn write(
        &self,
        hub: &TrackHub,
        out: &Outgoing,
        stamp: &SendStamp,
        buf: &mut [u8],
    ) -> Option<Written> {
        let sent = &out.sent;
        if sent.form.is_filler() {
            return self.write_filler(out, stamp, buf);
        }
        let (layer, packet) = hub.resolve(sent.source)?;
        let record = layer.history.record(packet);
        let (values, mut payload) = record.split_at_checked(packet.extensions_len())?;
        let mut codec = packet.codec;
        if self.unwraps(codec) {
            codec = Codec::Opus;
            payload = match sent.form.block() {
                0 => payload.get(usize::from(packet.split)..)?,
                block => red::redundant_block(payload, block)?.payload,
            };
        }
        let route = self.route(out, codec)?;

        let has_descriptor = self.has_dependencies() && packet.dependencies_len != 0;
        let long =
            usize::from(packet.dependencies_len) > ONE_BYTE_MAX_LEN || sent.form.signals_target();
        let mut extension = HeaderExtension::begin(buf, self.wide_ids || (has_descriptor && long));
        self.put_own(&mut extension, codec, stamp)?;
        self.put_carried(&mut extension, layer, packet, sent, values)?;
        let header_len = extension.finish()?;
        put_fixed(buf, &route, sent, 0)?;

        let mut len = header_len;
        if out.is_rtx() {
            let original = buf.get_mut(len..)?.first_chunk_mut::<RTX_HEAD_LEN>()?;
            *original = (out.sequence as u16).to_be_bytes();
            len += RTX_HEAD_LEN;
        }
        len += self.put_payload(packet, codec, sent, payload, buf.get_mut(len..)?)?;
        Some(Written {
            len,
            roc: (route.sequence >> 16) as u32,
        })
    }

    /// A packet of padding only. There is no such thing as its retransmission.
    #[cold]
    fn write_filler(&self, out: &Outgoing, stamp: &SendStamp, buf: &mut [u8]) -> Option<Written> {
        let codec = out.sent.filler_codec()?;
        let route = self.route(out, codec)?;
        let mut extension = HeaderExtension::begin(buf, self.wide_ids);
        self.put_own(&mut extension, codec, stamp)?;
        let header_len = extension.finish()?;
        put_fixed(buf, &route, &out.sent, HAS_PADDING)?;
        *buf.get_mut(header_len)? = 1;
        Some(Written {
            len: header_len + 1,
            roc: (route.sequence >> 16) as u32,
        })
    }

    /// The extensions that are ours.
    #[inline]
    fn put_own(
        &self,
        extension: &mut HeaderExtension<'_>,
        codec: Codec,
        stamp: &SendStamp,
    ) -> Option<()> {
        if !self.repeats(codec) {
            if let Some(number) = stamp
                .transport_sequence
                .filter(|_| self.ids.transport_sequence != 0)
            {
                extension.put(self.ids.transport_sequence, number.to_be_bytes())?;
            }
            if self.ids.abs_send_time != 0 {
                let [_, a, b, c] = stamp.abs_send_time.to_be_bytes();
                extension.put(self.ids.abs_send_time, [a, b, c])?;
            }
        }
        if self.mid_len != 0 {
            let mid = self.mid.get(..usize::from(self.mid_len))?;
            extension.put_slice(self.ids.mid, mid)?;
        }
        if let Some(delay) = self.playout_delay {
            extension.put(self.ids.playout_delay, delay)?;
        }
        Some(())
    }

    /// The extensions that are the publisher's.
    #[inline]
    fn put_carried(
        &self,
        extension: &mut HeaderExtension<'_>,
        layer: &Layer,
        packet: &StoredPacket,
        sent: &Sent,
        values: &[u8],
    ) -> Option<()> {
        if sent.form.block() != 0 {
            // They tell of the packet that carries the redundancy, not of what is recovered from it.
            return Some(());
        }
        let value = [packet.level_or_orientation];
        if packet.flags.has(Flags::AUDIO_LEVEL) && self.ids.audio_level != 0 {
            extension.put(self.ids.audio_level, value)?;
        }
        if packet.flags.has(Flags::ORIENTATION) && self.ids.orientation != 0 {
            extension.put(self.ids.orientation, value)?;
        }
        if values.is_empty() {
            return Some(());
        }
        let (capture_time, mut rest) = values.split_at_checked(packet.capture_time_len.into())?;
        if !capture_time.is_empty() && self.ids.capture_time != 0 {
            extension.put_slice(self.ids.capture_time, capture_time)?;
        }
        if packet.flags.has(Flags::PLAYOUT_DELAY) {
            let (delay, after) = rest.split_first_chunk::<PLAYOUT_DELAY_LEN>()?;
            rest = after;
            if self.ids.playout_delay != 0 && self.playout_delay.is_none() {
                extension.put(self.ids.playout_delay, *delay)?;
            }
        }
        if !rest.is_empty() && self.has_dependencies() {
            let signal = sent.form.signals_target().then_some(sent.target());
            let exact = self.repeats(packet.codec);
            extension.put_with(self.ids.dependencies, |room| {
                descriptor::copy_descriptor(rest, sent.id, signal, exact, layer, packet, room)
            })?;
        }
        Some(())
    }

    /// The payload with the subscriber's numbers. Returns its length.
    #[inline]
    fn put_payload(
        &self,
        packet: &StoredPacket,
        codec: Codec,
        sent: &Sent,
        payload: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let has_id = packet.flags.has(Flags::PICTURE_ID);
        if codec == Codec::Vp8 && has_id && !packet.flags.has(Flags::PICTURE_ID_WIDE) {
            return put_widened_vp8(sent, payload, out);
        }
        let out = out.get_mut(..payload.len())?;
        out.copy_from_slice(payload);
        match codec {
            Codec::Vp8 => vp8::rewrite(out, sent.id, sent.tl0, sent.key_idx).ok()?,
            // With a dependency descriptor nobody looks at the numbers in the payload.
            Codec::Vp9 if !(self.has_dependencies() && packet.flags.has(Flags::DEPENDENCIES)) => {
                vp9::rewrite(out, sent.id, sent.tl0).ok()?;
            }
            Codec::Red if self.accepts(Codec::Opus) => {
                red::set_payload_types(out, self.payload_type(Codec::Opus));
            }
            _ => {}
        }
        Some(out.len())
    }
}

#[inline]
fn put_fixed(buf: &mut [u8], route: &Route, sent: &Sent, padding: u8) -> Option<()> {
    let fixed = buf.first_chunk_mut::<FIXED_HEADER_LEN>()?;
    fixed[0] |= padding;
    fixed[1] = u8::from(sent.form.marker()) << 7 | route.payload_type;
    [fixed[2], fixed[3]] = (route.sequence as u16).to_be_bytes();
    [fixed[4], fixed[5], fixed[6], fixed[7]] = sent.timestamp.to_be_bytes();
    [fixed[8], fixed[9], fixed[10], fixed[11]] = route.ssrc.0.to_be_bytes();
    Some(())
}

/// A picture id of 7 bits would come round every few seconds and mean something else to a receiver that counts 15, so
/// all leave with 15.
#[cold]
fn put_widened_vp8(sent: &Sent, payload: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut descriptor = Vp8Descriptor::parse(payload).ok()?;
    let frame = payload.get(descriptor.len()..)?;
    if let Some(id) = &mut descriptor.picture_id {
        id.value = sent.id & 0x7FFF;
        id.wide = true;
    }
    descriptor.tl0_pic_idx = descriptor.tl0_pic_idx.map(|_| sent.tl0);
    descriptor.key_idx = descriptor.key_idx.map(|_| sent.key_idx);
    let head = descriptor.write(out).ok()?;
    out.get_mut(head..head + frame.len())?
        .copy_from_slice(frame);
    Some(head + frame.len())
}
