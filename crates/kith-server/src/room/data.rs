//! Data packets between participants.
//!
//! A packet goes to the participants that it names, or to all but its sender. It is passed on as it came, with the sender
//! and the channel's kind written by the server. Packets of one sender keep their order: one task handles a room.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use kith_net::{Command, DataLabel, TransportId};
use kith_proto::{
    data_packet::{DataPacketRef, PayloadKind, Stamp},
    livekit::{data_packet::Kind, participant_info},
};

use super::{ParticipantId, state::Room};
use crate::session::participant::Participant;

/// Nonces that are remembered per room (LiveKit's number): the same packet sent twice arrives once.
const MAX_NONCES: usize = 100;

/// Bytes of a nonce; others are not looked at.
const NONCE_SIZE: usize = 16;

/// Receivers that a packet may name; more than a room has are of no use.
const MAX_DESTINATIONS: usize = 4096;

/// The last nonces of a room.
#[derive(Debug, Default)]
pub(super) struct Nonces(VecDeque<[u8; NONCE_SIZE]>);

impl Nonces {
    /// Whether this nonce is new. What is no nonce is always new.
    fn is_new(&mut self, nonce: &[u8]) -> bool {
        let Ok(nonce) = <[u8; NONCE_SIZE]>::try_from(nonce) else {
            return true;
        };
        if self.0.contains(&nonce) {
            return false;
        }
        if self.0.len() >= MAX_NONCES {
            self.0.pop_front();
        }
        self.0.push_back(nonce);
        true
    }
}

impl Room {
    pub(super) fn on_data(&mut self, from: ParticipantId, label: &DataLabel, payload: &Bytes) {
        let kind = match label {
            DataLabel::Reliable => Kind::Reliable,
            DataLabel::Lossy => Kind::Lossy,
            DataLabel::DataTrack => {
                self.on_data_track_packet(from, payload);
                return;
            }
            DataLabel::Other(_) => return,
        };
        let packet = match DataPacketRef::parse(payload) {
            Ok(packet) => packet,
            Err(error) => {
                tracing::debug!(room = %self.name, %error, "data packet dropped");
                return;
            }
        };
        let Some(sender) = self.participants.get_mut(&from) else {
            return;
        };
        if !sender.permission.can_publish_data {
            return;
        }
        // Metrics go to whoever collects them, which nobody here does; speakers are the server's to tell.
        if let Some((PayloadKind::Metrics | PayloadKind::Speaker, _)) = packet.payload {
            return;
        }
        if kind == Kind::Reliable && packet.sequence > 0 {
            // After a resume the client sends again what may not have arrived.
            if packet.sequence <= sender.last_reliable {
                return;
            }
            sender.last_reliable = packet.sequence;
        }
        if !self.nonces.is_new(packet.nonce) {
            return;
        }
        let receivers = self.receivers(from, &packet, kind);
        let Some(sender) = self.participants.get(&from) else {
            return;
        };
        if receivers.is_empty() {
            return;
        }
        let hidden = sender.permission.hidden;
        let stamp = Stamp {
            kind,
            participant_identity: if hidden { "" } else { &sender.who.identity },
            participant_sid: if hidden { "" } else { &sender.who.sid },
        };
        self.command(Command::SendDataMany {
            transports: Arc::from(receivers),
            label: label.clone(),
            payload: packet.stamped(&stamp),
        });
    }

    fn receivers(
        &self,
        from: ParticipantId,
        packet: &DataPacketRef<'_>,
        kind: Kind,
    ) -> Vec<TransportId> {
        let mut named: Vec<ParticipantId> = packet
            .destination_identities()
            .take(MAX_DESTINATIONS)
            .filter_map(|identity| self.by_identity.get(identity))
            .chain(
                packet
                    .destination_sids()
                    .take(MAX_DESTINATIONS)
                    .filter_map(|sid| self.by_sid.get(sid)),
            )
            .copied()
            .filter(|id| *id != from)
            .collect();
        let for_all = packet.destination_identities().next().is_none()
            && packet.destination_sids().next().is_none();
        if for_all {
            return self
                .participants
                .values()
                .filter(|participant| participant.id != from)
                .filter_map(|participant| way(participant, kind))
                .collect();
        }
        named.sort_unstable();
        named.dedup();
        named
            .iter()
            .filter_map(|id| self.participants.get(id))
            .filter_map(|participant| way(participant, kind))
            .collect()
    }
}

/// Where data for a participant goes. Reliable packets wait in the media plane for a connection that is on its way; lossy
/// ones are for who is there.
fn way(participant: &Participant, kind: Kind) -> Option<TransportId> {
    if kind == Kind::Lossy && participant.state != participant_info::State::Active {
        return None;
    }
    participant.data_transport()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_counts_once_and_is_forgotten_after_a_hundred_others() {
        let mut nonces = Nonces::default();
        assert!(nonces.is_new(&[1; 16]));
        assert!(!nonces.is_new(&[1; 16]));
        assert!(nonces.is_new(b"short") && nonces.is_new(b"short"));
        for n in 2..=101 {
            assert!(nonces.is_new(&[n; 16]));
        }
        assert!(nonces.is_new(&[1; 16]));
    }
}
