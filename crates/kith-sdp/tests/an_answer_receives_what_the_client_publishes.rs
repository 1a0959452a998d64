//! Sections in which the client sends: simulcast, header extensions, audio wishes, legacy sources.

mod common;

use common::{
    CHROMIUM, FIREFOX, JS_JOIN, REPAIRED_RID, RID, lines_with, local, parse, receive_audio,
    receive_video, section_lines, send_audio, usual_decisions,
};
use kith_sdp::{
    AudioTweaks, DEPENDENCY_DESCRIPTOR, Direction, Feedback, PeerEncoding, SectionDecision, answer,
};

#[test]
fn chromiums_simulcast_is_received_by_rid() {
    let offer = parse(CHROMIUM);
    let (answer, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    let lines = section_lines(&answer, 1);
    assert_eq!(
        lines_with(
            &lines,
            &[
                "m=",
                "a=recvonly",
                "a=rid",
                "a=simulcast",
                "a=ssrc",
                "a=msid"
            ]
        ),
        [
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 108 109 114 115 116 117 39 40 98 99 100 101 45 46",
            "a=recvonly",
            "a=rid:q recv",
            "a=rid:h recv",
            "a=rid:f recv",
            "a=simulcast:recv q;h;f",
        ]
    );
    let video = &sections[1];
    assert_eq!(video.rids, ["q", "h", "f"]);
    let encodings: Vec<_> = video
        .encodings
        .iter()
        .map(|encoding| encoding.rid.as_deref())
        .collect();
    assert_eq!(encodings, [Some("q"), Some("h"), Some("f")]);
    assert_eq!(
        video.msid.as_ref().unwrap().track,
        "ad150e89-d177-457b-9693-c2e92d22049d"
    );
    assert_eq!(
        video
            .receive_extensions()
            .map(|(id, _)| id)
            .collect::<Vec<_>>(),
        [3, 4, 10, 11, 12]
    );
    let audio = &sections[0];
    let codecs: Vec<_> = audio
        .codecs
        .iter()
        .map(|codec| (codec.payload_type, codec.mime.as_str()))
        .collect();
    assert_eq!(
        codecs,
        [
            (63, "audio/red"),
            (111, "audio/opus"),
            (0, "audio/PCMU"),
            (8, "audio/PCMA")
        ]
    );
    assert_eq!(
        audio.encodings,
        [PeerEncoding {
            rid: None,
            ssrc: Some(176_518_713),
            rtx_ssrc: None
        }]
    );
}

#[test]
fn firefoxes_simulcast_is_received_with_its_one_way_extensions() {
    let offer = parse(FIREFOX);
    let (answer, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    let lines = section_lines(&answer, 1);
    assert_eq!(
        lines_with(
            &lines,
            &[
                "a=extmap:8",
                "a=extmap:9",
                "a=extmap:10",
                "a=extmap:6",
                "a=extmap-allow-mixed"
            ]
        ),
        [
            "a=extmap:6/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
                .to_owned(),
            format!("a=extmap:8/recvonly {DEPENDENCY_DESCRIPTOR}"),
            format!("a=extmap:9/recvonly {RID}"),
            format!("a=extmap:10/recvonly {REPAIRED_RID}"),
            "a=extmap-allow-mixed".to_owned(),
        ]
    );
    let video = &sections[1];
    assert_eq!(video.rids, ["q", "h", "f"]);
    assert!(
        video
            .encodings
            .iter()
            .all(|encoding| encoding.ssrc.is_none()),
        "packets tell the sources"
    );
    assert_eq!(video.ssrc_groups.len(), 3, "but what was said is handed on");

    let received = &sections[2];
    assert_eq!(
        received.direction,
        Direction::SendOnly,
        "bundle-only with port 0 is no rejection"
    );
    assert!(
        !received
            .send_extensions()
            .any(|(_, uri)| uri == DEPENDENCY_DESCRIPTOR),
        "Firefox only sends the dependency descriptor, it does not read it"
    );
    assert!(section_lines(&answer, 2)[0].starts_with("m=video 9 "));
}

#[test]
fn without_simulcast_or_without_rids_on_packets_one_layer_comes() {
    let offer = parse(CHROMIUM);
    let mut no_simulcast = receive_video();
    no_simulcast.simulcast = false;
    let without_extension = parse(&CHROMIUM.replace(&format!("a=extmap:10 {RID}\r\n"), ""));
    for (offer, policy) in [(offer, no_simulcast), (without_extension, receive_video())] {
        let mut decisions = usual_decisions(&offer);
        decisions[1] = SectionDecision::Receive(policy);
        let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
        assert_eq!(
            lines_with(&section_lines(&answer, 1), &["a=rid", "a=simulcast"]),
            [""; 0]
        );
        assert_eq!(sections[1].encodings, [PeerEncoding::default()]);
    }
}

#[test]
fn no_more_layers_are_taken_than_there_are_qualities() {
    let offer = parse(&CHROMIUM.replace(
        "a=rid:f send\r\na=simulcast:send q;h;f\r\n",
        "a=rid:f send\r\na=rid:x send\r\na=simulcast:send q;h;f;x\r\n",
    ));
    let (answer, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    assert_eq!(sections[1].rids, ["q", "h", "f"]);
    assert!(section_lines(&answer, 1).contains(&"a=simulcast:recv q;h;f".to_owned()));
}

#[test]
fn legacy_simulcast_has_its_layers_from_the_sim_group() {
    let legacy = "a=ssrc-group:SIM 1 2 3\r\na=ssrc-group:FID 1 11\r\na=ssrc-group:FID 2 12\r\na=ssrc-group:FID 3 13\r\n\
         a=ssrc:1 cname:c\r\na=ssrc:11 cname:c\r\na=ssrc:2 cname:c\r\na=ssrc:12 cname:c\r\na=ssrc:3 cname:c\r\n\
         a=ssrc:13 cname:c\r\n";
    let rids = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
    let offer = parse(&CHROMIUM.replace(rids, legacy));
    let (_, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    let layers: Vec<_> = sections[1]
        .encodings
        .iter()
        .map(|layer| (layer.ssrc, layer.rtx_ssrc))
        .collect();
    assert_eq!(
        layers,
        [
            (Some(1), Some(11)),
            (Some(2), Some(12)),
            (Some(3), Some(13))
        ]
    );

    // A single source with retransmissions, the repair listed first.
    let single = "a=ssrc-group:FID 1 11\r\na=ssrc:11 cname:c\r\na=ssrc:1 cname:c\r\n";
    let offer = parse(&CHROMIUM.replace(rids, single));
    let (_, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    assert_eq!(
        sections[1].encodings,
        [PeerEncoding {
            rid: None,
            ssrc: Some(1),
            rtx_ssrc: Some(11)
        }]
    );
}

#[test]
fn audio_is_asked_for_as_the_track_wants_it() {
    let stereo_offer = CHROMIUM.replace(
        "minptime=10;useinbandfec=1",
        "minptime=10;useinbandfec=1;stereo=1",
    );
    for (tweaks, red, formats, fmtp) in [
        (
            AudioTweaks::default(),
            true,
            "63 111",
            "minptime=10;useinbandfec=1",
        ),
        (
            AudioTweaks {
                usedtx: true,
                ..AudioTweaks::default()
            },
            false,
            "111",
            "minptime=10;useinbandfec=1;usedtx=1",
        ),
        (
            AudioTweaks {
                stereo: true,
                usedtx: false,
                max_average_bitrate: Some(510_000),
            },
            false,
            "111",
            "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000",
        ),
    ] {
        let offer = parse(&stereo_offer);
        let mut policy = receive_audio();
        policy.audio = tweaks;
        policy.codecs = common::codecs(if red {
            &["audio/red", "audio/opus"]
        } else {
            &["audio/opus"]
        });
        let mut decisions = usual_decisions(&offer);
        decisions[0] = SectionDecision::Receive(policy);
        let (answer, _) = answer(&offer, &local(), &decisions).unwrap();
        let lines = section_lines(&answer, 0);
        assert_eq!(lines[0], format!("m=audio 9 UDP/TLS/RTP/SAVPF {formats}"));
        assert!(lines.contains(&format!("a=fmtp:111 {fmtp}")), "{lines:?}");
    }
}

#[test]
fn sections_that_we_do_not_receive_in_repeat_what_we_ask_for() {
    // One payload type means one thing in a bundle (RFC 9143 section 9.1).
    let published = JS_JOIN.replacen("a=recvonly", "a=sendonly", 1);
    let offer = parse(&published);
    let mut decisions = usual_decisions(&offer);
    decisions[1] = SectionDecision::Send(send_audio(5));
    let (answer, _) = answer(&offer, &local(), &decisions).unwrap();
    for index in 0..3 {
        let lines = section_lines(&answer, index);
        assert_eq!(
            lines_with(&lines, &["a=fmtp:111"]),
            ["a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1"]
        );
    }
}

#[test]
fn a_section_may_carry_media_both_ways() {
    let both = CHROMIUM.replacen("a=sendonly", "a=sendrecv", 1);
    let offer = parse(&both);
    let mut decisions = usual_decisions(&offer);
    decisions[0] = SectionDecision::SendReceive(receive_audio(), send_audio(9));
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    let lines = section_lines(&answer, 0);
    assert_eq!(
        lines[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "what both halves have"
    );
    assert_eq!(
        lines_with(&lines, &["a=sendrecv", "a=msid", "a=ssrc"]),
        [
            "a=sendrecv",
            "a=msid:PA_a|TR_9 TR_9",
            "a=ssrc:1009 cname:PA_a",
            "a=ssrc:1009 msid:PA_a|TR_9 TR_9"
        ]
    );
    assert_eq!(sections[0].encodings.len(), 1);
    assert_eq!(sections[0].direction, Direction::SendRecv);
    assert_eq!(
        sections[0].codecs[0].feedback,
        Feedback {
            transport_cc: true,
            ..Feedback::NONE
        },
        "as offered"
    );
}

#[test]
fn a_publication_that_ended_is_answered_inactive() {
    let ended = CHROMIUM.replacen("a=sendonly", "a=inactive", 1);
    let offer = parse(&ended);
    let mut decisions = usual_decisions(&offer);
    decisions[0] = SectionDecision::Receive(receive_audio());
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    assert!(section_lines(&answer, 0).contains(&"a=inactive".to_owned()));
    assert_eq!(
        (sections[0].direction, sections[0].rejected),
        (Direction::Inactive, false)
    );
    assert!(sections[0].codecs.is_empty() && sections[0].encodings.is_empty());
}
