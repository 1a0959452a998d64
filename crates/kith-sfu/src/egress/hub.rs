//! [`TrackHub`]: one shard's copy of a publication.

use std::time::Instant;

use kith_rtp::{Codec, ExtensionKind, ExtensionMap, MediaKind, RtpPacket};

use super::HubSpec;
use super::descriptor::{self, Dependencies, Structure};
use super::history::{History, HistoryLimits};
use super::sequencer::Source;
use super::stored::{Flags, PLAYOUT_DELAY_LEN, StoredPacket};
use crate::packet::{ReceivedPacket, SenderReportInfo};

/// Most encodings of a publication, as LiveKit has them, and most spatial layers that are told apart.
pub(super) const MAX_LAYERS: usize = 4;

/// A layer that did not show in so many pictures of others, and for so long, was stopped by the publisher. Both, as
/// pictures come in bursts and screen shares seldom.
const STOPPED_PICTURES: u8 = 15;
const STOPPED_US: u64 = 600_000;

/// Sequence numbers that no stream reaches, and steps that 16 bits cannot show: both would spoil the history for what
/// comes after.
const MAX_SEQUENCE: u64 = 1 << 62;
const MAX_STEP: u64 = 1 << 16;

/// Names a packet in a hub's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRef {
    pub(super) layer: u8,
    pub(super) seq: u64,
}

/// One shard's copy of a publication: the recent packets of each encoding, their bytes stored once, and what is known
/// about its timing and layers. Its memory is bounded and grows with the bit rate.
#[derive(Debug)]
pub struct TrackHub {
    spec: HubSpec,
    /// When the hub's clock was zero.
    epoch: Option<Instant>,
    layers: Vec<Layer>,
    /// Of each encoding, or of each spatial layer if there is one encoding.
    activity: [Activity; MAX_LAYERS],
}

/// One encoding.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) history: History,
    /// Which of the encoding's streams this is; `None` before the first packet.
    pub(super) epoch: Option<u32>,
    report: Option<Report>,
    structure: Option<Box<Structure>>,
    /// Timestamp of the newest packet.
    timestamp: u32,
    /// The newest picture id, counted on to 16 bits.
    picture_id: u16,
}

/// The publisher's last sender report about an encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) epoch: u32,
    pub(super) ntp: u64,
    pub(super) rtp_timestamp: u32,
    pub(super) arrival: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    live: bool,
    /// Pictures since it last showed.
    missed: u8,
    /// When it last showed.
    seen: u64,
}

impl Layer {
    fn new(kind: MediaKind) -> Self {
        let limits = match kind {
            MediaKind::Audio => HistoryLimits::AUDIO,
            MediaKind::Video => HistoryLimits::VIDEO,
        };
        Layer {
            history: History::new(limits),
            epoch: None,
            report: None,
            structure: None,
            timestamp: 0,
            picture_id: 0,
        }
    }

    /// The structure of dependency descriptors.
    #[inline]
    pub(super) fn structure(&self) -> Option<&Structure> {
        self.structure.as_deref()
    }

    /// The dependency descriptor of a packet of this layer.
    #[inline]
    pub(super) fn dependencies(&self, packet: &StoredPacket) -> Option<&Dependencies> {
        if !packet.flags.has(Flags::DEPENDENCIES) {
            return None;
        }
        self.history.dependencies(packet.seq)
    }

    /// The last report, if it is about the stream that is being received.
    pub(super) fn report(&self) -> Option<Report> {
        self.report
            .filter(|report| self.epoch == Some(report.epoch))
    }

    fn restart(&mut self, epoch: u32) {
        self.history.clear();
        self.epoch = Some(epoch);
        self.structure = None;
    }
}

impl TrackHub {
    /// A hub without packets.
    pub fn new(spec: HubSpec) -> Self {
        let count = usize::from(spec.layer_count).clamp(1, MAX_LAYERS);
        TrackHub {
            spec,
            epoch: None,
            layers: (0..count).map(|_| Layer::new(spec.kind)).collect(),
            activity: [Activity::default(); MAX_LAYERS],
        }
    }

    /// What it was made from.
    pub fn spec(&self) -> &HubSpec {
        &self.spec
    }

    /// The publisher renegotiated the ids of header extensions.
    pub fn set_extensions(&mut self, extensions: ExtensionMap) {
        self.spec.extensions = extensions;
    }

    /// Bytes of memory held beside the struct itself.
    pub fn memory(&self) -> usize {
        let layer = |layer: &Layer| {
            let structure = layer
                .structure
                .as_ref()
                .map_or(0, |_| size_of::<Structure>());
            size_of::<Layer>() + layer.history.memory() + structure
        };
        self.layers.iter().map(layer).sum()
    }

