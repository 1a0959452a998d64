//! [`DownTrack`]: one subscriber's copy of a publication.

mod forwarding;

use std::time::{Duration, Instant};

use kith_rtp::ext::PlayoutDelay;
use kith_rtp::rtcp::ReportBlock;
use kith_rtp::{Codec, LayerId, MediaKind, SeqNo, Ssrc};

use super::feedback::{Feedback, next_random};
use super::hub::TrackHub;
use super::keyframes::KeyframeRequests;
use super::outgoing::Sink;
use super::places::Places;
use super::select::Selector;
use super::sequencer::{Sent, Sequencer};
use super::timeline::Timeline;
use super::wire::Wire;
use super::{
    DownTrackSpec, DownTrackStats, LayerTarget, Outgoing, Outgoings, PacketRef, SendStamp, Written,
    allocation,
};

/// Sent packets that can be asked for again, as many as the hub keeps.
const AUDIO_HISTORY: usize = 256;
const VIDEO_HISTORY: usize = 512;

/// Least time between two retransmissions of a packet is two round trips, and at most this.
const MAX_ANSWER_INTERVAL: Duration = Duration::from_millis(100);

/// Longest CNAME (RFC 3550 section 6.5).
const MAX_CNAME_LEN: usize = 255;

/// One subscriber's copy of a publication.
#[derive(Debug)]
pub struct DownTrack {
    wire: Wire,
    /// What is being forwarded; `None` until it begins and when paused.
    stream: Option<Stream>,
    /// What to aim at.
    target: LayerTarget,
    /// Highest layer inside of the stream.
    inner_limit: LayerId,
    /// The target's spatial layer is one inside of the stream.
    selects_inside: bool,
    selector: Selector,
    /// The first packet that `selector` chose for.
    began_at: u64,
    /// The stream before this one, whose late packets may still fill gaps.
    left: Option<Left>,
    places: Places,
    timeline: Timeline,
    sequencer: Sequencer,
    numbers: Numbers,
    /// Packets that came before the key frame that precedes them did.
    catch_up: Option<CatchUp>,
    next_rtx: u32,
    keyframes: KeyframeRequests,
    feedback: Feedback,
    counters: DownTrackStats,
    /// What the subscriber asked for, and what it may have of that.
    asked: LayerTarget,
    limit: Option<LayerTarget>,
    /// The playout delay is asked for until the subscriber received this number.
    delay_until: u64,
    /// The last packet in order that was sent ended its picture.
    between_pictures: bool,
    first_codec: Option<Codec>,
    nack: bool,
    cname: Box<str>,
}

/// A stream of the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stream {
    layer: u8,
    epoch: u32,
    codec: Codec,
}

impl Stream {
    /// Whether a packet of this codec goes on with the stream. Publishers of RED send plain Opus now and then.
    #[inline]
    fn goes_on_with(&self, codec: Codec) -> bool {
        let is_opus = |codec| matches!(codec, Codec::Opus | Codec::Red);
        self.codec == codec || (is_opus(self.codec) && is_opus(codec))
    }
}

/// A stream that was left.
#[derive(Debug)]
struct Left {
    stream: Stream,
    selector: Selector,
    began_at: u64,
}

/// The newest numbers that were sent inside of payloads and dependency descriptors.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    id: u16,
    tl0: u8,
    key_idx: u8,
}

/// See [`DownTrack::catch_up`].
#[derive(Clone, Copy, Debug)]
struct CatchUp {
    stream: Stream,
    next: u64,
    end: u64,
}

