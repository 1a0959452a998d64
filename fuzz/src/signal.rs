//! What must hold for bytes that claim to come from a signalling client or over a data channel.

use kith_proto::{
    Message,
    data_packet::{DataPacketRef, Stamp},
    join_request::{MAX_JOIN_REQUEST, parse_join_request},
    json,
    livekit::{DataPacket, WrappedJoinRequest, data_packet::Kind},
    signal::{decode_binary, decode_text},
};

/// The parameter as text; and, so that base64 does not stand in the way, as the bytes in it.
pub fn join_request(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse_join_request(text);
    }
    let wrapped = WrappedJoinRequest {
        compression: i32::from(data.first().is_some_and(|byte| byte & 1 == 1)),
        join_request: data.get(1..).unwrap_or_default().to_vec().into(),
    };
    if let Ok(request) = parse_join_request(&base64(&wrapped.encode_to_vec())) {
        // Reading it again gives the same; what was unpacked stayed within the limit.
        let bytes = request.encode_to_vec();
        assert!(bytes.len() <= 2 * MAX_JOIN_REQUEST);
        let again = WrappedJoinRequest {
            compression: 0,
            join_request: bytes.into(),
        };
        if let Ok(again) = parse_join_request(&base64(&again.encode_to_vec())) {
            // Not `==`: a number that is no number does not equal itself.
            assert_eq!(format!("{again:?}"), format!("{request:?}"));
        }
    }
}

/// A frame in both encodings. What is read has a JSON form, which is read to the same value.
pub fn signal_request(data: &[u8]) {
    let _ = decode_text(data);
    let Ok(request) = decode_binary(data) else {
        return;
    };
    if let Ok(text) = json::to_string(&request)
        && let Ok(again) = decode_text(text.as_bytes())
    {
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
    }
}

/// A packet is refused or relayed; relayed, it is the sender's, keeps its number and payload.
pub fn data_packet(data: &[u8]) {
    let Ok(packet) = DataPacketRef::parse(data) else {
        return;
    };
    let stamp = Stamp {
        kind: Kind::Lossy,
        participant_identity: "alice",
        participant_sid: "PA_alice",
    };
    let relayed = packet.stamped(&stamp);
    let again = DataPacketRef::parse(&relayed).expect("what was relayed can be read");
    assert_eq!(
        (
            again.kind,
            again.participant_identity,
            again.participant_sid,
            again.sequence
        ),
        (Kind::Lossy, "alice", "PA_alice", packet.sequence)
    );
    assert_eq!(
        again.payload.map(|(kind, _)| kind),
        packet.payload.map(|(kind, _)| kind)
    );
    // Only the order of fields may change, and only once.
    let twice = again.stamped(&stamp);
    let thrice = DataPacketRef::parse(&twice)
        .expect("it can be read again")
        .stamped(&stamp);
    assert_eq!(thrice, twice);
    // A receiver that decodes it sees the same.
    if let Ok(decoded) = DataPacket::decode(&*relayed) {
        assert_eq!(decoded.participant_identity, "alice");
        assert_eq!(decoded.sequence, packet.sequence);
        let destinations: Vec<&str> = decoded
            .destination_identities
            .iter()
            .map(String::as_str)
            .collect();
        let ours: Vec<&str> = again.destination_identities().collect();
        assert!(
            destinations
                .iter()
                .all(|destination| ours.contains(destination))
        );
    }
}

/// URL-safe base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut block = [0; 3];
        block[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, block[0], block[1], block[2]]);
        for position in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * position)) as usize & 63];
            out.push(if position <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    out
}