    /// Stores a packet. `None`: it is a duplicate, older than the history, of a stream that has ended, or broken.
    pub fn push(&mut self, received: &ReceivedPacket<'_>) -> Option<PacketRef> {
        let now = self.start_clock(received.arrival);
        let layer = self.layers.get_mut(usize::from(received.layer))?;
        match layer.epoch {
            Some(epoch) if epoch == received.epoch => {}
            Some(epoch) if (received.epoch.wrapping_sub(epoch) as i32) < 0 => return None,
            _ => layer.restart(received.epoch),
        }
        let rtp = RtpPacket::parse(received.packet).ok()?;
        let payload = rtp.payload();
        let newest = layer.history.newest();
        let is_newest = received.seq > newest;
        let first = newest == 0;
        let is_plausible = received.seq != 0
            && received.seq < MAX_SEQUENCE
            && (first || received.seq.saturating_sub(newest) < MAX_STEP);
        if !is_plausible {
            return None;
        }
        let mut packet = StoredPacket {
            seq: received.seq,
            arrival: now,
            timestamp: rtp.timestamp(),
            payload_len: u16::try_from(payload.len()).ok()?,
            codec: received.codec,
            ..StoredPacket::EMPTY
        };
        packet.flags.set(Flags::MARKER, rtp.marker());

        let extensions = Extensions::read(&rtp, &self.spec.extensions, &mut packet);
        let at_frame_border = first
            || layer
                .history
                .get(received.seq - 1)
                .is_some_and(|before| before.timestamp != packet.timestamp);
        if !descriptor::read_payload(payload, at_frame_border, &mut packet) {
            return None;
        }
        if packet.flags.has(Flags::PICTURE_ID) {
            let bits = if packet.flags.has(Flags::PICTURE_ID_WIDE) {
                15
            } else {
                7
            };
            packet.picture_id = count_on(layer.picture_id, packet.picture_id, bits);
        }
        let mut dependencies = None;
        // VP8's own descriptor says everything, and all receivers understand it.
        if !extensions.dependencies.is_empty() && received.codec != Codec::Vp8 {
            dependencies = descriptor::read_dependencies(
                extensions.dependencies,
                &mut layer.structure,
                &mut packet,
            );
            packet.dependencies_len = extensions.dependencies.len() as u8;
        }
        let dependency_bytes: &[u8] = if dependencies.is_some() {
            extensions.dependencies
        } else {
            packet.dependencies_len = 0;
            &[]
        };
        let parts = [
            extensions.capture_time,
            extensions.playout_delay,
            dependency_bytes,
            payload,
        ];
        if !layer.history.push(packet, dependencies.as_ref(), &parts) {
            return None;
        }
        if is_newest {
            let new_picture = first || layer.timestamp != packet.timestamp;
            layer.timestamp = packet.timestamp;
            layer.picture_id = packet.picture_id;
            self.note_activity(received.layer, packet.spatial, new_picture, now);
        }
        Some(PacketRef {
            layer: received.layer,
            seq: received.seq,
        })
    }

    /// Learns the publisher's timing of one encoding.
    pub fn on_sender_report(&mut self, report: &SenderReportInfo) {
        if let Some(layer) = self.layers.get_mut(usize::from(report.layer)) {
            layer.report = Some(Report {
                epoch: report.epoch,
                ntp: report.ntp,
                rtp_timestamp: report.rtp_timestamp,
                arrival: report.arrival,
            });
        }
    }

    /// Whether the publisher is sending an encoding (with one encoding: a spatial layer of it).
    pub fn is_live(&self, layer: u8) -> bool {
        self.activity
            .get(usize::from(layer))
            .is_some_and(|it| it.live)
    }

    /// The encoding (with one encoding: the spatial layer) that is sent and comes closest to `max`: the highest one up to
    /// it, else the lowest above it, else `max` itself.
    #[inline]
    pub(super) fn closest_layer(&self, max: u8) -> u8 {
        let live = self
            .activity
            .iter()
            .rev()
            .fold(0u32, |bits, it| bits << 1 | u32::from(it.live));
        let up_to = live & ((2u32 << max.min(MAX_LAYERS as u8)) - 1);
        if up_to != 0 {
            up_to.ilog2() as u8
        } else if live != 0 {
            live.trailing_zeros() as u8
        } else {
            max.min(self.top_layer())
        }
    }

