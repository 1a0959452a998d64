//! What becomes of each packet: decided in order, late, or when a stream begins.

use kith_rtp::{Codec, LayerId, MediaKind};

use super::super::hub::{Layer, TrackHub};
use super::super::outgoing::Sink;
use super::super::places::{MAX_GAP, Place};
use super::super::select::{Choice, Selector};
use super::super::sequencer::{Form, Sent, Source};
use super::super::stored::{Flags, StoredPacket};
use super::super::timeline::Segment;
use super::super::{Outgoing, red};
use super::{CatchUp, DownTrack, Numbers, Stream};

/// Most lost packets that are recovered from one packet's redundancy.
const MAX_RECOVERED: u64 = 2;

impl DownTrack {
    /// Decides about a packet of `stream`.
    #[inline]
    pub(super) fn take(
        &mut self,
        hub: &TrackHub,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        sink: &mut Sink<impl FnMut(Outgoing)>,
    ) {
        if let Some(current) = self.stream
            && current.layer == stream.layer
            && current.epoch == stream.epoch
            && current.goes_on_with(stream.codec)
        {
            if packet.seq > self.places.highest() {
                self.take_in_order(layer, stream, packet, sink);
            } else {
                self.take_late(layer, stream, packet, true, sink);
            }
            return;
        }
        let can_begin = match stream.codec.kind() {
            MediaKind::Audio => packet.seq >= layer.history.newest(),
            MediaKind::Video => packet.flags.has(Flags::KEYFRAME_START),
        };
        if self.timeline.was_passed(stream.layer, packet.seq) {
            self.take_late(layer, stream, packet, false, sink);
        } else if can_begin && self.wants(hub, stream) {
            self.begin(hub, layer, stream, packet, sink);
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
        sink: &mut Sink<impl FnMut(Outgoing)>,
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
        self.leave();
        let number = self.timeline.next_number();
        self.places.forget_segment(number);
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
        self.selector = Selector::begin(packet, has_descriptor);
        self.began_at = packet.seq;
        self.stream = Some(stream);
        self.take_in_order(layer, stream, packet, sink);

        let newest = layer.history.newest();
        self.catch_up = (packet.seq < newest).then_some(CatchUp {
            stream,
            next: packet.seq + 1,
            end: newest,
        });
    }

    /// Whether a packet is to wait for those between it and the key frame that came late. It is then taken in its turn.
    pub(super) fn waits(&mut self, stream: Stream, seq: u64) -> bool {
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
    pub(super) fn continue_catching_up(
        &mut self,
        hub: &TrackHub,
        sink: &mut Sink<impl FnMut(Outgoing)>,
    ) {
        let Some(mut catch_up) = self.catch_up.filter(|it| self.stream == Some(it.stream)) else {
            self.catch_up = None;
            return;
        };
        let stream = catch_up.stream;
        let layer = hub
            .layer(stream.layer)
            .filter(|layer| layer.epoch == Some(stream.epoch));
        if let Some(layer) = layer {
            while !sink.is_full() && catch_up.next <= catch_up.end {
                if let Some(packet) = layer.history.get(catch_up.next) {
                    self.take(hub, layer, stream, packet, sink);
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
        sink: &mut Sink<impl FnMut(Outgoing)>,
    ) {
        let choice = self.selector.choose(
            packet,
            layer.dependencies(packet),
            layer.structure(),
            self.inner_limit,
        );
        if self.timeline.jumped(packet) {
            self.reanchor(packet);
        }
        let unwraps = self.wire.unwraps(packet.codec);
        let is_empty = unwraps && packet.split == packet.payload_len;
        if !choice.forward || is_empty || !(unwraps || self.wire.accepts(packet.codec)) {
            let counts_frames = packet.codec == Codec::Vp8 && choice.new_frame;
            let id_shift = self.places.leave_out(packet.seq, u16::from(counts_frames));
            // Frames that are missing before it keep their ids and their time.
            self.numbers.id = self.source_id(layer, packet).wrapping_sub(id_shift);
            self.numbers.tl0 = packet.tl0.wrapping_add(self.timeline.current().tl0_shift);
            self.timeline.advance(packet);
            return;
        }
        if packet.flags.has(Flags::KEYFRAME_START) {
            self.keyframes.asked = false;
        }
        if unwraps {
            self.recover(layer, stream, packet, sink);
        }
        let place = self.places.take(packet.seq);
        let timestamp = self.timeline.advance(packet);
        self.between_pictures = choice.last_of_picture || packet.codec.kind() == MediaKind::Audio;
        let sent = self.rewritten(layer, stream, packet, place, timestamp, &choice);
        self.numbers = Numbers {
            id: sent.id,
            tl0: packet.tl0.wrapping_add(self.timeline.current().tl0_shift),
            key_idx: sent.key_idx,
        };
        self.send(place.out, sent, packet, sink);
    }

    /// Takes a packet that newer ones have overtaken: it goes to the place that was kept for it.
    #[cold]
    fn take_late(
        &mut self,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        is_current: bool,
        sink: &mut Sink<impl FnMut(Outgoing)>,
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
        let is_current = is_current && packet.seq >= self.began_at;
        // Who remembers what was left out of the frame.
        let selector = match &mut self.left {
            _ if is_current => Some(&mut self.selector),
            Some(left) if left.stream == stream && packet.seq >= left.began_at => {
                Some(&mut left.selector)
            }
            _ => None,
        };
        let wanted = selector
            .is_some_and(|it| it.wants_late(packet, layer.dependencies(packet), self.inner_limit));
        let segment = self.timeline.segment(place.segment);
        let timestamp = packet.timestamp.wrapping_add(segment.shift);
        if !wanted || (unwraps && packet.split == packet.payload_len) {
            // Nobody will ever ask for a packet that was left out, except when its place was kept.
            self.fill(place.out, timestamp, stream.codec, packet.arrival, sink);
            return;
        }
        let choice = Choice {
            forward: true,
            last_of_picture: is_current && self.selector.ends_picture(packet),
            ..Choice::default()
        };
        let sent = self.rewritten(layer, stream, packet, place, timestamp, &choice);
        self.send(place.out, sent, packet, sink);
    }

    /// Recovers the packets that are missing right before `packet` from its redundancy.
    fn recover(
        &mut self,
        layer: &Layer,
        stream: Stream,
        packet: &StoredPacket,
        sink: &mut Sink<impl FnMut(Outgoing)>,
    ) {
        let missing = packet.seq - self.places.highest() - 1;
        if missing == 0 || packet.codec != Codec::Red || missing > MAX_GAP {
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
            self.send(place.out, sent, packet, sink);
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
    fn send(
        &mut self,
        out: u64,
        sent: Sent,
        packet: &StoredPacket,
        sink: &mut Sink<impl FnMut(Outgoing)>,
    ) {
        self.sequencer.insert(out, sent, packet.arrival / 1000);
        self.counters.packets += 1;
        let wrapping = if self.wire.unwraps(packet.codec) {
            packet.split
        } else {
            0
        };
        self.counters.bytes += u64::from(packet.payload_len - wrapping);
        sink.push(Outgoing {
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
        sink: &mut Sink<impl FnMut(Outgoing)>,
    ) {
        let sent = Sent::filler(timestamp, self.wire.sent_as(codec));
        self.sequencer.insert(out, sent, arrival / 1000);
        sink.push(Outgoing {
            sequence: out,
            rtx: 0,
            sent,
        });
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