impl DownTrack {
    /// A down-track that wants everything and has sent nothing.
    pub fn new(spec: DownTrackSpec) -> Self {
        let mut random = spec.seed;
        // The first half of the range: the upper bits of the index are known to be zero while the receiver learns it.
        let first_sequence = (next_random(&mut random) & 0x7FFF).max(1);
        let numbers = next_random(&mut random);
        let kind = spec
            .codecs
            .first()
            .map_or(MediaKind::Video, |it| it.codec.kind());
        let clock_rate = spec
            .codecs
            .first()
            .map_or(90_000, |it| it.codec.clock_rate());
        let history = match kind {
            MediaKind::Audio => AUDIO_HISTORY,
            MediaKind::Video => VIDEO_HISTORY,
        };
        let mut cname = spec.cname.clone();
        let fits = (0..=MAX_CNAME_LEN)
            .rev()
            .find(|len| cname.is_char_boundary(*len));
        cname.truncate(fits.unwrap_or(0));
        DownTrack {
            wire: Wire::new(&spec),
            stream: None,
            target: LayerTarget::ALL,
            inner_limit: LayerId::default(),
            selects_inside: false,
            selector: Selector::new(),
            began_at: 0,
            left: None,
            places: Places::new(first_sequence),
            timeline: Timeline::new(clock_rate),
            sequencer: Sequencer::new(history),
            numbers: Numbers {
                id: numbers as u16 & 0x7FFF,
                tl0: (numbers >> 16) as u8,
                key_idx: (numbers >> 24) as u8 & 0x1F,
            },
            catch_up: None,
            next_rtx: (next_random(&mut random) & 0x7FFF) as u32 | 1,
            keyframes: KeyframeRequests::default(),
            feedback: Feedback::new(random),
            counters: DownTrackStats::default(),
            asked: LayerTarget::ALL,
            limit: None,
            delay_until: u64::MAX,
            between_pictures: true,
            first_codec: spec.codecs.first().map(|it| it.codec),
            nack: spec.nack,
            cname: cname.into_boxed_str(),
        }
    }

    /// SSRC of the stream.
    pub fn ssrc(&self) -> Ssrc {
        self.wire.ssrc()
    }

    /// SSRC of retransmissions.
    pub fn rtx_ssrc(&self) -> Option<Ssrc> {
        self.wire.rtx_ssrc()
    }

