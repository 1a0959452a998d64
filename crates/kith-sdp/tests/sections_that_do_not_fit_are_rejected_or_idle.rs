//! An answer always has the sections of the offer; what cannot be used is rejected, what has nothing to carry is idle.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    CHROMIUM, JS_JOIN, local, parse, receive_audio, section_lines, send_video, usual_decisions,
};
use kith_sdp::{Direction, NegotiationError, SectionDecision, Setup, answer, answer_setup};

#[test]
fn a_stopped_section_stays_rejected_whatever_is_decided() {
    let offer = parse(&CHROMIUM.replacen("m=audio 51243 ", "m=audio 0 ", 1));
    let (answer, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    assert_eq!(
        section_lines(&answer, 0),
        [
            "m=audio 0 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
            "a=inactive"
        ]
    );
    assert!(sections[0].rejected);
    assert_eq!(answer.bundle_groups(), [["1", "2", "3", "4"]]);
    assert!(
        section_lines(&answer, 1)[2].starts_with("a=candidate:"),
        "the first live section has the candidates"
    );
    assert_eq!(
        offer.transport().unwrap().unwrap().ufrag,
        "lDTx",
        "and its transport is the bundle's"
    );
}

#[test]
fn rejecting_is_a_decision_too() {
    let offer = parse(CHROMIUM);
    let mut decisions = usual_decisions(&offer);
    decisions[3] = SectionDecision::Reject;
    decisions[4] = SectionDecision::Reject;
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    assert!(sections[3].rejected && sections[4].rejected && !sections[0].rejected);
    assert_eq!(answer.bundle_groups(), [["0", "1", "2"]]);
    assert_eq!(answer.media()[4].port, 0);
}

#[test]
fn no_codec_in_common_leaves_the_section_for_other_tracks() {
    let offer = parse(JS_JOIN);
    let mut decisions = usual_decisions(&offer);
    let mut sender = send_video(2);
    sender.codecs = common::codecs(&["video/H265"]);
    decisions[3] = SectionDecision::Send(sender);
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    assert_eq!(
        (sections[3].direction, sections[3].rejected),
        (Direction::Inactive, false)
    );
    assert!(sections[3].codecs.is_empty());
    assert_eq!(
        section_lines(&answer, 3)[0],
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97"
    );

    // Nothing that we know at all: there is no format to keep it alive with.
    let exotic = parse(&JS_JOIN.replace("a=rtpmap:96 VP8/90000", "a=rtpmap:96 exotic/90000").replacen(
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 35 36 37 38 102 103 104 107 108 109 114 115 116 117 39 40 41 42 43 44 45 46 47 48 118 119 120 49",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        1,
    ));
    let (_, sections) = answer_to(&exotic);
    assert!(sections[3].rejected);
}

fn answer_to(
    offer: &kith_sdp::SessionDescription,
) -> (
    kith_sdp::SessionDescription,
    Vec<kith_sdp::NegotiatedSection>,
) {
    answer(offer, &local(), &usual_decisions(offer)).unwrap()
}

#[test]
fn a_decision_against_the_clients_direction_is_idle() {
    let offer = parse(CHROMIUM);
    let mut decisions = usual_decisions(&offer);
    decisions[1] = SectionDecision::Send(send_video(1));
    decisions[3] = SectionDecision::Receive(receive_audio());
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    for index in [1, 3] {
        assert_eq!(sections[index].direction, Direction::Inactive);
        let lines = section_lines(&answer, index);
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("a=ssrc") || line.starts_with("a=msid")),
            "{lines:?}"
        );
    }
}

#[test]
fn only_one_bundled_multiplexed_transport_is_taken() {
    // Outside the group.
    let offer = parse(&CHROMIUM.replace("a=group:BUNDLE 0 1 2 3 4", "a=group:BUNDLE 0 1 2 3"));
    let (answer, sections) = answer_to(&offer);
    assert!(sections[4].rejected);
    assert_eq!(answer.bundle_groups(), [["0", "1", "2", "3"]]);
    // No group: the first section only.
    let offer = parse(&CHROMIUM.replace("a=group:BUNDLE 0 1 2 3 4\r\n", ""));
    let (answer, sections) = answer_to(&offer);
    assert_eq!(
        sections
            .iter()
            .map(|section| section.rejected)
            .collect::<Vec<_>>(),
        [false, true, true, true, true]
    );
    assert!(answer.bundle_groups().is_empty());
    // RTCP on a port of its own, plain RTP, unknown media, the data channels of 2014.
    for (from, to, index) in [
        ("a=rtcp-mux\r\n", "", 0),
        (
            "m=audio 51243 UDP/TLS/RTP/SAVPF",
            "m=audio 51243 RTP/AVP",
            0,
        ),
        (
            "m=audio 51243 UDP/TLS/RTP/SAVPF",
            "m=text 51243 UDP/TLS/RTP/SAVPF",
            0,
        ),
        ("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000", 4),
    ] {
        let offer = parse(&CHROMIUM.replacen(from, to, 1));
        let (_, sections) = answer_to(&offer);
        assert!(sections[index].rejected, "{from} → {to}");
        assert!(!sections[1].rejected);
    }
}

#[test]
fn the_dtls_role_follows_the_offer() {
    use Setup::{ActPass, Active, HoldConn, Passive};
    assert_eq!(answer_setup(ActPass, Passive), Ok(Passive));
    assert_eq!(answer_setup(ActPass, ActPass), Ok(Passive));
    assert_eq!(answer_setup(ActPass, Active), Ok(Active));
    assert_eq!(answer_setup(Active, Active), Ok(Passive));
    assert_eq!(answer_setup(Passive, Passive), Ok(Active));
    assert_eq!(
        answer_setup(HoldConn, Passive),
        Err(NegotiationError::SetupRole)
    );

    let offer = parse(JS_JOIN);
    let mut ours = local();
    ours.setup = Active;
    let (answer, _) = answer(&offer, &ours, &usual_decisions(&offer)).unwrap();
    assert_eq!(answer.as_str().matches("a=setup:active").count(), 7);
    assert_eq!(answer.as_str().matches("a=setup:").count(), 7);
}
