//! `kith-rtp`: every parser on any bytes. What can be written again must read the same.

use kith_rtp::av1::{self, Av1Descriptor};
use kith_rtp::dependency_descriptor::{DependencyDescriptor, TemplateStructure, set_frame_number};
use kith_rtp::ext::{
    AbsCaptureTime, AbsSendTime, AudioLevel, PlayoutDelay, TransportSequence, VideoOrientation,
    sdes_text,
};
use kith_rtp::h264::{self, H264Descriptor};
use kith_rtp::h265::{self, H265Descriptor};
use kith_rtp::opus::{MAX_DURATION, OpusDescriptor};
use kith_rtp::red::{self, Red};
use kith_rtp::rtcp::{
    RtcpPacket, RtcpWriter, TransportFeedback, TransportFeedbackBuilder, XrBlock, packets,
};
use kith_rtp::stun::{DatagramKind, binding_request_ufrag, binding_request_username, classify};
use kith_rtp::vp8::{self, Vp8Descriptor};
use kith_rtp::vp9::{self, Vp9Descriptor};
use kith_rtp::{
    PayloadType, Resolution, RtpHeaderFields, RtpPacket, SeqNo, Ssrc, rtx, set_marker,
    set_payload_type, set_sequence_number, set_ssrc, set_timestamp, write_rtp_header,
};

pub fn stun_demux(data: &[u8]) {
    let kind = classify(data);
    let username = binding_request_username(data);
    if let Some(username) = username {
        assert_eq!(kind, DatagramKind::Stun);
        assert!(username.len() <= 508);
    }
    if let Some(ufrag) = binding_request_ufrag(data) {
        assert!(username.is_some_and(|username| username.starts_with(ufrag)));
    }
}