    /// The highest layer there may be.
    fn top_layer(&self) -> u8 {
        let layers = if self.is_simulcast() {
            self.layers.len()
        } else {
            MAX_LAYERS
        };
        (layers as u8).saturating_sub(1)
    }

    /// How many encodings there are.
    #[inline]
    pub(super) fn is_simulcast(&self) -> bool {
        self.layers.len() > 1
    }

    #[inline]
    pub(super) fn layer(&self, layer: u8) -> Option<&Layer> {
        self.layers.get(usize::from(layer))
    }

    /// The packet that a source names.
    #[inline]
    pub(super) fn resolve(&self, source: Source) -> Option<(&Layer, &StoredPacket)> {
        let layer = self.layer(source.layer())?;
        if layer.epoch.unwrap_or(0) & 3 != source.epoch_bits() {
            return None;
        }
        let packet = layer.history.get(source.seq(layer.history.newest()))?;
        Some((layer, packet))
    }

    /// A time in µs of the hub's clock.
    #[inline]
    pub(super) fn micros(&self, time: Instant) -> u64 {
        self.epoch.map_or(0, |epoch| {
            time.saturating_duration_since(epoch).as_micros() as u64
        })
    }

    /// What to add to a timestamp of stream `to` for the timestamp of stream `from` at the same moment of capture.
    pub(super) fn clock_offset(
        &self,
        from: (u8, u32),
        to: (u8, u32),
        clock_rate: u32,
    ) -> Option<u32> {
        if from == to {
            return Some(0);
        }
        let report = |(layer, epoch): (u8, u32)| {
            self.layer(layer)?
                .report()
                .filter(|report| report.epoch == epoch)
        };
        let (from, to) = (report(from)?, report(to)?);
        let later = to.ntp.wrapping_sub(from.ntp) as i64;
        let ticks = (i128::from(later) * i128::from(clock_rate)) >> 32;
        Some(
            from.rtp_timestamp
                .wrapping_add(ticks as u32)
                .wrapping_sub(to.rtp_timestamp),
        )
    }

    fn start_clock(&mut self, arrival: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(arrival);
        arrival.saturating_duration_since(epoch).as_micros() as u64
    }

    fn note_activity(&mut self, layer: u8, spatial: u8, new_picture: bool, now: u64) {
        let at = if self.layers.len() > 1 {
            layer
        } else {
            spatial
        };
        if new_picture {
            for it in &mut self.activity {
                it.missed = it.missed.saturating_add(1);
                if it.missed >= STOPPED_PICTURES && now.saturating_sub(it.seen) > STOPPED_US {
                    it.live = false;
                }
            }
        }
        if let Some(it) = self.activity.get_mut(usize::from(at)) {
            *it = Activity {
                live: true,
                missed: 0,
                seen: now,
            };
        }
    }
}

/// The 16-bit number that ends in the `bits` bits of `id` and is closest to `newest`.
fn count_on(newest: u16, id: u16, bits: u32) -> u16 {
    let unused = u16::BITS - bits;
    let step = (id.wrapping_sub(newest) << unused) as i16 >> unused;
    newest.wrapping_add_signed(step)
}

/// The extension values of a packet that go on to subscribers.
struct Extensions<'a> {
    capture_time: &'a [u8],
    playout_delay: &'a [u8],
    dependencies: &'a [u8],
}

impl<'a> Extensions<'a> {
    fn read(rtp: &RtpPacket<'a>, ids: &ExtensionMap, packet: &mut StoredPacket) -> Self {
        let mut found = Extensions {
            capture_time: &[],
            playout_delay: &[],
            dependencies: &[],
        };
        let is = |kind, id| ids.id(kind) == Some(id);
        for (id, value) in rtp.extensions() {
            match value {
                [byte] if is(ExtensionKind::AudioLevel, id) => {
                    packet.flags.set(Flags::AUDIO_LEVEL, true);
                    packet.level_or_orientation = *byte;
                }
                [byte] if is(ExtensionKind::VideoOrientation, id) => {
                    packet.flags.set(Flags::ORIENTATION, true);
                    packet.level_or_orientation = *byte;
                }
                _ if is(ExtensionKind::AbsCaptureTime, id) && matches!(value.len(), 8 | 16) => {
                    found.capture_time = value;
                    packet.capture_time_len = value.len() as u8;
                }
                _ if is(ExtensionKind::PlayoutDelay, id) && value.len() == PLAYOUT_DELAY_LEN => {
                    found.playout_delay = value;
                    packet.flags.set(Flags::PLAYOUT_DELAY, true);
                }
                _ if is(ExtensionKind::DependencyDescriptor, id) => found.dependencies = value,
                _ => {}
            }
        }
        found
    }
}
