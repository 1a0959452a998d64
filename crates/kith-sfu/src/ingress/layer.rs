//! One encoding: the stream of one SSRC and its retransmissions, and everything kept about it.

use std::time::{Duration, Instant};

use kith_rtp::ext::AudioLevel;
use kith_rtp::{Codec, MediaKind, RtpPacket, Ssrc};

use super::audio_level::AudioLevelMeter;
use super::compaction::Compaction;
use super::keyframe::{KeyframeRequests, START_GRACE};
use super::liveness::Liveness;
use super::nack::NackList;
use super::reception::Reception;
use super::section::Payload;
use super::sequence::{Place, SequenceTracker};
use super::video::{self, FrameStart};
use super::{IngressEvent, LayerStats};
use crate::ids::PublicationId;
use crate::spec::{AudioLevelConfig, LayerSpec};

/// Counters that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    packets: u64,
    bytes: u64,
    padding_packets: u64,
    rtx_packets: u64,
    recovered: u64,
    duplicates: u64,
    dropped: u64,
    pub(super) nacks: u64,
    pub(super) plis: u64,
    pub(super) frames: u64,
    keyframes: u64,
}

/// What the control plane was told last, or should be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// Codec and SSRC while it carries media.
    carries: Option<(Codec, Ssrc)>,
    size: (u16, u16),
}

/// The circumstances of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) now: Instant,
    pub(super) since_origin: Duration,
    pub(super) audio: AudioLevelConfig,
    pub(super) pli_throttle: Duration,
    /// Ids of header extensions; 0 is none.
    pub(super) audio_level_id: u8,
    pub(super) dependency_descriptor_id: u8,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Forward it with this number and epoch.
    pub(super) forward: Option<(u64, u32)>,
    /// Something is due at this time.
    pub(super) wake: Option<Instant>,
    /// A round trip was seen: a packet was asked for once and came.
    pub(super) round_trip: Option<Duration>,
    /// `poll_event` has something to say about this encoding.
    pub(super) changed: bool,
}

impl Outcome {
    fn wake_at(&mut self, at: Option<Instant>) {
        self.wake = match (self.wake, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) section: usize,
    publication: PublicationId,
    kind: MediaKind,
    pub(super) index: u8,
    pub(super) spec: LayerSpec,
    /// The SSRC whose stream this is now.
    pub(super) ssrc: Option<Ssrc>,
    /// The SSRC of its retransmissions and since when.
    pub(super) rtx: Option<(Ssrc, Instant)>,
    codec: Option<Codec>,
    epoch: u32,
    tracker: SequenceTracker,
    compaction: Compaction,
    pub(super) nack: NackList,
    pub(super) reception: Reception,
    pub(super) keyframes: KeyframeRequests,
    pub(super) liveness: Liveness,
    pub(super) meter: Option<Box<AudioLevelMeter>>,
    pub(super) counters: Counters,
    /// Whether the latest packet's codec takes NACKs.
    nack_enabled: bool,
    /// A stream starts that should start with a key frame.
    wants_start: bool,
    frame_timestamp: Option<u32>,
    keyframe_timestamp: Option<u32>,
    size: (u16, u16),
    told: State,
    level_news: bool,
    /// Whether the receiver's list of encodings with news has it.
    pub(super) listed: bool,
}

impl Layer {
    pub(super) fn new(publication: PublicationId, kind: MediaKind, spec: LayerSpec) -> Self {
        Layer {
            section: 0,
            publication,
            kind,
            index: 0,
            spec,
            ssrc: None,
            rtx: None,
            codec: None,
            epoch: 0,
            tracker: SequenceTracker::new(),
            compaction: Compaction::default(),
            nack: NackList::default(),
            reception: Reception::new(),
            keyframes: KeyframeRequests::default(),
            liveness: Liveness::default(),
            meter: None,
            counters: Counters::default(),
            nack_enabled: false,
            wants_start: false,
            frame_timestamp: None,
            keyframe_timestamp: None,
            size: (0, 0),
            told: State::default(),
            level_news: false,
            listed: false,
        }
    }

    pub(super) fn publication(&self) -> PublicationId {
        self.publication
    }

