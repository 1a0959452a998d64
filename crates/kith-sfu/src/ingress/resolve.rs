//! Finds the encoding of an SSRC that is not bound yet, and changes the SSRC of one that is.

use std::time::{Duration, Instant};

use kith_rtp::{RtpPacket, Ssrc};

use super::bindings::Binding;
use super::receiver::TransportReceiver;
use super::section::Section;

/// An RTX SSRC that is bound for less than this when the primary SSRC changes may be the new stream's already.
const RTX_MAY_BE_NEW: Duration = Duration::from_secs(2);

impl TransportReceiver {
    /// Binds the SSRC of a packet by its header extensions (mid with rid or repaired rid, mid alone), or by its payload
    /// type when that leaves no choice.
    pub(super) fn resolve(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Option<Binding> {
        let ssrc = packet.ssrc();
        // SSRC 0 is a bandwidth probe before media.
        if ssrc.0 == 0 || !self.bindings.may_probe(ssrc, now) {
            return None;
        }
        let ids = self.extensions;
        let (mut mid, mut rid, mut repaired_rid) = (None, None, None);
        for (id, value) in packet.extensions() {
            if id == 0 {
                continue;
            }
            if id == ids.mid {
                mid = Some(value);
            } else if id == ids.rid {
                rid = Some(value);
            } else if id == ids.repaired_rid {
                repaired_rid = Some(value);
            }
        }
        let section = match mid {
            Some(mid) => self.sections.iter().find(|section| *section.mid == *mid)?,
            None => self.only_section_for(packet)?,
        };
        let payload = section.payload(packet.payload_type())?;
        // Retransmissions carry the rid as repaired rid (RFC 8852 section 3).
        let rid = if payload.rtx {
            repaired_rid.or(rid)
        } else {
            rid
        };
        let layer = self.layer_with_rid(section, rid)?;
        let binding = Binding {
            layer,
            rtx: payload.rtx,
        };
        self.bindings.bind(ssrc, binding);
        Some(binding)
    }

    /// The encoding of `section` that `rid` names; without names there must be but one.
    fn layer_with_rid(&self, section: &Section, rid: Option<&[u8]>) -> Option<usize> {
        let range = section.layers.clone();
        if let Some(rid) = rid {
            let named = range.clone().find(|index| {
                self.layers
                    .get(*index)
                    .and_then(|layer| layer.spec.rid.as_ref())
                    .is_some_and(|known| known.as_bytes() == rid)
            });
            if named.is_some() {
                return named;
            }
        }
        let only = range.start;
        let nameless = rid.is_none() || self.layers.get(only)?.spec.rid.is_none();
        (range.len() == 1 && nameless).then_some(only)
    }

    /// The one section that takes the packet's payload type, if it has one encoding and SDP declared no SSRC for it.
    fn only_section_for(&self, packet: &RtpPacket<'_>) -> Option<&Section> {
        let mut takers = self
            .sections
            .iter()
            .filter(|section| section.payload(packet.payload_type()).is_some());
        let section = takers.next().filter(|_| takers.next().is_none())?;
        let layer = self.layers.get(section.layers.start)?;
        (section.layers.len() == 1 && layer.spec.ssrc.is_none()).then_some(section)
    }

    /// `ssrc` carries the encoding from now on.
    pub(super) fn change_ssrc(&mut self, now: Instant, index: usize, ssrc: Ssrc) {
        let Some(layer) = self.layers.get_mut(index) else {
            return;
        };
        let former = layer.ssrc;
        layer.change_ssrc(ssrc);
        if let Some(former) = former {
            self.bindings.retire(former, now);
            // Sequence numbers in retransmissions of the former stream would be taken for those of the new one.
            let rtx = layer
                .rtx
                .take_if(|(rtx, _)| layer.spec.rtx_ssrc != Some(*rtx));
            match rtx {
                Some((rtx, since)) if now.saturating_duration_since(since) < RTX_MAY_BE_NEW => {
                    self.bindings.unbind(rtx);
                }
                Some((rtx, _)) => self.bindings.retire(rtx, now),
                None => {}
            }
        }
    }

    /// A packet came on an RTX SSRC of the encoding. Returns the SSRC that it repairs.
    pub(super) fn take_rtx(&mut self, now: Instant, index: usize, rtx: Ssrc) -> Option<Ssrc> {
        let layer = self.layers.get_mut(index)?;
        layer.count_rtx();
        match layer.rtx {
            Some((known, _)) if known == rtx => {}
            former => {
                layer.rtx = Some((rtx, now));
                if let Some((former, _)) = former {
                    self.bindings.retire(former, now);
                }
            }
        }
        layer.ssrc
    }
}
