//! [`TransportReceiver`]: the public face of the receive side, and a packet's way through it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kith_rtp::rtcp::{self, RtcpPacket, XrBlock};
use kith_rtp::{ExtensionKind, ExtensionMap, RtpPacket, SeqNo, Ssrc, ext, rtx};

use super::bindings::{Binding, Bindings};
use super::layer::{Context, Layer, Outcome};
use super::liveness;
use super::round_trip::RoundTrip;
use super::section::{MAX_LAYERS, Section};
use super::transport_feedback::FeedbackRecorder;
use super::{IngressEvent, LayerStats};
use crate::ids::PublicationId;
use crate::packet::{ReceivedPacket, SenderReportInfo};
use crate::spec::{AudioLevelConfig, PliThrottle, ReceiveSpec};

/// How often receiver reports are sent while media comes.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The first report goes out sooner: senders repeat mid and rid in every packet until a report shows that they were read.
const FIRST_REPORT: Duration = Duration::from_millis(250);

/// The receive side of one transport: says what each packet is, reports reception to the publisher, and asks for what is
/// missing.
///
/// The caller feeds packets, then drains `poll_rtcp` and `poll_event`, and calls `handle_timeout` when `poll_timeout` says
/// so. **A packet costs the same whatever the number of sections; timers cost a look at each encoding, a few times a second.**
#[derive(Debug)]
pub struct TransportReceiver {
    pub(super) origin: Instant,
    pub(super) local_ssrc: Ssrc,
    pub(super) extensions: ExtensionIds,
    pub(super) audio_level: AudioLevelConfig,
    pub(super) pli_throttle: PliThrottle,
    pub(super) sections: Vec<Section>,
    /// The encodings of all sections, each section's together, lowest first.
    pub(super) layers: Vec<Layer>,
    pub(super) bindings: Bindings,
    pub(super) transport_feedback: FeedbackRecorder,
    pub(super) round_trip: RoundTrip,
    /// Encodings that have something to tell, each once.
    pub(super) news: VecDeque<usize>,
    pub(super) due: Due,
    next_report: Option<Instant>,
    next_tick: Option<Instant>,
    next_wake: Option<Instant>,
    /// The latest time that the caller told.
    now: Instant,
}

/// What `poll_rtcp` shall write.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    pub(super) nacks: bool,
    pub(super) plis: bool,
    pub(super) report: bool,
    pub(super) answers: bool,
}

/// Ids of the header extensions that are read here; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExtensionIds {
    pub(super) mid: u8,
    pub(super) rid: u8,
    pub(super) repaired_rid: u8,
    audio_level: u8,
    transport_wide_cc: u8,
    dependency_descriptor: u8,
}

impl From<&ExtensionMap> for ExtensionIds {
    fn from(map: &ExtensionMap) -> Self {
        let id = |kind| map.id(kind).unwrap_or(0);
        ExtensionIds {
            mid: id(ExtensionKind::Mid),
            rid: id(ExtensionKind::Rid),
            repaired_rid: id(ExtensionKind::RepairedRid),
            audio_level: id(ExtensionKind::AudioLevel),
            transport_wide_cc: id(ExtensionKind::TransportWideCc),
            dependency_descriptor: id(ExtensionKind::DependencyDescriptor),
        }
    }
}

impl TransportReceiver {
    /// A receiver that receives nothing yet. `local_ssrc` names us in RTCP that we send.
    pub fn new(now: Instant, local_ssrc: Ssrc) -> Self {
        TransportReceiver {
            origin: now,
            local_ssrc,
            extensions: ExtensionIds::default(),
            audio_level: AudioLevelConfig::default(),
            pli_throttle: PliThrottle::default(),
            sections: Vec::new(),
            layers: Vec::new(),
            bindings: Bindings::default(),
            transport_feedback: FeedbackRecorder::new(now),
            round_trip: RoundTrip::default(),
            news: VecDeque::new(),
            due: Due::default(),
            next_report: None,
            next_tick: None,
            next_wake: None,
            now,
        }
    }

    /// Replaces what is received. Encodings that are in both the old and the new spec (same mid, publication and rid)
    /// go on undisturbed. Nothing is told about encodings that are not in the new one.
    pub fn configure(&mut self, now: Instant, spec: ReceiveSpec) {
        self.apply(now, &spec);
    }

