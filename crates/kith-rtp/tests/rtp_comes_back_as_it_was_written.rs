//! Headers, extensions and payload descriptors: what is written is what is read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use kith_rtp::red::{self, Red, RedBlock};
use kith_rtp::vp8::{self, PictureId, Vp8Descriptor};
use kith_rtp::{
    PayloadType, RtpHeaderFields, RtpPacket, SeqNo, Ssrc, rtp_header_len, rtx, write_rtp_header,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn fields() -> impl Strategy<Value = RtpHeaderFields> {
    any::<(bool, u8, u16, u32, u32)>().prop_map(
        |(marker, payload_type, number, timestamp, ssrc)| RtpHeaderFields {
            marker,
            payload_type: PayloadType(payload_type & 0x7F),
            sequence_number: SeqNo(number),
            timestamp,
            ssrc: Ssrc(ssrc),
        },
    )
}

fn elements() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let short = vec((1..=14u8, vec(any::<u8>(), 1..=16)), 0..8);
    let any_form = vec((1..=255u8, vec(any::<u8>(), 0..=255)), 0..8);
    prop_oneof![short, any_form]
}

fn packet(fields: &RtpHeaderFields, elements: &[(u8, Vec<u8>)], payload: &[u8]) -> Vec<u8> {
    let exts: Vec<(u8, &[u8])> = elements
        .iter()
        .map(|(id, value)| (*id, &value[..]))
        .collect();
    let mut bytes = vec![0xEE; 4096];
    let len = write_rtp_header(&mut bytes, fields, &exts).unwrap();
    assert_eq!(rtp_header_len(&exts), Ok(len));
    bytes.truncate(len);
    bytes.extend(payload);
    bytes
}

fn check(bytes: &[u8], fields: &RtpHeaderFields, elements: &[(u8, Vec<u8>)], payload: &[u8]) {
    let packet = RtpPacket::parse(bytes).unwrap();
    assert_eq!(packet.marker(), fields.marker);
    assert_eq!(packet.payload_type(), fields.payload_type);
    assert_eq!(packet.sequence_number(), fields.sequence_number);
    assert_eq!(packet.timestamp(), fields.timestamp);
    assert_eq!(packet.ssrc(), fields.ssrc);
    assert_eq!(packet.payload(), payload);
    let read: Vec<_> = packet
        .extensions()
        .map(|(id, value)| (id, value.to_vec()))
        .collect();
    assert_eq!(read, elements);
    for (id, _) in elements {
        let range = packet.extension_range(*id).unwrap();
        assert_eq!(&bytes[range], packet.extension(*id).unwrap());
    }
}

proptest! {
    #[test]
    fn headers(fields in fields(), elements in elements(), payload in vec(any::<u8>(), 0..50)) {
        check(&packet(&fields, &elements, &payload), &fields, &elements, &payload);
    }

    #[test]
    fn retransmissions(original in fields(), sent in fields(), elements in elements(), payload in vec(any::<u8>(), 1..50)) {
        let mut body = original.sequence_number.0.to_be_bytes().to_vec();
        body.extend(&payload);
        let sent = RtpHeaderFields { marker: original.marker, timestamp: original.timestamp, ..sent };
        let mut bytes = packet(&sent, &elements, &body);
        let unwrapped = rtx::unwrap_in_place(&mut bytes, original.payload_type, original.ssrc).unwrap();
        check(unwrapped, &original, &elements, &payload);
    }

    #[test]
    fn vp8_descriptors(
        flags: (bool, bool, bool), partition in 0..8u8, picture_id in proptest::option::of((0..0x8000u16, any::<bool>())),
        tl0_pic_idx: Option<u8>, temporal_id in proptest::option::of(0..4u8), key_idx in proptest::option::of(0..32u8),
        renewed: (u16, u8, u8), payload in vec(any::<u8>(), 0..20),
    ) {
        let mut descriptor = Vp8Descriptor::default();
        descriptor.non_reference = flags.0;
        descriptor.start_of_partition = flags.1;
        descriptor.partition_index = partition;
        descriptor.picture_id = picture_id.map(|(value, wide)| PictureId {
            value: if wide { value } else { value & 0x7F },
            wide,
        });
        descriptor.tl0_pic_idx = tl0_pic_idx;
        descriptor.temporal_id = temporal_id;
        descriptor.layer_sync = flags.2 && temporal_id.is_some();
        descriptor.key_idx = key_idx;
        let mut bytes = [0; 32];
        let len = descriptor.write(&mut bytes).unwrap();
        bytes[len..len + payload.len()].copy_from_slice(&payload);
        let mut expected = Vp8Descriptor::parse(&bytes).unwrap();
        prop_assert_eq!(expected.len(), len);
        prop_assert_eq!(expected.picture_id, descriptor.picture_id);
        prop_assert_eq!(format!("{expected:?}").replace(&format!("len: {len}"), "len: 0"), format!("{descriptor:?}"));

        // Rewriting in place is the same as changing the fields and writing anew.
        let mut rewritten = bytes;
        vp8::rewrite(&mut rewritten, renewed.0 & 0x7FFF, renewed.1, renewed.2 & 0x1F).unwrap();
        if let Some(id) = &mut expected.picture_id {
            id.value = if id.wide { renewed.0 & 0x7FFF } else { renewed.0 & 0x7F };
        }
        expected.tl0_pic_idx = expected.tl0_pic_idx.map(|_| renewed.1);
        expected.key_idx = expected.key_idx.map(|_| renewed.2 & 0x1F);
        let mut anew = bytes;
        prop_assert_eq!(expected.write(&mut anew), Ok(len));
        prop_assert_eq!(rewritten, anew);
    }

    #[test]
    fn redundant_audio(
        blocks in vec((0..128u8, 0..=0x3FFFu16, vec(any::<u8>(), 0..=100)), 0..=10),
        primary_type in 0..128u8, primary in vec(any::<u8>(), 0..100),
    ) {
        let blocks: Vec<_> = blocks
            .iter()
            .map(|(payload_type, timestamp_offset, payload)| RedBlock {
                payload_type: PayloadType(*payload_type),
                timestamp_offset: *timestamp_offset,
                payload,
            })
            .collect();
        let mut bytes = [0; 2048];
        let len = red::write(&mut bytes, &blocks, PayloadType(primary_type), &primary).unwrap();
        let read = Red::parse(&bytes[..len]).unwrap();
        prop_assert_eq!(read.redundant().collect::<Vec<_>>(), blocks);
        prop_assert_eq!(read.primary_type(), PayloadType(primary_type));
        prop_assert_eq!(read.primary(), &primary[..]);
    }
}
