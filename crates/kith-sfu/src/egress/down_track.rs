//! [`DownTrack`]: one subscriber's copy of a publication.

use std::time::{Duration, Instant};

use kith_rtp::ext::PlayoutDelay;
use kith_rtp::rtcp::ReportBlock;
use kith_rtp::{Codec, LayerId, MediaKind, SeqNo, Ssrc};

use super::feedback::{Feedback, next_random};
use super::hub::{Layer, TrackHub};
use super::keyframes::KeyframeRequests;
use super::places::{Place, Places};
use super::select::{Choice, Selector};
use super::sequencer::{Form, Sent, Sequencer, Source};
use super::stored::{Flags, StoredPacket};
use super::timeline::{Segment, Timeline};
use super::wire::Wire;
use super::{
    DownTrackSpec, DownTrackStats, LayerTarget, Outgoing, Outgoings, PacketRef, SendStamp, Written,
    allocation, red,
};

/// Sent packets that can be asked for again, as many as the hub keeps.
const AUDIO_HISTORY: usize = 256;
const VIDEO_HISTORY: usize = 512;

/// Most lost packets that are recovered from one packet's redundancy.
const MAX_RECOVERED: u64 = 2;

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

    /// Decides what the subscriber gets of a packet that was pushed to `hub`. Call it once for every pushed packet, in
    /// the order in which they were pushed, and write what it returns before the next packet is pushed.
    #[inline]
    pub fn forward(&mut self, hub: &TrackHub, packet: PacketRef, _now: Instant) -> Outgoings {
        let mut outgoings = Outgoings::default();
        if self.target.paused {
            return outgoings;
        }
        let layer = hub.layer(packet.layer);
        if let Some((layer, stored)) = layer.and_then(|it| Some((it, it.history.get(packet.seq)?)))
        {
            let stream = Stream {
                layer: packet.layer,
                epoch: layer.epoch.unwrap_or(0),
                codec: stored.codec,
            };
            if self.catch_up.is_none() || !self.waits(stream, packet.seq) {
                self.take(hub, layer, stream, stored, &mut outgoings);
            }
            if self.catch_up.is_some() {
                self.continue_catching_up(hub, &mut outgoings);
            }
        }
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
            self.stream = None;
            self.catch_up = None;
        }
        self.inner_limit.temporal = self.target.max_temporal;
        if self.selects_inside {
            self.inner_limit.spatial = self.target.max_spatial;
        }
    }

    /// Decides about a packet of `stream`.
    #[inline]
    fn take(
        &mut self,
        hub: &TrackHub,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        outgoings: &mut Outgoings,
    ) {
        if let Some(current) = self.stream
            && current.layer == stream.layer
            && current.epoch == stream.epoch
            && current.goes_on_with(stream.codec)
        {
            if packet.seq > self.places.highest() {
                self.take_in_order(layer, stream, packet, outgoings);
            } else {
                self.take_late(layer, stream, packet, true, outgoings);
            }
            return;
        }
        let can_begin = match stream.codec.kind() {
            MediaKind::Audio => packet.seq >= layer.history.newest(),
            MediaKind::Video => packet.flags.has(Flags::KEYFRAME_START),
        };
        if can_begin && self.wants(hub, stream) {
            self.begin(hub, layer, stream, packet, outgoings);
        } else if self
            .timeline
            .was_part(stream.layer, stream.epoch, packet.seq)
        {
            self.take_late(layer, stream, packet, false, outgoings);
        }
    }

    /// Whether `stream`, which is not the current one, is better than the current one.
    fn wants(&self, hub: &TrackHub, stream: Stream) -> bool {
        if !self.wire.accepts(stream.codec) && !self.wire.unwraps(stream.codec) {
            return false;
        }
        if !hub.is_simulcast() {
            return true;
        }
        let best = hub.closest_layer(self.target.max_spatial);
        match self.stream {
            None => stream.layer <= best,
            // Another stream of the same encoding, or another codec: the current one has ended.
            Some(current) if current.layer == stream.layer => true,
            Some(_) if stream.layer == best => true,
            // On the way up, anything better; on the way down, anything less.
            Some(current) if current.layer < best => {
                stream.layer > current.layer && stream.layer < best
            }
            Some(current) => current.layer > best && stream.layer < current.layer,
        }
    }

    /// Switches to `stream`, which begins anew with `packet`.
    #[cold]
    fn begin(
        &mut self,
        hub: &TrackHub,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        outgoings: &mut Outgoings,
    ) {
        let mut segment = Segment::of(stream.layer, stream.epoch);
        segment.tl0_shift = self.numbers.tl0.wrapping_add(1).wrapping_sub(packet.tl0);
        segment.key_shift = self
            .numbers
            .key_idx
            .wrapping_add(1)
            .wrapping_sub(packet.key_idx);
        let next_id = self.numbers.id.wrapping_add(1);
        let id_shift = self.source_id(layer, packet).wrapping_sub(next_id);
        let number = self.timeline.next_number();
        self.places.forget_segment(number);
        self.timeline.end(self.places.highest());
        self.timeline.begin(hub, segment, packet);
        self.places.begin(packet.seq, id_shift, number);

        let has_descriptor = self.wire.has_dependencies();
        // Without the descriptor browsers decode of AV1 only what decodes alone.
        let only_base = stream.codec == Codec::Av1 && !has_descriptor;
        self.selects_inside = !only_base && !hub.is_simulcast();
        self.inner_limit = LayerId {
            spatial: match (only_base, self.selects_inside) {
                (true, _) => 0,
                (false, true) => self.target.max_spatial,
                (false, false) => u8::MAX,
            },
            temporal: self.target.max_temporal,
        };
        self.selector.begin(packet, has_descriptor);
        self.stream = Some(stream);
        self.take_in_order(layer, stream, packet, outgoings);

        let newest = layer.history.newest();
        self.catch_up = (packet.seq < newest).then_some(CatchUp {
            stream,
            next: packet.seq + 1,
            end: newest,
        });
    }

    /// Whether a packet is to wait for those between it and the key frame that came late. It is then taken in its turn.
    fn waits(&mut self, stream: Stream, seq: u64) -> bool {
        match &mut self.catch_up {
            Some(catch_up) if catch_up.stream == stream && seq >= catch_up.next => {
                catch_up.end = catch_up.end.max(seq);
                true
            }
            _ => false,
        }
    }

    /// Takes packets that wait, as many as there is room for: three come up for one that is added.
    #[cold]
    fn continue_catching_up(&mut self, hub: &TrackHub, outgoings: &mut Outgoings) {
        let Some(mut catch_up) = self.catch_up.filter(|it| self.stream == Some(it.stream)) else {
            self.catch_up = None;
            return;
        };
        let stream = catch_up.stream;
        let layer = hub
            .layer(stream.layer)
            .filter(|layer| layer.epoch == Some(stream.epoch));
        if let Some(layer) = layer {
            while !outgoings.is_full() && catch_up.next <= catch_up.end {
                if let Some(packet) = layer.history.get(catch_up.next) {
                    self.take(hub, layer, stream, packet, outgoings);
                }
                catch_up.next += 1;
            }
        }
        let goes_on = layer.is_some() && catch_up.next <= catch_up.end;
        self.catch_up = goes_on.then_some(catch_up);
    }

    /// Takes a packet that is newer than all before it.
    #[inline]
    fn take_in_order(
        &mut self,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        outgoings: &mut Outgoings,
    ) {
        let choice = self.selector.choose(
            packet,
            layer.dependencies(packet),
            layer.structure(),
            self.inner_limit,
        );
        let unwraps = self.wire.unwraps(packet.codec);
        let is_empty = unwraps && packet.split == packet.payload_len;
        if !choice.forward || is_empty || !(unwraps || self.wire.accepts(packet.codec)) {
            let counts_frames = packet.codec == Codec::Vp8 && choice.new_frame;
            self.places.leave_out(packet.seq, u16::from(counts_frames));
            return;
        }
        if packet.flags.has(Flags::KEYFRAME_START) {
            self.keyframes.asked = false;
        }
        if self.timeline.jumped(packet) {
            self.reanchor(packet);
        }
        if unwraps {
            self.recover(layer, stream, packet, outgoings);
        }
        let place = self.places.take(packet.seq);
        let timestamp = self.timeline.advance(packet);
        let sent = self.rewritten(layer, stream, packet, place, timestamp, &choice);
        self.numbers = Numbers {
            id: sent.id,
            tl0: packet.tl0.wrapping_add(self.timeline.current().tl0_shift),
            key_idx: sent.key_idx,
        };
        self.send(place.out, sent, packet, outgoings);
    }

    /// Takes a packet that newer ones have overtaken: it goes to the place that was kept for it.
    #[cold]
    fn take_late(
        &mut self,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        is_current: bool,
        outgoings: &mut Outgoings,
    ) {
        let timeline = &self.timeline;
        let belongs = |segment| timeline.belongs(segment, stream.layer, stream.epoch);
        let Some(place) = self.places.find(packet.seq, belongs) else {
            return;
        };
        // Its place may be taken (recovered from redundancy), or so far back that nobody knows.
        if !self.sequencer.reaches(place.out) || self.sequencer.get(place.out).is_some() {
            return;
        }
        let unwraps = self.wire.unwraps(packet.codec);
        if !unwraps && !self.wire.accepts(packet.codec) {
            return;
        }
        let wanted = !is_current
            || self
                .selector
                .wants_late(packet, layer.dependencies(packet), self.inner_limit);
        let segment = self.timeline.segment(place.segment);
        let timestamp = packet.timestamp.wrapping_add(segment.shift);
        if !wanted || (unwraps && packet.split == packet.payload_len) {
            // Nobody will ever ask for a packet that was left out, except when its place was kept.
            self.fill(
                place.out,
                timestamp,
                stream.codec,
                packet.arrival,
                outgoings,
            );
            return;
        }
        let choice = Choice {
            forward: true,
            last_of_picture: if is_current {
                self.selector.ends_picture(packet)
            } else {
                packet.flags.has(Flags::MARKER)
            },
            ..Choice::default()
        };
        let sent = self.rewritten(layer, stream, packet, place, timestamp, &choice);
        self.send(place.out, sent, packet, outgoings);
    }

    /// Recovers the packets that are missing right before `packet` from its redundancy.
    fn recover(
        &mut self,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        outgoings: &mut Outgoings,
    ) {
        let missing = packet.seq - self.places.highest() - 1;
        if missing == 0 || packet.codec != Codec::Red || missing > super::places::MAX_GAP {
            return;
        }
        let record = layer.history.record(packet);
        let Some(payload) = record.get(packet.extensions_len()..) else {
            return;
        };
        for block in (1..=missing.min(MAX_RECOVERED)).rev() {
            let seq = packet.seq - block;
            // It may be there already, when packets were taken up in the middle of a burst.
            if seq <= self.places.highest() || layer.history.get(seq).is_some() {
                continue;
            }
            let Some(found) = red::redundant_block(payload, block as u8) else {
                continue;
            };
            let timestamp = packet
                .timestamp
                .wrapping_sub(found.timestamp_offset.into())
                .wrapping_add(self.timeline.current().shift);
            if (timestamp.wrapping_sub(self.timeline.newest()) as i32) <= 0 {
                continue;
            }
            let place = self.places.take(seq);
            let source = Source::new(stream.layer, stream.epoch, packet.seq);
            let sent = Sent::new(source, timestamp, Form::redundancy(block as u8));
            self.send(place.out, sent, packet, outgoings);
        }
    }

    #[cold]
    fn reanchor(&mut self, packet: &StoredPacket) {
        let number = self.timeline.next_number();
        self.places.forget_segment(number);
        self.timeline.reanchor(packet);
        self.places.change_segment(number);
    }

    /// How a packet is rewritten.
    #[inline]
    fn rewritten(
        &self,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        place: Place,
        timestamp: u32,
        choice: &Choice,
    ) -> Sent {
        let segment = self.timeline.segment(place.segment);
        let marker = choice.last_of_picture || packet.flags.has(Flags::MARKER);
        let source = Source::new(stream.layer, stream.epoch, packet.seq);
        let form = Form::new(marker, choice.signal.is_some());
        let mut sent = Sent::new(source, timestamp, form);
        sent.id = self.source_id(layer, packet).wrapping_sub(place.id_shift);
        sent.tl0 = choice
            .signal
            .unwrap_or(packet.tl0.wrapping_add(segment.tl0_shift));
        sent.key_idx = packet.key_idx.wrapping_add(segment.key_shift);
        sent
    }

    #[inline]
    fn send(&mut self, out: u64, sent: Sent, packet: &StoredPacket, outgoings: &mut Outgoings) {
        self.sequencer.insert(out, sent, packet.arrival / 1000);
        self.counters.packets += 1;
        self.counters.bytes += u64::from(packet.payload_len);
        outgoings.push(Outgoing {
            sequence: out,
            rtx: 0,
            sent,
        });
    }

    /// Fills a place with nothing, so that the subscriber does not ask for it in vain.
    fn fill(
        &mut self,
        out: u64,
        timestamp: u32,
        codec: Codec,
        arrival: u64,
        outgoings: &mut Outgoings,
    ) {
        let sent = Sent::filler(timestamp, codec);
        self.sequencer.insert(out, sent, arrival / 1000);
        outgoings.push(Outgoing {
            sequence: out,
            rtx: 0,
            sent,
        });
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
        let codec = if self.wire.unwraps(codec) {
            Codec::Opus
        } else {
            codec
        };
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

    /// The number that a packet has inside: frame number if the subscriber gets dependency descriptors, else picture id.
    #[inline]
    fn source_id(&self, layer: &Layer, packet: &StoredPacket) -> u16 {
        if !self.wire.has_dependencies() {
            return packet.picture_id;
        }
        layer
            .dependencies(packet)
            .map_or(packet.picture_id, |it| it.frame_number)
    }
}