    /// Takes one decrypted RTP packet and says what to forward. RTX is unwrapped in place, so the returned packet may
    /// start a few bytes into `packet`. `None` is: nothing to forward.
    pub fn handle_rtp<'a>(
        &mut self,
        now: Instant,
        packet: &'a mut [u8],
    ) -> Option<ReceivedPacket<'a>> {
        self.now = now;
        let view = RtpPacket::parse(packet).ok()?;
        let ssrc = view.ssrc();
        let bound = self.bindings.get(ssrc);
        self.note_transport_sequence(now, &view, bound.is_some());
        let binding = match bound {
            Some(binding) => binding,
            None => self.resolve(now, &view)?,
        };
        let section = self.sections.get(self.layers.get(binding.layer)?.section)?;
        let payload = section.payload(view.payload_type());
        if binding.rtx {
            let payload = payload.filter(|payload| payload.rtx)?;
            let primary = self.take_rtx(now, binding.layer, ssrc)?;
            let original = rtx::unwrap_in_place(packet, payload.payload_type, primary).ok()?;
            let view = RtpPacket::parse(original).ok()?;
            if view.payload().is_empty() {
                return None;
            }
            let context = self.context(now, binding.layer);
            let layer = self.layers.get_mut(binding.layer)?;
            let outcome = layer.on_retransmission(&context, &view, payload);
            return self.finish(binding, outcome, payload.codec, original);
        }
        if self.layers.get(binding.layer)?.ssrc != Some(ssrc) {
            // Only media that we can forward makes an SSRC the current one.
            payload.filter(|payload| !payload.rtx)?;
            self.change_ssrc(now, binding.layer, ssrc);
        }
        let context = self.context(now, binding.layer);
        let layer = self.layers.get_mut(binding.layer)?;
        let outcome = layer.on_primary(&context, &view, payload);
        self.finish(
            binding,
            outcome,
            payload.map(|payload| payload.codec)?,
            packet,
        )
    }

    /// Takes one decrypted, possibly compound RTCP packet; `on_sender_report` gets what concerns forwarding. Reports
    /// about what *we* send (receiver reports, NACK, PLI, REMB, transport feedback) are not looked at here.
    pub fn handle_rtcp(
        &mut self,
        now: Instant,
        packet: &[u8],
        mut on_sender_report: impl FnMut(SenderReportInfo),
    ) {
        self.now = now;
        for packet in rtcp::packets(packet) {
            match packet {
                Ok(RtcpPacket::SenderReport(report)) => {
                    let Some((_, layer)) = self.current_layer(report.ssrc) else {
                        continue;
                    };
                    layer.reception.on_sender_report(report.ntp, now);
                    on_sender_report(SenderReportInfo {
                        publication: layer.publication(),
                        layer: layer.index,
                        epoch: layer.epoch(),
                        ntp: report.ntp,
                        rtp_timestamp: report.rtp_timestamp,
                        arrival: now,
                    });
                }
                Ok(RtcpPacket::Bye(bye)) => {
                    for ssrc in bye.ssrcs() {
                        if let Some((index, layer)) = self.current_layer(ssrc) {
                            layer.end();
                            self.list_news(index);
                        }
                    }
                }
                Ok(RtcpPacket::Xr(xr)) => {
                    for block in xr.blocks() {
                        self.on_extended_report(now, xr.ssrc, block);
                    }
                }
                // Malformed packets of a compound say nothing; the others do.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Writes the next RTCP packet that is due into `out` (1200 bytes are enough for every one) and returns its length.
    /// Call until `None` after each batch of input and each timeout.
    pub fn poll_rtcp(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        self.write_report(now, out)
            .or_else(|| self.write_feedback(now, out))
    }

    /// When `handle_timeout` wants to be called; `None` is never, as long as nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_wake
    }

    /// Does what is due by time. Being late or early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.next_wake.is_none_or(|wake| now < wake) {
            return;
        }
        self.next_wake = None;
        self.transport_feedback.on_timeout(now);
        if let Some(due) = self.round_trip.answers_due() {
            self.due.answers |= due <= now;
            self.wake_unless_due(now, due);
        }
        self.check_reports(now);
        self.check_liveness(now);
        for index in 0..self.layers.len() {
            self.check_layer(now, index);
        }
        // What is due was marked; `poll_rtcp` arms the timers again when it has written it.
        if let Some(deadline) = self.transport_feedback.deadline() {
            self.wake_unless_due(now, deadline);
        }
    }

    /// Asks the publisher for a key frame of one encoding, now or as soon as the throttle allows, and again until one
    /// came (for half a minute).
    pub fn request_keyframe(&mut self, now: Instant, publication: PublicationId, layer: u8) {
        self.now = now;
        let index = self
            .layers
            .iter()
            .position(|known| known.publication() == publication && known.index == layer);
        let throttle = self.throttle(layer);
        if let Some(layer) = index.and_then(|index| self.layers.get_mut(index))
            && let Some(at) = layer.want_keyframe(now, throttle)
        {
            self.due.plis |= at <= now;
            self.wake_unless_due(now, at);
        }
    }

    /// Tells a round-trip time that was measured elsewhere on this transport (by the send side's reports, or by ICE).
    pub fn update_rtt(&mut self, now: Instant, rtt: Duration) {
        self.now = now;
        self.round_trip.on_measurement(now, rtt);
    }

    /// The smoothed round-trip time, once measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.round_trip.measured()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<IngressEvent> {
        if let Some(rtt) = self.round_trip.take_news(self.now) {
            return Some(IngressEvent::RttUpdated { rtt });
        }
        while let Some(index) = self.news.front().copied() {
            let event = self.layers.get_mut(index).and_then(|layer| {
                let event = layer.next_event();
                layer.listed = event.is_some();
                event
            });
            if event.is_some() {
                return event;
            }
            self.news.pop_front();
        }
        None
    }

    /// Counters of every encoding.
    pub fn stats(&self) -> impl Iterator<Item = LayerStats> + '_ {
        let rtt = self.round_trip.measured();
        self.layers.iter().map(move |layer| layer.stats(rtt))
    }

    /// Entries in all tables together: SSRCs bound, retired and unknown, packets asked for, runs of padding, waiting
    /// answers and events. **Bounded by the spec, whatever arrives.**
    pub fn table_entries(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::table_entries).sum();
        layers + self.bindings.len() + self.round_trip.len() + self.news.len()
    }

    /// Time since the receiver exists.
    pub(super) fn since_origin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin)
    }

    pub(super) fn throttle(&self, layer: u8) -> Duration {
        match layer {
            0 => self.pli_throttle.low,
            1 => self.pli_throttle.mid,
            _ => self.pli_throttle.high,
        }
    }

    /// `handle_timeout` shall be called at `at`.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.next_wake = Some(self.next_wake.map_or(at, |wake| wake.min(at)));
    }

    /// Like `wake_at`, for what was marked as due if it is due already.
    fn wake_unless_due(&mut self, now: Instant, at: Instant) {
        if at > now {
            self.wake_at(at);
        }
    }

    /// The encoding at `index` may have something to tell.
    pub(super) fn list_news(&mut self, index: usize) {
        if let Some(layer) = self.layers.get_mut(index)
            && layer.has_news()
            && !std::mem::replace(&mut layer.listed, true)
        {
            self.news.push_back(index);
        }
    }

    fn context(&self, now: Instant, layer: usize) -> Context {
        let index = self.layers.get(layer).map_or(0, |layer| layer.index);
        Context {
            now,
            since_origin: self.since_origin(now),
            audio: self.audio_level,
            pli_throttle: self.throttle(index),
            audio_level_id: self.extensions.audio_level,
            dependency_descriptor_id: self.extensions.dependency_descriptor,
        }
    }

    fn note_transport_sequence(&mut self, now: Instant, view: &RtpPacket<'_>, known_ssrc: bool) {
        if self.extensions.transport_wide_cc == 0 {
            return;
        }
        let number = view
            .extension(self.extensions.transport_wide_cc)
            .and_then(ext::TransportSequence::parse);
        if let Some(number) = number {
            let since_origin = self.since_origin(now);
            self.transport_feedback.note_ssrc(view.ssrc(), known_ssrc);
            let wake = self.transport_feedback.on_packet(
                now,
                since_origin,
                SeqNo(number.0),
                view.marker(),
            );
            if let Some(wake) = wake {
                self.wake_at(wake);
            }
        }
    }

    /// What a packet that was taken leads to.
    fn finish<'a>(
        &mut self,
        binding: Binding,
        outcome: Outcome,
        codec: kith_rtp::Codec,
        packet: &'a [u8],
    ) -> Option<ReceivedPacket<'a>> {
        if let Some(wake) = outcome.wake {
            self.wake_at(wake);
        }
        if let Some(rtt) = outcome.round_trip {
            self.round_trip.on_retransmission(self.now, rtt);
        }
        if outcome.changed {
            self.list_news(binding.layer);
        }
        let (seq, epoch) = outcome.forward?;
        let layer = self.layers.get(binding.layer)?;
        Some(ReceivedPacket {
            publication: layer.publication(),
            layer: layer.index,
            epoch,
            seq,
            arrival: self.now,
            codec,
            packet,
        })
    }

    /// The encoding whose stream has `ssrc` now.
    fn current_layer(&mut self, ssrc: Ssrc) -> Option<(usize, &mut Layer)> {
        let binding = self.bindings.get(ssrc).filter(|binding| !binding.rtx)?;
        let layer = self.layers.get_mut(binding.layer)?;
        (layer.ssrc == Some(ssrc)).then_some((binding.layer, layer))
    }

    fn on_extended_report(&mut self, now: Instant, ssrc: Ssrc, block: XrBlock<'_>) {
        match block {
            XrBlock::ReceiverReferenceTime(ntp) => {
                self.round_trip.on_reference_time(now, ssrc, ntp);
                if let Some(due) = self.round_trip.answers_due() {
                    self.due.answers |= due <= now;
                    self.wake_unless_due(now, due);
                }
            }
            XrBlock::Dlrr(answers) => {
                let since_origin = self.since_origin(now);
                for answer in answers.iter() {
                    if answer.ssrc == self.local_ssrc {
                        self.round_trip.on_answer(now, since_origin, &answer);
                    }
                }
            }
            XrBlock::Unknown(_) => {}
        }
    }

    fn check_reports(&mut self, now: Instant) {
        let heard = self.layers.iter().any(|layer| layer.reception.heard());
        let goes_on = heard || self.layers.iter().any(|layer| layer.liveness.is_alive());
        if self.next_report.is_some_and(|at| at <= now) {
            self.due.report = heard;
            self.next_report = goes_on.then(|| now + REPORT_INTERVAL);
        } else if self.next_report.is_none() && goes_on {
            self.next_report = Some(now + FIRST_REPORT);
        }
        if let Some(at) = self.next_report {
            self.wake_at(at);
        }
    }

    fn check_liveness(&mut self, now: Instant) {
        if self.next_tick.is_some_and(|at| at <= now) {
            self.next_tick = None;
            for section in 0..self.sections.len() {
                self.check_section(now, section);
            }
        }
        let alive = self.layers.iter().any(|layer| layer.liveness.is_alive());
        if alive {
            let at = *self.next_tick.get_or_insert(now + liveness::TICK);
            self.wake_at(at);
        }
    }

    /// Looks for encodings of one section that fell silent.
    fn check_section(&mut self, now: Instant, section: usize) {
        let Some(range) = self
            .sections
            .get(section)
            .map(|section| section.layers.clone())
        else {
            return;
        };
        let mut frames = [0; MAX_LAYERS];
        let layers = self.layers.get(range.clone()).unwrap_or_default();
        for (slot, layer) in frames.iter_mut().zip(layers) {
            *slot = layer.counters.frames;
        }
        for index in range {
            if let Some(layer) = self.layers.get_mut(index)
                && layer.liveness.on_tick(now, &frames)
            {
                layer.fall_silent();
                self.list_news(index);
            }
        }
    }

    /// Marks what is due for one encoding and arms the timer for what is not.
    fn check_layer(&mut self, now: Instant, index: usize) {
        let Some(layer) = self.layers.get_mut(index) else {
            return;
        };
        layer.keyframes.expire(now);
        let nacks = layer.nack.deadline();
        let plis = layer.keyframes.deadline();
        let level_news = layer.check_level(&self.audio_level, now);
        let level = layer
            .meter
            .as_ref()
            .and_then(|meter| meter.deadline(&self.audio_level));
        self.due.nacks |= nacks.is_some_and(|at| at <= now);
        self.due.plis |= plis.is_some_and(|at| at <= now);
        for at in [nacks, plis, level].into_iter().flatten() {
            self.wake_unless_due(now, at);
        }
        if level_news {
            self.list_news(index);
        }
    }
}
