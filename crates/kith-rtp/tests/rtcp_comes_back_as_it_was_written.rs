//! What `RtcpWriter` writes, `rtcp::packets` reads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use kith_rtp::rtcp::{
    DlrrBlock, FirEntry, Pli, ReportBlock, RtcpPacket, RtcpWriter, XrBlock, packets,
};
use kith_rtp::{SeqNo, Ssrc, WriteError};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// Writes one packet, checks its frame and hands it to `check`.
fn round_trip(
    write: impl FnOnce(&mut RtcpWriter<'_>) -> Result<(), WriteError>,
    check: impl FnOnce(RtcpPacket<'_>),
) {
    let mut buf = [0xEE; 4096];
    let mut writer = RtcpWriter::new(&mut buf);
    write(&mut writer).unwrap();
    assert!(writer.len().is_multiple_of(4));
    let mut walk = packets(writer.as_bytes());
    check(walk.next().expect("a packet").expect("a good packet"));
    assert!(walk.next().is_none());
}

fn report_block() -> impl Strategy<Value = ReportBlock> {
    let words = (
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
    );
    (words, any::<u8>(), -0x80_0000..=0x7F_FFFFi32).prop_map(
        |(words, fraction_lost, cumulative_lost)| ReportBlock {
            ssrc: Ssrc(words.0),
            fraction_lost,
            cumulative_lost,
            highest_sequence: words.1,
            jitter: words.2,
            last_sender_report: words.3,
            delay_since_last_sender_report: words.4,
        },
    )
}

proptest! {
    #[test]
    fn reports(
        ssrc: u32, ntp: u64, timestamp: u32, packet_count: u32, octets: u32,
        blocks in vec(report_block(), 0..=31),
    ) {
        round_trip(
            |writer| writer.sender_report(Ssrc(ssrc), ntp, timestamp, packet_count, octets, &blocks),
            |packet| {
                let RtcpPacket::SenderReport(report) = packet else { panic!("{packet:?}") };
                assert_eq!(report.ssrc, Ssrc(ssrc));
                assert_eq!(report.ntp, ntp);
                assert_eq!(report.rtp_timestamp, timestamp);
                assert_eq!((report.packet_count, report.octet_count), (packet_count, octets));
                assert_eq!(report.blocks().collect::<Vec<_>>(), blocks);
            },
        );
        round_trip(
            |writer| writer.receiver_report(Ssrc(ssrc), &blocks),
            |packet| {
                let RtcpPacket::ReceiverReport(report) = packet else { panic!("{packet:?}") };
                assert_eq!(report.ssrc, Ssrc(ssrc));
                assert_eq!(report.blocks().collect::<Vec<_>>(), blocks);
            },
        );
    }

    #[test]
    fn names_and_goodbyes(ssrc: u32, cname in "[a-zA-Z0-9+/=-]{0,255}", ssrcs in vec(any::<u32>(), 0..=31)) {
        round_trip(
            |writer| writer.sdes_cname(Ssrc(ssrc), &cname),
            |packet| {
                let RtcpPacket::Sdes(sdes) = packet else { panic!("{packet:?}") };
                let chunks: Vec<_> = sdes.chunks().collect();
                assert_eq!(chunks.len(), 1);
                assert_eq!(chunks[0].ssrc, Ssrc(ssrc));
                assert_eq!(chunks[0].cname(), Some(cname.as_bytes()));
            },
        );
        let ssrcs: Vec<_> = ssrcs.into_iter().map(Ssrc).collect();
        round_trip(
            |writer| writer.bye(&ssrcs),
            |packet| {
                let RtcpPacket::Bye(bye) = packet else { panic!("{packet:?}") };
                assert_eq!(bye.ssrcs().collect::<Vec<_>>(), ssrcs);
                assert_eq!(bye.reason, None);
            },
        );
    }

    #[test]
    fn missing_numbers(sender: u32, media: u32, start: u16, offsets in btree_set(0..400u16, 1..100)) {
        let missing: Vec<_> = offsets.iter().map(|offset| SeqNo(start.wrapping_add(*offset))).collect();
        round_trip(
            |writer| writer.nack(Ssrc(sender), Ssrc(media), missing.iter().copied()),
            |packet| {
                let RtcpPacket::Nack(nack) = packet else { panic!("{packet:?}") };
                assert_eq!((nack.sender_ssrc, nack.media_ssrc), (Ssrc(sender), Ssrc(media)));
                assert_eq!(nack.sequence_numbers().collect::<Vec<_>>(), missing);
            },
        );
    }

    #[test]
    fn keyframe_requests(sender: u32, media: u32, entries in vec((any::<u32>(), any::<u8>()), 1..50)) {
        let pli = Pli { sender_ssrc: Ssrc(sender), media_ssrc: Ssrc(media) };
        round_trip(
            |writer| writer.pli(pli),
            |packet| assert!(matches!(packet, RtcpPacket::Pli(read) if read == pli)),
        );
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(ssrc, sequence)| FirEntry { media_ssrc: Ssrc(ssrc), sequence })
            .collect();
        round_trip(
            |writer| writer.fir(Ssrc(sender), &entries),
            |packet| {
                let RtcpPacket::Fir(fir) = packet else { panic!("{packet:?}") };
                assert_eq!(fir.sender_ssrc, Ssrc(sender));
                assert_eq!(fir.entries().collect::<Vec<_>>(), entries);
            },
        );
    }

    #[test]
    fn bitrates_keep_eighteen_significant_bits(bitrate: u64, ssrcs in vec(any::<u32>(), 0..255)) {
        let ssrcs: Vec<_> = ssrcs.into_iter().map(Ssrc).collect();
        round_trip(
            |writer| writer.remb(Ssrc(1), bitrate, &ssrcs),
            |packet| {
                let RtcpPacket::Remb(remb) = packet else { panic!("{packet:?}") };
                assert!(remb.bitrate <= bitrate && bitrate - remb.bitrate <= bitrate >> 17);
                assert_eq!(remb.ssrcs().collect::<Vec<_>>(), ssrcs);
            },
        );
    }

    #[test]
    fn extended_reports(ssrc: u32, ntp: u64, answers in vec(any::<(u32, u32, u32)>(), 0..50)) {
        round_trip(
            |writer| writer.receiver_reference_time(Ssrc(ssrc), ntp),
            |packet| {
                let RtcpPacket::Xr(xr) = packet else { panic!("{packet:?}") };
                assert_eq!(xr.ssrc, Ssrc(ssrc));
                assert_eq!(xr.blocks().collect::<Vec<_>>(), [XrBlock::ReceiverReferenceTime(ntp)]);
            },
        );
        let answers: Vec<_> = answers
            .into_iter()
            .map(|(ssrc, last_receiver_report, delay_since_last_receiver_report)| DlrrBlock {
                ssrc: Ssrc(ssrc),
                last_receiver_report,
                delay_since_last_receiver_report,
            })
            .collect();
        round_trip(
            |writer| writer.dlrr(Ssrc(ssrc), &answers),
            |packet| {
                let RtcpPacket::Xr(xr) = packet else { panic!("{packet:?}") };
                let Some(XrBlock::Dlrr(entries)) = xr.blocks().next() else { panic!("{xr:?}") };
                assert_eq!(entries.iter().collect::<Vec<_>>(), answers);
            },
        );
    }
}

#[test]
fn a_packet_that_does_not_fit_leaves_the_others_whole() {
    let pli = Pli {
        sender_ssrc: Ssrc(1),
        media_ssrc: Ssrc(2),
    };
    let mut buf = [0; 30];
    let mut writer = RtcpWriter::new(&mut buf);
    writer.receiver_report(Ssrc(1), &[]).unwrap();
    writer.pli(pli).unwrap();
    assert_eq!(writer.pli(pli), Err(WriteError::BufferTooSmall));
    assert_eq!(writer.bye(&[Ssrc(1)]), Ok(()), "a smaller one still fits");
    assert_eq!(writer.len(), 8 + 12 + 8);
    assert!(packets(writer.as_bytes()).all(|packet| packet.is_ok()));
}

#[test]
fn counts_beyond_their_field_are_refused() {
    let mut buf = [0; 4096];
    let mut writer = RtcpWriter::new(&mut buf);
    let blocks = [ReportBlock::default(); 32];
    assert_eq!(
        writer.receiver_report(Ssrc(1), &blocks),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(writer.bye(&[Ssrc(1); 32]), Err(WriteError::OutOfRange));
    assert_eq!(
        writer.remb(Ssrc(1), 1, &[Ssrc(1); 256]),
        Err(WriteError::OutOfRange)
    );
    assert_eq!(
        writer.sdes_cname(Ssrc(1), &"a".repeat(256)),
        Err(WriteError::OutOfRange)
    );
    assert!(writer.is_empty());
    writer.nack(Ssrc(1), Ssrc(2), []).unwrap();
    assert!(writer.is_empty(), "nothing missing, nothing written");
}
