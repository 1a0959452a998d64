//! Reading and writing a real client's description gives the same bytes, and the typed view has what is in it.

mod common;

use common::{CHROMIUM, CHROMIUM_ANSWER, FIREFOX, JS_JOIN, OFFERS, PYTHON_JOIN, parse};
use kith_sdp::{Direction, MediaKind, Setup};

#[test]
fn every_fixture_round_trips_byte_for_byte() {
    for (name, text) in OFFERS {
        assert_eq!(parse(text).to_string(), text, "{name}");
    }
    assert_eq!(parse(CHROMIUM_ANSWER).to_string(), CHROMIUM_ANSWER);
}

#[test]
fn lines_may_end_with_lf_alone() {
    let bare = CHROMIUM.replace("\r\n", "\n");
    assert_eq!(parse(&bare).to_string(), CHROMIUM);
}

#[test]
fn chromiums_simulcast_section_is_read() {
    let offer = parse(CHROMIUM);
    assert_eq!(offer.bundle_groups(), [["0", "1", "2", "3", "4"]]);
    let video = &offer.media()[1];
    assert_eq!(
        (video.kind, video.mid.as_str(), video.direction),
        (MediaKind::Video, "1", Direction::SendOnly)
    );
    assert_eq!(
        video.msid().unwrap().track,
        "ad150e89-d177-457b-9693-c2e92d22049d"
    );
    let vp8 = &video.codecs[0];
    assert_eq!(
        (vp8.payload_type, vp8.name.as_str(), vp8.clock_rate, vp8.rtx),
        (96, "VP8", 90_000, Some(97))
    );
    assert_eq!(vp8.feedback, kith_sdp::Feedback::ALL);
    let names: Vec<&str> = video
        .codecs
        .iter()
        .map(|codec| codec.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "VP8", "H264", "H264", "H264", "H264", "H264", "H264", "AV1", "VP9", "VP9", "red",
            "ulpfec"
        ]
    );
    assert_eq!(video.simulcast_send, ["q", "h", "f"]);
    assert!(video.rids.iter().all(|rid| rid.send));
    assert!(video.extmap_allow_mixed && video.rtcp_mux && video.rtcp_rsize);
    assert_eq!(video.extensions.len(), 13);
}

#[test]
fn firefoxes_section_has_what_its_session_says() {
    let offer = parse(FIREFOX);
    let bundle_only = &offer.media()[2];
    assert!(bundle_only.bundle_only && !bundle_only.is_rejected());
    assert_eq!(bundle_only.fingerprints[0].digest[..2], [0xBE, 0xAC]);
    let video = &offer.media()[1];
    assert_eq!(video.ssrcs.len(), 6);
    assert_eq!(video.ssrc_groups[2].ssrcs, [1_821_410_381, 2_074_980_435]);
    let descriptor = video
        .extensions
        .iter()
        .find(|extension| extension.id == 8)
        .unwrap();
    assert_eq!(descriptor.direction, Direction::SendOnly);
}

#[test]
fn the_transport_is_that_of_the_bundle() {
    let transport = parse(JS_JOIN).transport().unwrap().unwrap();
    assert_eq!(
        (transport.ufrag.as_str(), transport.pwd.as_str()),
        ("XLH3", "RDIq9Q7RLCThZNJiZ2Da/1u2")
    );
    assert_eq!(transport.fingerprint[..3], [0xC5, 0x1B, 0x81]);
    assert_eq!(
        (transport.setup, transport.ice_lite),
        (Setup::ActPass, false)
    );
    assert_eq!(
        (transport.sctp_port, transport.max_message_size),
        (Some(5000), Some(262_144))
    );
    assert!(transport.candidates.is_empty());

    let transport = parse(FIREFOX).transport().unwrap().unwrap();
    assert_eq!(
        transport.candidates.len(),
        4,
        "component 2 is left out: {:?}",
        transport.candidates
    );
    assert!(
        transport
            .candidates
            .iter()
            .all(|candidate| candidate.starts_with("candidate:"))
    );
    assert!(transport.end_of_candidates);
    assert_eq!(transport.max_message_size, Some(1_073_741_823));

    let transport = parse(PYTHON_JOIN).transport().unwrap().unwrap();
    assert_eq!(transport.ufrag, "3pEz");
}