pub fn rtp(data: &[u8]) {
    let mut bytes = data.to_vec();
    let original = bytes.clone();
    let unwrapped = rtx::unwrap_in_place(&mut bytes, PayloadType(96), Ssrc(7)).map(|unwrapped| {
        let packet = RtpPacket::parse(unwrapped).expect("the original is well formed");
        assert_eq!(
            (packet.payload_type(), packet.ssrc()),
            (PayloadType(96), Ssrc(7))
        );
        packet.payload().len()
    });
    if unwrapped.is_err() {
        assert_eq!(bytes, original);
    }
    set_marker(&mut bytes, true);
    set_payload_type(&mut bytes, PayloadType(255));
    set_sequence_number(&mut bytes, SeqNo(1));
    set_timestamp(&mut bytes, 2);
    set_ssrc(&mut bytes, Ssrc(3));

    let Ok(packet) = RtpPacket::parse(data) else {
        return;
    };
    if let Ok(payload_len) = unwrapped {
        assert_eq!(payload_len + 2, packet.payload().len());
    }
    let parts = packet.header_len() + packet.payload().len() + packet.padding_len();
    assert_eq!(parts, data.len());
    assert!(packet.payload_type().0 < 128);
    let mut exts = Vec::new();
    for (id, value) in packet.extensions() {
        assert!(id != 0 && value.len() <= 255);
        assert!(packet.extension(id).is_some());
        let range = packet.extension_range(id).expect("it is there");
        assert_eq!(data.get(range), packet.extension(id));
        exts.push((id, value));
    }
    let fields = RtpHeaderFields {
        marker: packet.marker(),
        payload_type: packet.payload_type(),
        sequence_number: packet.sequence_number(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    // Two-byte elements may be as many as a packet has room for, and one-byte ones may grow when written again.
    let mut out = vec![0; data.len() * 2 + 64];
    let len = write_rtp_header(&mut out, &fields, &exts).expect("what was read can be written");
    let written = out.get(..len).expect("inside the buffer");
    let again = RtpPacket::parse(written).expect("what was written can be read");
    assert!(again.extensions().eq(packet.extensions()));
    assert_eq!(again.sequence_number(), packet.sequence_number());
    assert!(again.payload().is_empty());
}

pub fn header_extensions(data: &[u8]) {
    // The bytes as the body of an extension in both forms, then each element as each kind of value.
    for profile in [[0xBE, 0xDE], [0x10, 0x0A]] {
        let words = data.len() / 4;
        let mut bytes = vec![0x90, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(profile);
        bytes.extend((words as u16).to_be_bytes());
        bytes.extend(data.iter().take(words * 4));
        if let Ok(packet) = RtpPacket::parse(&bytes) {
            packet
                .extensions()
                .for_each(|(_, value)| extension_values(value));
        }
    }
    extension_values(data);
}

fn extension_values(value: &[u8]) {
    if let Some(text) = sdes_text(value) {
        assert_eq!(text.as_bytes(), value);
    }
    if let Some(level) = AudioLevel::parse(value) {
        assert_eq!(AudioLevel::parse(&level.to_bytes()), Some(level));
    }
    if let Some(time) = AbsSendTime::parse(value) {
        assert_eq!(AbsSendTime::parse(&time.to_bytes()), Some(time));
        assert!(time.micros() < 64_000_000);
    }
    if let Some(sequence) = TransportSequence::parse(value) {
        assert_eq!(
            TransportSequence::parse(&sequence.to_bytes()),
            Some(sequence)
        );
    }
    if let Some(time) = AbsCaptureTime::parse(value) {
        let (bytes, len) = time.to_bytes();
        assert_eq!(bytes.get(..len).and_then(AbsCaptureTime::parse), Some(time));
    }
    if let Some(delay) = PlayoutDelay::parse(value) {
        assert_eq!(PlayoutDelay::parse(&delay.to_bytes()), Some(delay));
    }
    if let Some(orientation) = VideoOrientation::parse(value) {
        assert_eq!(
            VideoOrientation::parse(&orientation.to_bytes()),
            Some(orientation)
        );
    }
}

pub fn rtcp(data: &[u8]) {
    let mut out = vec![0; data.len() * 40 + 1500];
    for packet in packets(data) {
        let Ok(packet) = packet else {
            continue;
        };
        let mut writer = RtcpWriter::new(&mut out);
        match packet {
            RtcpPacket::SenderReport(report) => {
                let blocks: Vec<_> = report.blocks().collect();
                writer
                    .sender_report(
                        report.ssrc,
                        report.ntp,
                        report.rtp_timestamp,
                        report.packet_count,
                        report.octet_count,
                        &blocks,
                    )
                    .expect("what was read can be written");
            }
            RtcpPacket::ReceiverReport(report) => {
                let blocks: Vec<_> = report.blocks().collect();
                assert!(blocks.len() <= 31);
                writer
                    .receiver_report(report.ssrc, &blocks)
                    .expect("as above");
            }
            RtcpPacket::Sdes(sdes) => {
                for chunk in sdes.chunks() {
                    assert!(chunk.items().all(|item| item.kind != 0));
                    chunk.cname();
                }
            }
            RtcpPacket::Bye(bye) => {
                let ssrcs: Vec<_> = bye.ssrcs().collect();
                writer.bye(&ssrcs).expect("as above");
            }
            RtcpPacket::Nack(nack) => {
                let numbers = nack.sequence_numbers();
                assert!(numbers.clone().count() <= data.len() / 4 * 17);
                writer
                    .nack(nack.sender_ssrc, nack.media_ssrc, numbers)
                    .expect("as above");
            }
            RtcpPacket::Pli(pli) => writer.pli(pli).expect("as above"),
            RtcpPacket::Fir(fir) => {
                let entries: Vec<_> = fir.entries().collect();
                writer.fir(fir.sender_ssrc, &entries).expect("as above");
            }
            RtcpPacket::Remb(remb) => {
                let ssrcs: Vec<_> = remb.ssrcs().collect();
                writer
                    .remb(remb.sender_ssrc, remb.bitrate, &ssrcs)
                    .expect("as above");
            }
            RtcpPacket::TransportFeedback(feedback) => transport_feedback(&feedback),
            RtcpPacket::Xr(xr) => {
                for block in xr.blocks() {
                    match block {
                        XrBlock::ReceiverReferenceTime(ntp) => {
                            writer
                                .receiver_reference_time(xr.ssrc, ntp)
                                .expect("as above");
                        }
                        XrBlock::Dlrr(entries) => {
                            let entries: Vec<_> = entries.iter().collect();
                            writer.dlrr(xr.ssrc, &entries).expect("as above");
                        }
                        XrBlock::Unknown(_) => {}
                    }
                }
            }
            RtcpPacket::Unknown(_) => {}
        }
        assert!(packets(writer.as_bytes()).all(|packet| packet.is_ok()));
    }
}

fn transport_feedback(feedback: &TransportFeedback<'_>) {
    assert_eq!(
        feedback.statuses().count(),
        usize::from(feedback.status_count)
    );
    // What arrived goes through the builder again, as far as one packet takes it.
    let epoch = 1u64 << 40;
    let mut builder = TransportFeedbackBuilder::new();
    let mut gathered = Vec::new();
    for status in feedback.statuses() {
        let Some(arrival) = status.arrival else {
            continue;
        };
        let Some(arrival) = epoch.checked_add_signed(arrival) else {
            return;
        };
        if builder.push(status.sequence_number, arrival).is_err() {
            break;
        }
        gathered.push((status.sequence_number, arrival));
    }
    let mut out = [0; 1500];
    let mut writer = RtcpWriter::new(&mut out);
    writer
        .transport_feedback(Ssrc(1), Ssrc(2), 3, &builder)
        .expect("a packet is below 1200 bytes");
    let Some(Ok(RtcpPacket::TransportFeedback(again))) = packets(writer.as_bytes()).next() else {
        assert!(gathered.is_empty());
        return;
    };
    let period = (1i64 << 24) * 64_000;
    let mut meant = gathered.into_iter();
    for status in again.statuses() {
        let Some(arrival) = status.arrival else {
            continue;
        };
        let (number, heard) = meant.next().expect("no more arrivals than gathered");
        assert_eq!(status.sequence_number, number);
        let said = again.reference_micros() as i64 + arrival;
        assert!((heard as i64 - said).rem_euclid(period) < 250);
    }
    assert!(meant.next().is_none());
}

fn plausible(resolution: Option<Resolution>) {
    if let Some(Resolution { width, height }) = resolution {
        assert!(width > 0 && height > 0);
    }
}

pub fn vp8(data: &[u8]) {
    let mut bytes = data.to_vec();
    let Ok(descriptor) = Vp8Descriptor::parse(data) else {
        assert!(vp8::rewrite(&mut bytes, 1, 2, 3).is_err());
        return;
    };
    assert!((1..=vp8::MAX_DESCRIPTOR_LEN).contains(&descriptor.len()));
    plausible(descriptor.keyframe_resolution(data));
    // Written anew it may be shorter: an extension byte that announces nothing is left out.
    let mut out = [0; vp8::MAX_DESCRIPTOR_LEN];
    let len = descriptor.write(&mut out).expect("there is room");
    assert!(len <= descriptor.len());
    let written = out.get(..len).expect("inside the buffer");
    let again = Vp8Descriptor::parse(written).expect("what was written can be read");
    assert_eq!(again.picture_id, descriptor.picture_id);
    assert_eq!(again.tl0_pic_idx, descriptor.tl0_pic_idx);
    assert_eq!(again.temporal_id, descriptor.temporal_id);
    assert_eq!(again.layer_sync, descriptor.layer_sync);
    assert_eq!(again.key_idx, descriptor.key_idx);
    assert_eq!(again.starts_frame(), descriptor.starts_frame());

    vp8::rewrite(&mut bytes, 0x1234, 0x56, 0x17).expect("it was parsed");
    let rewritten = Vp8Descriptor::parse(&bytes).expect("rewriting breaks nothing");
    assert_eq!(rewritten.len(), descriptor.len());
    assert_eq!(rewritten.temporal_id, descriptor.temporal_id);
    let id = |wide| if wide { 0x1234 } else { 0x34 };
    assert_eq!(
        rewritten.picture_id.map(|picture| picture.value),
        descriptor.picture_id.map(|picture| id(picture.wide))
    );
    assert_eq!(rewritten.tl0_pic_idx, descriptor.tl0_pic_idx.map(|_| 0x56));
    assert_eq!(rewritten.key_idx, descriptor.key_idx.map(|_| 0x17));
    assert_eq!(bytes.get(descriptor.len()..), data.get(descriptor.len()..));
}

pub fn vp9(data: &[u8]) {
    let mut bytes = data.to_vec();
    let rewritten = vp9::rewrite(&mut bytes, 0x1234, 0x56);
    let Ok(descriptor) = Vp9Descriptor::parse(data) else {
        return;
    };
    assert!((1..=data.len()).contains(&descriptor.len()));
    assert!(descriptor.references().len() <= 3);
    plausible(descriptor.keyframe_resolution(data));
    if let Some(structure) = descriptor.structure {
        (0..=u8::MAX).for_each(|spatial| plausible(structure.resolution(spatial)));
    }
    rewritten.expect("it was parsed");
    let again = Vp9Descriptor::parse(&bytes).expect("rewriting breaks nothing");
    assert_eq!(again.layer_id(), descriptor.layer_id());
    assert_eq!(again.structure, descriptor.structure);
    assert_eq!(bytes.get(descriptor.len()..), data.get(descriptor.len()..));
}

pub fn av1(data: &[u8]) {
    let len: usize = av1::obu_elements(data).map(<[u8]>::len).sum();
    assert!(len <= data.len());
    if let Ok(descriptor) = Av1Descriptor::parse(data) {
        plausible(descriptor.keyframe_resolution(data));
    }
}

pub fn h264(data: &[u8]) {
    let len: usize = h264::nal_units(data).map(|unit| unit.body.len()).sum();
    assert!(len <= data.len());
    plausible(h264::sps_resolution(data));
    if let Ok(descriptor) = H264Descriptor::parse(data) {
        plausible(descriptor.keyframe_resolution(data));
    }
}

pub fn h265(data: &[u8]) {
    let len: usize = h265::nal_units(data).map(|unit| unit.body.len()).sum();
    assert!(len <= data.len());
    plausible(h265::sps_resolution(data));
    if let Ok(descriptor) = H265Descriptor::parse(data) {
        plausible(descriptor.keyframe_resolution(data));
    }
}

pub fn opus(data: &[u8]) {
    if let Ok(descriptor) = OpusDescriptor::parse(data) {
        assert!((120..=MAX_DURATION).contains(&descriptor.duration));
        assert!((1..=48).contains(&descriptor.frame_count));
    }
}

pub fn red(data: &[u8]) {
    let Ok(red) = Red::parse(data) else {
        return;
    };
    let blocks: Vec<_> = red.redundant().collect();
    let mut out = vec![0; data.len()];
    let len = red::write(&mut out, &blocks, red.primary_type(), red.primary());
    assert_eq!(len, Ok(data.len()));
    assert_eq!(out, data);
}

/// The bytes are a stream: descriptors, each behind its length, that refer to what was attached before.
pub fn dependency_descriptor(data: &[u8]) {
    let mut known: Option<Box<TemplateStructure>> = None;
    let mut rest = data;
    while let Some((&len, after)) = rest.split_first() {
        let (bytes, after) = after
            .split_at_checked(usize::from(len))
            .unwrap_or((after, &[]));
        rest = after;
        let Ok(descriptor) = DependencyDescriptor::parse(bytes, known.as_deref()) else {
            continue;
        };
        plausible(descriptor.resolution);
        for mask in [None, Some(0xAAAA_AAAA)] {
            let mut out = [0; 260];
            let len = descriptor
                .write_with_active_decode_targets(mask, &mut out)
                .expect("at most five bytes longer");
            set_frame_number(&mut out, descriptor.frame_number);
            let out = out.get(..len.min(255)).expect("inside the buffer");
            let Ok(again) = DependencyDescriptor::parse(out, known.as_deref()) else {
                assert!(len > 255);
                continue;
            };
            assert_eq!(again.layer, descriptor.layer);
            assert_eq!(again.indications, descriptor.indications);
            assert_eq!(again.frame_diffs, descriptor.frame_diffs);
            assert_eq!(again.chain_diffs, descriptor.chain_diffs);
            assert_eq!(again.resolution, descriptor.resolution);
            assert_eq!(again.active_decode_targets.is_some(), mask.is_some());
        }
        if let Some(attached) = descriptor.structure {
            let structure = attached.read().expect("it was read once");
            assert_eq!(
                structure.decode_target_layers().len(),
                structure.decode_target_count()
            );
            known = Some(Box::new(structure));
        }
    }
}
