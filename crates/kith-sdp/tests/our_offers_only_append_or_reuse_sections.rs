//! The server's own offers: sections keep their place, mid and kind, ids and payload types never change.

mod common;

use common::{lines_with, local, parse, section_lines, send_audio, send_video};
use kith_sdp::{
    CodecPreference, Direction, MAX_SECTIONS, MediaKind, NegotiationError, OfferPlan, OfferState,
    PlanError, offer, standard_codecs, standard_extensions,
};

#[test]
fn the_first_offer_has_data_channels_first() {
    let plan = OfferPlan::new(true);
    let offer = offer(&local(), plan.sections()).unwrap();
    assert_eq!(offer.media().len(), 1);
    assert_eq!(
        lines_with(
            &section_lines(&offer, 0),
            &["m=", "a=setup", "a=mid", "a=candidate", "a=sctp", "a=max"]
        ),
        [
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host",
            "a=setup:actpass",
            "a=mid:0",
            "a=sctp-port:5000",
            "a=max-message-size:65536",
        ]
    );
    assert_eq!(offer.bundle_groups(), [["0"]]);
    assert!(offer.ice_lite());
}

#[test]
fn a_freed_section_is_reused_for_its_kind_only() {
    let mut plan = OfferPlan::new(true);
    let audio = plan.add(MediaKind::Audio, send_audio(1)).unwrap();
    let video = plan.add(MediaKind::Video, send_video(2)).unwrap();
    assert_eq!((audio.as_str(), video.as_str()), ("1", "2"));
    let before = offer(&local(), plan.sections()).unwrap();

    assert!(plan.remove(&audio));
    assert!(!plan.remove(&audio), "once is enough");
    assert!(!plan.remove("0"), "data is not removed");
    let idle = offer(&local(), plan.sections()).unwrap();
    assert_eq!(idle.media()[1].direction, Direction::Inactive);
    assert!(
        !section_lines(&idle, 1)
            .iter()
            .any(|line| line.starts_with("a=msid:") || line.starts_with("a=ssrc"))
    );

    let second_video = plan.add(MediaKind::Video, send_video(3)).unwrap();
    assert_eq!(
        second_video, "3",
        "the free audio section is no place for video"
    );
    assert_eq!(plan.add(MediaKind::Audio, send_audio(4)).unwrap(), audio);
    let after = offer(&local(), plan.sections()).unwrap();
    assert_eq!(after.media().len(), 4);
    assert_eq!(after.media()[1].msids[0].stream, "PA_a|TR_4");

    for (index, (old, new)) in before.media().iter().zip(after.media()).enumerate() {
        assert_eq!(
            (&old.mid, old.kind),
            (&new.mid, new.kind),
            "section {index}"
        );
        assert_eq!(old.codecs, new.codecs);
        assert_eq!(old.extensions, new.extensions);
    }
    assert_eq!(after.bundle_groups(), [["0", "1", "2", "3"]]);
}

#[test]
fn a_sender_narrows_the_table_but_never_renumbers_it() {
    let mut plan = OfferPlan::new(false);
    let mut sender = send_video(1);
    sender.codecs = vec![
        CodecPreference::variant("video/H264", "packetization-mode=1;profile-level-id=42e01f"),
        CodecPreference::any("video/VP8"),
    ];
    let mid = plan.add(MediaKind::Video, sender).unwrap();
    let first = offer(&local(), plan.sections()).unwrap();
    let lines = section_lines(&first, 0);
    assert_eq!(lines[0], "m=video 9 UDP/TLS/RTP/SAVPF 108 109 96 97");
    assert_eq!(
        lines_with(&lines, &["a=extmap:", "a=ssrc", "a=sendonly"]),
        [
            "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
            "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            "a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
            "a=extmap:13 urn:3gpp:video-orientation",
            "a=sendonly",
            "a=ssrc-group:FID 1001 2001",
            "a=ssrc:1001 cname:PA_a",
            "a=ssrc:1001 msid:PA_a|TR_1 TR_1",
            "a=ssrc:2001 cname:PA_a",
            "a=ssrc:2001 msid:PA_a|TR_1 TR_1",
        ]
    );

    plan.sender_mut(&mid).unwrap().codecs = common::codecs(&["video/nothing"]);
    let idle = offer(&local(), plan.sections()).unwrap();
    assert_eq!(idle.media()[0].direction, Direction::Inactive);
    assert_eq!(
        idle.media()[0].codecs.len(),
        standard_codecs(MediaKind::Video).len()
    );
}

#[test]
fn stereo_is_told_to_the_client() {
    let mut plan = OfferPlan::new(false);
    let mut stereo = send_audio(1);
    stereo.stereo = true;
    plan.add(MediaKind::Audio, stereo).unwrap();
    plan.add(MediaKind::Audio, send_audio(2)).unwrap();
    let offer = offer(&local(), plan.sections()).unwrap();
    assert_eq!(
        offer.media()[0].codecs[0].fmtp,
        "minptime=10;useinbandfec=1;sprop-stereo=1"
    );
    assert_eq!(
        offer.media()[1].codecs[0].fmtp,
        "minptime=10;useinbandfec=1"
    );
    assert!(offer.media()[1].codecs[0].feedback.nack);
}

#[test]
fn a_plan_is_bounded_and_knows_its_kinds() {
    let mut plan = OfferPlan::new(true);
    assert_eq!(
        plan.add(MediaKind::Application, send_audio(1)),
        Err(PlanError::NotMedia)
    );
    for number in 1..MAX_SECTIONS {
        plan.add(MediaKind::Audio, send_audio(number as u32))
            .unwrap();
    }
    assert_eq!(
        plan.add(MediaKind::Audio, send_audio(0)),
        Err(PlanError::Full(MAX_SECTIONS))
    );
    let offer = offer(&local(), plan.sections()).unwrap();
    assert_eq!(parse(offer.as_str()).media().len(), MAX_SECTIONS);
}

#[test]
fn a_state_that_does_not_fit_the_kind_is_an_error() {
    let mut sections = OfferPlan::new(true).sections().to_vec();
    sections[0].state = OfferState::Inactive;
    assert_eq!(
        offer(&local(), &sections),
        Err(NegotiationError::DecisionKind { index: 0 })
    );
    sections[0].kind = MediaKind::Video;
    sections[0].codecs = standard_codecs(MediaKind::Video);
    sections[0].extensions = standard_extensions(MediaKind::Video);
    assert!(offer(&local(), &sections).is_ok());
}

#[test]
fn two_tracks_with_one_source_are_an_error() {
    let mut plan = OfferPlan::new(true);
    plan.add(MediaKind::Audio, send_audio(1)).unwrap();
    plan.add(MediaKind::Audio, send_audio(1)).unwrap();
    assert_eq!(
        offer(&local(), plan.sections()),
        Err(NegotiationError::DuplicateSsrc { ssrc: 1001 })
    );
}