    /// What the subscriber wants.
    #[expect(
        clippy::misnamed_getters,
        reason = "the field `target` is what comes out of it"
    )]
    pub fn target(&self) -> LayerTarget {
        self.asked
    }

    /// Changes what the subscriber wants. It takes effect where the stream allows it.
    pub fn set_target(&mut self, target: LayerTarget) {
        self.asked = target;
        self.aim();
    }

    /// Changes what the subscriber may have of what it wants; `None` is all of it.
    pub fn set_limit(&mut self, limit: Option<LayerTarget>) {
        self.limit = limit;
        self.aim();
    }

    /// Asks the subscriber to hold frames back until it reports that it received that; `None` stops asking.
    pub fn set_playout_delay(&mut self, delay: Option<PlayoutDelay>) {
        self.wire
            .set_playout_delay(delay.map(|delay| delay.to_bytes()));
        self.delay_until = self.places.next_out();
    }

    /// Decides what the subscriber gets of a packet that was pushed to `hub`: at most [`super::MAX_OUTGOING`] packets,
    /// oldest first. Call it once for every pushed packet, in the order in which they were pushed, from the first one
    /// that the subscriber may get, and write what comes out of it within a few milliseconds: the hub keeps the bytes
    /// for about a second.
    #[inline]
    pub fn forward_each(
        &mut self,
        hub: &TrackHub,
        packet: PacketRef,
        _now: Instant,
        push: impl FnMut(Outgoing),
    ) {
        if self.target.paused {
            return;
        }
        let Some(layer) = hub.layer(packet.layer) else {
            return;
        };
        let Some(stored) = layer.history.get(packet.seq) else {
            return;
        };
        let stream = Stream {
            layer: packet.layer,
            epoch: layer.epoch.unwrap_or(0),
            codec: stored.codec,
        };
        let mut sink = Sink::new(push);
        if self.catch_up.is_none() || !self.waits(stream, packet.seq) {
            self.take(hub, layer, stream, stored, &mut sink);
        }
        if self.catch_up.is_some() {
            self.continue_catching_up(hub, &mut sink);
        }
    }

    /// The same with the decisions collected, which costs some 15 ns more.
    #[inline]
    pub fn forward(&mut self, hub: &TrackHub, packet: PacketRef, now: Instant) -> Outgoings {
        let mut outgoings = Outgoings::default();
        self.forward_each(hub, packet, now, |outgoing| outgoings.push(outgoing));
        outgoings
    }

    /// Writes plaintext RTP for a decision. `None`: the history has lost the bytes, or `buf` is too short (300 bytes
    /// more than the publisher's packet are enough).
    #[inline]
    pub fn write(
        &self,
        hub: &TrackHub,
        out: &Outgoing,
        stamp: &SendStamp,
        buf: &mut [u8],
    ) -> Option<Written> {
        self.wire.write(hub, out, stamp, buf)
    }

    /// Decides to send a packet of padding between two pictures: what tells a receiver that a stream is there before
    /// anything is published on it. `None` in the middle of a picture, as it would be torn.
    pub fn pad(&mut self, hub: &TrackHub, now: Instant) -> Option<Outgoing> {
        if !self.between_pictures {
            return None;
        }
        let codec = self.stream.map_or(self.first_codec?, |stream| stream.codec);
        let sent = Sent::filler(self.timeline.newest(), self.wire.sent_as(codec));
        let out = self.places.insert();
        self.sequencer.insert(out, sent, hub.micros(now) / 1000);
        Some(Outgoing {
            sequence: out,
            rtx: 0,
            sent,
        })
    }

    /// Answers the subscriber's request for packets: on the RTX stream, or without one by repeating them.
    pub fn handle_nack(
        &mut self,
        hub: &TrackHub,
        lost: impl IntoIterator<Item = SeqNo>,
        now: Instant,
        mut push: impl FnMut(Outgoing),
    ) {
        if !self.nack {
            return;
        }
        let now_ms = hub.micros(now) / 1000;
        let interval = (self.feedback.rtt_or_default() * 2).min(MAX_ANSWER_INTERVAL);
        let interval_ms = interval.as_millis() as u16;
        for number in lost {
            self.counters.nacks += 1;
            match self.answer(hub, number, now_ms, interval_ms) {
                Some(outgoing) => push(outgoing),
                None => self.counters.nacks_unanswered += 1,
            }
        }
    }

    /// The subscriber asks for a key frame (PLI or FIR).
    pub fn handle_pli(&mut self) {
        self.counters.plis += 1;
        self.keyframes.asked = true;
    }

    /// Takes the subscriber's report about the stream; reports about other SSRCs are ignored.
    pub fn handle_receiver_report(&mut self, report: &ReportBlock, now: Instant) {
        if report.ssrc != self.ssrc() {
            return;
        }
        self.feedback.on_report(report, now);
        self.wire.stop_mid();
        let received = SeqNo(report.highest_sequence as u16).extend(self.sequencer.newest());
        if received >= self.delay_until {
            self.wire.set_playout_delay(None);
            self.delay_until = u64::MAX;
        }
    }

    /// The round trip time to the subscriber as measured elsewhere (ICE, other tracks), used until this track's own
    /// reports tell it.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.feedback.suggest_rtt(rtt);
    }

    /// The encoding of which a key frame is to be asked from the publisher now. Ask after every input that concerns the
    /// track and every 100 ms; it answers seldom enough by itself.
    pub fn poll_keyframe_request(&mut self, hub: &TrackHub, now: Instant) -> Option<u8> {
        if self.target.paused || hub.spec().kind == MediaKind::Audio {
            return None;
        }
        let best = hub.closest_layer(self.target.max_spatial);
        let layer = if hub.is_simulcast() { best } else { 0 };
        let needed = self.keyframes.asked
            || match self.stream {
                None => true,
                Some(stream) if hub.is_simulcast() => {
                    stream.layer != best || self.selector.needs_keyframe(0)
                }
                Some(_) => self
                    .selector
                    .needs_keyframe(best.min(self.inner_limit.spatial)),
            }
            || self.stream.is_some_and(|stream| {
                let epoch = hub.layer(stream.layer).and_then(|it| it.epoch);
                epoch != Some(stream.epoch)
            });
        let rtt = self.feedback.rtt_or_default();
        (needed && self.keyframes.is_due(now, rtt)).then_some(layer)
    }

    /// Writes a sender report with the CNAME, if one is due, and returns its length. It says the time by the
    /// *publisher's* clock, so that tracks of one publisher stay in step at the subscriber.
    pub fn sender_report(&mut self, now: Instant, hub: &TrackHub, out: &mut [u8]) -> Option<usize> {
        let sent = (self.counters.packets, self.counters.bytes);
        let ssrc = self.wire.ssrc();
        self.feedback
            .sender_report(now, hub, &self.timeline, ssrc, &self.cname, sent, out)
    }

    /// Whether something was sent.
    pub fn is_started(&self) -> bool {
        self.counters.packets > 0
    }

    /// Counters.
    pub fn stats(&self) -> DownTrackStats {
        let last = self.feedback.last.unwrap_or_default();
        let jitter_us = u64::from(last.jitter) * 1_000_000 / u64::from(self.timeline.clock_rate());
        DownTrackStats {
            current_spatial: self
                .stream
                .map(|stream| stream.layer + self.selector.spatial().unwrap_or(0)),
            current_temporal: self
                .selector
                .temporal(self.inner_limit)
                .unwrap_or(self.inner_limit.temporal),
            rtt: self.feedback.rtt(),
            fraction_lost: f32::from(last.fraction_lost) / 256.0,
            jitter: Duration::from_micros(jitter_us),
            ..self.counters
        }
    }

    /// Bytes of memory held, the struct itself included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.sequencer.memory() + self.places.memory() + self.cname.len()
    }

    fn aim(&mut self) {
        self.target = allocation::effective(self.asked, self.limit);
        if self.target.paused {
            self.leave();
            self.catch_up = None;
        }
        self.inner_limit.temporal = self.target.max_temporal;
        if self.selects_inside {
            self.inner_limit.spatial = self.target.max_spatial;
        }
    }

    /// Ends what is being forwarded.
    fn leave(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.timeline.leave(self.places.highest());
            self.left = Some(Left {
                stream,
                selector: std::mem::replace(&mut self.selector, Selector::new()),
                began_at: self.began_at,
            });
        }
    }

    fn answer(
        &mut self,
        hub: &TrackHub,
        number: SeqNo,
        now_ms: u64,
        interval_ms: u16,
    ) -> Option<Outgoing> {
        let out = number.extend(self.sequencer.newest());
        if out > self.sequencer.newest() {
            return None;
        }
        let sent = self.sequencer.get(out)?;
        let (codec, payload_len) = match sent.filler_codec() {
            Some(codec) => (codec, 0),
            None => {
                let (_, packet) = hub.resolve(sent.source)?;
                (packet.codec, packet.payload_len)
            }
        };
        let is_filler = sent.form.is_filler();
        let codec = self.wire.sent_as(codec);
        let has_rtx = self.wire.has_rtx(codec);
        if is_filler && has_rtx {
            // Padding has no retransmission format.
            return None;
        }
        let sent = self.sequencer.answer(out, now_ms, interval_ms)?;
        let rtx = if has_rtx {
            let rtx = self.next_rtx;
            self.next_rtx = rtx.wrapping_add(1).max(1);
            rtx
        } else {
            0
        };
        self.counters.retransmitted_packets += 1;
        self.counters.retransmitted_bytes += u64::from(payload_len);
        Some(Outgoing {
            sequence: out,
            rtx,
            sent,
        })
    }
}
