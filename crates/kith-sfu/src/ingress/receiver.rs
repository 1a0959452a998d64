//! [`TransportReceiver`]: the public face of the receive side.

use std::time::Instant;

use kith_rtp::Ssrc;

use super::{IngressEvent, LayerStats};
use crate::ids::PublicationId;
use crate::packet::{ReceivedPacket, SenderReportInfo};
use crate::spec::ReceiveSpec;

/// The receive side of one transport.
#[derive(Debug)]
pub struct TransportReceiver {
    local_ssrc: Ssrc,
}

impl TransportReceiver {
    /// A receiver that receives nothing yet. `local_ssrc` names us in RTCP that we send.
    pub fn new(_now: Instant, local_ssrc: Ssrc) -> Self {
        TransportReceiver { local_ssrc }
    }

    /// Replaces what is received. Encodings that are in both the old and the new spec (same mid, publication and rid)
    /// go on undisturbed.
    pub fn configure(&mut self, _now: Instant, _spec: ReceiveSpec) {}

    /// Takes one decrypted RTP packet and says what to forward. RTX is unwrapped in place, so the returned packet may
    /// start a few bytes into `packet`. `None` is: nothing to forward.
    pub fn handle_rtp<'a>(
        &mut self,
        _now: Instant,
        _packet: &'a mut [u8],
    ) -> Option<ReceivedPacket<'a>> {
        None
    }

    /// Takes one decrypted, possibly compound RTCP packet; `on_sender_report` gets what concerns forwarding. Reports
    /// about what *we* send (receiver reports, NACK, PLI, REMB, transport feedback) are not looked at here.
    pub fn handle_rtcp(
        &mut self,
        _now: Instant,
        _packet: &[u8],
        _on_sender_report: impl FnMut(SenderReportInfo),
    ) {
    }

    /// Writes the next RTCP packet that is due into `out` (1200 bytes are enough for every one) and returns its length.
    /// Call until `None` after each batch of input and each timeout.
    pub fn poll_rtcp(&mut self, _now: Instant, _out: &mut [u8]) -> Option<usize> {
        None
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Does what is due by time.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Asks the publisher for a key frame of one encoding, now or as soon as the throttle allows, and again until one
    /// came.
    pub fn request_keyframe(&mut self, _now: Instant, _publication: PublicationId, _layer: u8) {}

    /// The next event.
    pub fn poll_event(&mut self) -> Option<IngressEvent> {
        None
    }

    /// Counters of every encoding.
    pub fn stats(&self) -> impl Iterator<Item = LayerStats> + '_ {
        let _ = self.local_ssrc;
        std::iter::empty()
    }
}
