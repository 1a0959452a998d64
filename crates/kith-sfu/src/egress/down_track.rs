//! [`DownTrack`]: one subscriber's copy of a publication.

use std::time::{Duration, Instant};

use kith_rtp::{SeqNo, Ssrc};

use super::{
    DownTrackSpec, DownTrackStats, LayerTarget, Outgoing, Outgoings, PacketRef, PlayoutDelay,
    ReceptionReport, SendStamp, TrackHub, Written,
};

/// One subscriber's copy of a publication.
#[derive(Debug)]
pub struct DownTrack {
    spec: DownTrackSpec,
    target: LayerTarget,
    rtt: Option<Duration>,
}

impl DownTrack {
    /// A down-track that wants everything and has sent nothing.
    pub fn new(spec: DownTrackSpec) -> Self {
        DownTrack {
            spec,
            target: LayerTarget::ALL,
            rtt: None,
        }
    }

    /// SSRC of the stream.
    pub fn ssrc(&self) -> Ssrc {
        self.spec.ssrc
    }

    /// SSRC of retransmissions.
    pub fn rtx_ssrc(&self) -> Option<Ssrc> {
        self.spec.rtx_ssrc
    }

    /// What the subscriber wants.
    pub fn target(&self) -> LayerTarget {
        self.target
    }

    /// Changes what the subscriber wants. It takes effect where the stream allows it.
    pub fn set_target(&mut self, target: LayerTarget) {
        self.target = target;
    }

    /// Asks the subscriber to hold frames back; `None` stops asking.
    pub fn set_playout_delay(&mut self, _delay: Option<PlayoutDelay>) {}

    /// Decides what the subscriber gets of a packet that was pushed to `hub`. Call it once for every pushed packet, in
    /// the order in which they were pushed.
    pub fn forward(&mut self, _hub: &TrackHub, _packet: PacketRef, _now: Instant) -> Outgoings {
        Outgoings::NONE
    }

    /// Writes plaintext RTP for a decision. `None`: the history has lost the bytes, or `buf` is too short (1500 bytes
    /// plus what the extensions need are enough for every packet that came from a network).
    pub fn write(
        &self,
        _hub: &TrackHub,
        _out: &Outgoing,
        _stamp: &SendStamp,
        _buf: &mut [u8],
    ) -> Option<Written> {
        None
    }

    /// Answers the subscriber's request for packets.
    pub fn handle_nack(
        &mut self,
        _hub: &TrackHub,
        _lost: impl IntoIterator<Item = SeqNo>,
        _now: Instant,
        _push: impl FnMut(Outgoing),
    ) {
    }

    /// The subscriber asks for a key frame (PLI or FIR).
    pub fn handle_pli(&mut self) {}

    /// Takes the subscriber's report about the stream.
    pub fn handle_receiver_report(&mut self, _report: &ReceptionReport, _now: Instant) {}

    /// The round trip time to the subscriber as measured elsewhere (ICE, other tracks), used until this track's own
    /// reports tell it.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
    }

    /// The encoding of which a key frame is to be asked from the publisher now. Ask after every input and every
    /// 100 ms; it answers seldom enough by itself.
    pub fn poll_keyframe_request(&mut self, _hub: &TrackHub, _now: Instant) -> Option<u8> {
        None
    }

    /// Writes a sender report with the CNAME, if one is due, and returns its length.
    pub fn sender_report(
        &mut self,
        _now: Instant,
        _hub: &TrackHub,
        _out: &mut [u8],
    ) -> Option<usize> {
        None
    }

    /// Counters.
    pub fn stats(&self) -> DownTrackStats {
        DownTrackStats {
            rtt: self.rtt,
            ..DownTrackStats::default()
        }
    }
}
