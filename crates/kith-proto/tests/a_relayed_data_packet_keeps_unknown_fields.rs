//! Relaying changes what the server vouches for and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use kith_proto::{
    Message,
    data_packet::{DataPacketError, DataPacketRef, PayloadKind, Stamp},
    livekit::{DataPacket, UserPacket, data_packet::Kind, data_packet::Value},
};
use proptest::prelude::*;

const STAMP: Stamp<'static> = Stamp {
    kind: Kind::Lossy,
    participant_identity: "alice",
    participant_sid: "PA_alice",
};

/// Field 900 with text, and field 901 with a number.
const UNKNOWN: &[u8] = b"\xa2\x38\x05later\xa8\x38\x2a";

fn user(user: UserPacket) -> DataPacket {
    DataPacket {
        value: Some(Value::User(user)),
        ..Default::default()
    }
}

#[test]
fn the_sender_is_replaced_in_both_places() {
    let mut packet = user(UserPacket {
        participant_sid: "PA_mallory".into(),
        participant_identity: "mallory".into(),
        payload: "hello".into(),
        topic: Some("chat".into()),
        ..Default::default()
    });
    packet.participant_identity = "mallory".into();
    packet.participant_sid = "PA_mallory".into();
    packet.sequence = 7;
    let bytes = packet.encode_to_vec();
    let parsed = DataPacketRef::parse(&bytes).unwrap();
    assert_eq!(parsed.participant_identity, "mallory");
    assert_eq!(parsed.sequence, 7);
    assert_eq!(parsed.user_payload_len, 5);
    assert_eq!(parsed.payload.unwrap().0, PayloadKind::User);

    let relayed = DataPacket::decode(parsed.stamped(&STAMP)).unwrap();
    packet.kind = Kind::Lossy.into();
    packet.participant_identity = "alice".into();
    packet.participant_sid = "PA_alice".into();
    let Some(Value::User(user)) = &mut packet.value else {
        unreachable!()
    };
    user.participant_identity = "alice".into();
    user.participant_sid = "PA_alice".into();
    assert_eq!(relayed, packet);
}

#[test]
fn unknown_fields_stay_inside_and_outside_of_the_user_packet() {
    let mut inner = UserPacket {
        payload: "x".into(),
        ..Default::default()
    }
    .encode_to_vec();
    inner.extend_from_slice(UNKNOWN);
    let mut bytes = UNKNOWN.to_vec();
    bytes.extend_from_slice(&[0x12, inner.len() as u8]);
    bytes.extend_from_slice(&inner);
    bytes.extend_from_slice(UNKNOWN);
    let relayed = DataPacketRef::parse(&bytes).unwrap().stamped(&STAMP);
    let found = relayed
        .windows(UNKNOWN.len())
        .filter(|window| *window == UNKNOWN)
        .count();
    assert_eq!(found, 3);
    assert!(relayed.starts_with(UNKNOWN));
}

#[test]
fn a_payload_of_the_future_is_no_payload_but_is_relayed() {
    let parsed = DataPacketRef::parse(UNKNOWN).unwrap();
    assert!(parsed.payload.is_none());
    assert!(parsed.stamped(&STAMP).starts_with(UNKNOWN));
}

#[test]
fn a_hidden_sender_leaves_no_name() {
    let mut packet = user(UserPacket {
        participant_identity: "ghost".into(),
        ..Default::default()
    });
    packet.participant_identity = "ghost".into();
    let bytes = packet.encode_to_vec();
    let stamp = Stamp {
        kind: Kind::Reliable,
        participant_identity: "",
        participant_sid: "",
    };
    let relayed = DataPacketRef::parse(&bytes).unwrap().stamped(&stamp);
    assert_eq!(
        DataPacket::decode(relayed).unwrap(),
        user(UserPacket::default())
    );
}

#[test]
fn receivers_are_found_and_shown_in_both_places() {
    let mut packet = user(UserPacket {
        destination_sids: vec!["PA_1".into()],
        destination_identities: vec!["old".into()],
        ..Default::default()
    });
    let bytes = packet.encode_to_vec();
    let parsed = DataPacketRef::parse(&bytes).unwrap();
    assert_eq!(parsed.destination_sids().collect::<Vec<_>>(), ["PA_1"]);
    assert_eq!(parsed.destination_identities().collect::<Vec<_>>(), ["old"]);
    let relayed = DataPacket::decode(parsed.stamped(&STAMP)).unwrap();
    assert_eq!(relayed.destination_identities, ["old"]);

    packet.destination_identities = vec!["new".into(), "newer".into()];
    let bytes = packet.encode_to_vec();
    let parsed = DataPacketRef::parse(&bytes).unwrap();
    let relayed = DataPacket::decode(parsed.stamped(&STAMP)).unwrap();
    assert_eq!(relayed.destination_identities, ["new", "newer"]);
    let Some(Value::User(user)) = relayed.value else {
        unreachable!()
    };
    assert_eq!(user.destination_identities, ["new", "newer"]);
}

#[test]
fn what_readers_may_disagree_about_is_refused() {
    let cases: [(&[u8], DataPacketError); 9] = [
        (&[0x0a], DataPacketError::WireType(1)),
        (&[0x22, 5, b'a'], DataPacketError::Truncated),
        (&[0x22], DataPacketError::Truncated),
        (&[0x80], DataPacketError::Truncated),
        (&[0x00, 0x00], DataPacketError::BadField),
        (&[0x0b, 0x0c], DataPacketError::BadField),
        (&[0x22, 1, 0xff], DataPacketError::Utf8(4)),
        (&[0x20, 1], DataPacketError::WireType(4)),
        (
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            DataPacketError::Overflow,
        ),
    ];
    for (bytes, error) in cases {
        let found = DataPacketRef::parse(bytes).err();
        // A wire type is only looked at when the field is complete.
        assert!(
            found == Some(error) || (bytes == [0x0a] && found.is_some()),
            "{bytes:02x?}: {found:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_relayed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(parsed) = DataPacketRef::parse(&bytes) {
            let relayed = parsed.stamped(&STAMP);
            let again = DataPacketRef::parse(&relayed).unwrap();
            prop_assert_eq!(again.participant_identity, "alice");
            prop_assert_eq!(again.kind, Kind::Lossy);
            prop_assert_eq!(again.sequence, parsed.sequence);
            // Stamping twice changes nothing.
            let twice = again.stamped(&STAMP);
            prop_assert_eq!(DataPacketRef::parse(&twice).unwrap().stamped(&STAMP), twice);
        }
    }

    #[test]
    fn what_prost_reads_from_its_own_writing_we_read_too(
        identity in ".{0,8}", destinations in proptest::collection::vec(".{0,8}", 0..4),
        payload in proptest::collection::vec(any::<u8>(), 0..64), sequence in any::<u32>(),
    ) {
        let mut packet = user(UserPacket { payload: payload.into(), ..Default::default() });
        packet.participant_identity = identity.clone();
        packet.destination_identities = destinations.clone();
        packet.sequence = sequence;
        let bytes = packet.encode_to_vec();
        let parsed = DataPacketRef::parse(&bytes).unwrap();
        prop_assert_eq!(parsed.participant_identity, identity.as_str());
        prop_assert_eq!(parsed.sequence, sequence);
        prop_assert_eq!(parsed.destination_identities().collect::<Vec<_>>(), destinations);
    }
}