    pub(super) fn kind(&self) -> MediaKind {
        self.kind
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The stream is that of another SSRC from now on.
    pub(super) fn change_ssrc(&mut self, ssrc: Ssrc) {
        self.ssrc = Some(ssrc);
        self.tracker.start_anew();
    }

    /// A packet of the primary SSRC. `payload` is what its payload type is, `None` for one that was not negotiated.
    pub(super) fn on_primary(
        &mut self,
        context: &Context,
        packet: &RtpPacket<'_>,
        payload: Option<Payload>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        // What is not media for us: padding, other payload types, RTX on the wrong SSRC.
        let media = payload.filter(|payload| !payload.rtx && !packet.payload().is_empty());
        let place = self
            .tracker
            .on_primary(packet.sequence_number(), packet.timestamp());
        let (number, newest) = match place {
            Place::First { number } => {
                self.begin_stream(number, payload);
                self.reception.on_packet(number);
                (number, true)
            }
            Place::Restart { number, first } => {
                // The packets from `first` on did arrive, so they are no loss to report.
                self.begin_stream(number, payload);
                self.reception.on_packet(number);
                if self.asks_again(payload) {
                    outcome.wake_at(self.nack.lost(first, number, context.now));
                }
                (number, true)
            }
            Place::Newest { number, previous } => {
                self.reception.on_packet(number);
                if self.asks_again(payload) {
                    outcome.wake_at(self.nack.lost(previous + 1, number, context.now));
                }
                (number, true)
            }
            Place::Late { number } => {
                self.reception.on_packet(number);
                self.nack.arrived(number);
                (number, false)
            }
            Place::Duplicate { number, original } => {
                self.counters.duplicates += 1;
                if original {
                    self.reception.on_packet(number);
                    self.count_primary(packet);
                }
                return outcome;
            }
            Place::Odd => {
                self.counters.dropped += 1;
                return outcome;
            }
        };
        self.count_primary(packet);
        let Some(media) = media else {
            if newest {
                self.compaction.drop_newest(number);
            }
            if packet.payload().is_empty() {
                self.counters.padding_packets += 1;
            } else {
                self.counters.dropped += 1;
            }
            return outcome;
        };
        if newest {
            self.reception
                .on_timestamp(packet.timestamp(), context.since_origin);
            self.measure_level(context, packet, media.codec, &mut outcome);
        }
        // Only the primary stream shows that the encoder works: retransmissions may be of before it stopped.
        let starts = self.liveness.on_media(context.now);
        if starts {
            // Liveness is looked at from now on.
            outcome.wake_at(Some(context.now));
            self.wants_start |= self.kind == MediaKind::Video;
        }
        self.on_media(context, packet, media, number, newest, &mut outcome);
        outcome
    }

    /// An unwrapped retransmission.
    pub(super) fn on_retransmission(
        &mut self,
        context: &Context,
        packet: &RtpPacket<'_>,
        media: Payload,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let place = self
            .tracker
            .on_rtx(packet.sequence_number(), packet.timestamp());
        let (number, newest) = match place {
            Place::Newest { number, previous } => {
                if media.nack {
                    outcome.wake_at(self.nack.lost(previous + 1, number, context.now));
                }
                (number, true)
            }
            Place::Late { number } => {
                if let Some(repaired) = self.nack.arrived(number) {
                    outcome.round_trip = repaired
                        .asked_once
                        .map(|asked| context.now.saturating_duration_since(asked));
                }
                (number, false)
            }
            Place::Duplicate { .. } => {
                self.counters.duplicates += 1;
                return outcome;
            }
            Place::First { .. } | Place::Restart { .. } | Place::Odd => {
                self.counters.dropped += 1;
                return outcome;
            }
        };
        self.counters.recovered += 1;
        self.on_media(context, packet, media, number, newest, &mut outcome);
        outcome
    }

    /// A packet came on the RTX SSRC, with whatever in it.
    pub(super) fn count_rtx(&mut self) {
        self.counters.rtx_packets += 1;
    }

    /// Lost packets of what `payload` is can be asked for again; padding and the like is as the stream's latest codec.
    fn asks_again(&self, payload: Option<Payload>) -> bool {
        payload.map_or(self.nack_enabled, |payload| payload.nack)
    }

    fn begin_stream(&mut self, first: u64, payload: Option<Payload>) {
        let clock_rate = payload
            .map(|payload| payload.codec)
            .or(self.codec)
            .map_or(90_000, Codec::clock_rate);
        self.epoch = self.epoch.wrapping_add(1);
        self.compaction.reset();
        self.nack.clear();
        self.reception.start(first, clock_rate);
        // A key frame of the stream before answers nothing.
        self.keyframes.clear();
        self.liveness.begins_stream();
    }

    fn count_primary(&mut self, packet: &RtpPacket<'_>) {
        self.counters.packets += 1;
        self.counters.bytes += packet.as_bytes().len() as u64;
    }

    /// What primary and retransmitted media have in common.
    fn on_media(
        &mut self,
        context: &Context,
        packet: &RtpPacket<'_>,
        media: Payload,
        number: u64,
        newest: bool,
        outcome: &mut Outcome,
    ) {
        let Some(seq) = self.compaction.map(number) else {
            self.counters.dropped += 1;
            return;
        };
        if newest {
            self.nack_enabled = media.nack;
            if self.frame_timestamp.replace(packet.timestamp()) != Some(packet.timestamp()) {
                self.counters.frames += 1;
            }
            self.wants_start |= self.change_codec(media.codec) && self.kind == MediaKind::Video;
        }
        if self.kind == MediaKind::Video {
            let start = video::frame_start(media.codec, packet, context.dependency_descriptor_id);
            self.on_frame_start(start, packet.timestamp(), number);
            if std::mem::take(&mut self.wants_start) && !start.keyframe {
                // Any key frame of the stream will do, an overtaken one as well.
                let (now, earliest) = (context.now, context.now + START_GRACE);
                let at = self.keyframes.want(now, earliest, 0, context.pli_throttle);
                outcome.wake_at(Some(at));
            }
        }
        outcome.changed |= self.has_news();
        outcome.forward = Some((seq, self.epoch));
    }

    /// True if the encoding has another codec now. Opus within RED is none: libwebrtc sends frames that are too long for
    /// redundancy as they are.
    fn change_codec(&mut self, codec: Codec) -> bool {
        if (self.codec, codec) == (Some(Codec::Red), Codec::Opus) {
            return false;
        }
        self.codec.replace(codec) != Some(codec)
    }

    fn on_frame_start(&mut self, start: FrameStart, timestamp: u32, number: u64) {
        if start.keyframe {
            if self.keyframe_timestamp.replace(timestamp) != Some(timestamp) {
                self.counters.keyframes += 1;
            }
            self.keyframes.on_keyframe(number);
        }
        if let Some(size) = start.size {
            self.size = size;
        }
    }

    fn measure_level(
        &mut self,
        context: &Context,
        packet: &RtpPacket<'_>,
        codec: Codec,
        outcome: &mut Outcome,
    ) {
        let Some(meter) = &mut self.meter else {
            return;
        };
        let Some(level) = packet
            .extension(context.audio_level_id)
            .and_then(AudioLevel::parse)
        else {
            return;
        };
        let before = meter.current();
        if meter.on_packet(
            &context.audio,
            context.now,
            level.level,
            packet.timestamp(),
            codec.clock_rate(),
        ) && (before.active || meter.current().active)
        {
            self.level_news = true;
            outcome.wake_at(meter.deadline(&context.audio));
        }
    }

    /// A key frame is wanted. Returns when it will be asked for.
    pub(super) fn want_keyframe(&mut self, now: Instant, throttle: Duration) -> Option<Instant> {
        self.ssrc?;
        (self.kind == MediaKind::Video).then(|| {
            self.keyframes
                .want(now, now, self.tracker.newest(), throttle)
        })
    }

    /// Does what is due by time for the audio level; true if there is news.
    pub(super) fn check_level(&mut self, config: &AudioLevelConfig, now: Instant) -> bool {
        let stale = self
            .meter
            .as_mut()
            .is_some_and(|meter| meter.on_timeout(config, now));
        self.level_news |= stale;
        stale
    }

    /// The encoding fell silent. Key frames that are wanted are still: they may be what makes a still picture move.
    pub(super) fn fall_silent(&mut self) {
        self.liveness.stop();
        self.nack.clear();
    }

    /// The publisher says that the stream ended.
    pub(super) fn end(&mut self) {
        self.fall_silent();
        self.keyframes.clear();
    }

    fn state(&self) -> State {
        State {
            carries: self
                .codec
                .zip(self.ssrc)
                .filter(|_| self.liveness.is_alive()),
            size: self.size,
        }
    }

    /// Whether `next_event` has something to say.
    pub(super) fn has_news(&self) -> bool {
        self.level_news || self.state() != self.told
    }

    /// The next difference between what is and what was told.
    pub(super) fn next_event(&mut self) -> Option<IngressEvent> {
        let state = self.state();
        let (publication, layer) = (self.publication, self.index);
        if state.carries != self.told.carries {
            self.told.carries = state.carries;
            return Some(match state.carries {
                Some((codec, ssrc)) => IngressEvent::LayerStarted {
                    publication,
                    layer,
                    codec,
                    ssrc,
                },
                None => IngressEvent::LayerStopped { publication, layer },
            });
        }
        if state.size != self.told.size {
            self.told.size = state.size;
            let (width, height) = state.size;
            return Some(IngressEvent::VideoSize {
                publication,
                layer,
                width,
                height,
            });
        }
        if std::mem::take(&mut self.level_news) {
            let loudness = self.meter.as_ref().map(|meter| meter.current())?;
            return Some(IngressEvent::AudioLevel {
                publication,
                level: loudness.level,
                active: loudness.active,
            });
        }
        None
    }

    /// Entries in all tables.
    pub(super) fn table_entries(&self) -> usize {
        self.nack.len() + self.compaction.len()
    }

    pub(super) fn stats(&self, rtt: Option<Duration>) -> LayerStats {
        LayerStats {
            publication: self.publication,
            layer: self.index,
            ssrc: self.ssrc,
            codec: self.codec,
            live: self.liveness.is_alive(),
            packets: self.counters.packets,
            bytes: self.counters.bytes,
            padding_packets: self.counters.padding_packets,
            rtx_packets: self.counters.rtx_packets,
            lost: self.reception.lost(),
            recovered: self.counters.recovered,
            duplicates: self.counters.duplicates,
            dropped: self.counters.dropped,
            jitter: self.reception.jitter(),
            rtt,
            nacks: self.counters.nacks,
            plis: self.counters.plis,
            frames: self.counters.frames,
            keyframes: self.counters.keyframes,
            width: self.size.0,
            height: self.size.1,
        }
    }
}
