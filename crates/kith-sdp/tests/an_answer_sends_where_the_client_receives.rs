//! Single peer connection: the client's receive-only sections become ours to send in.

mod common;

use common::{
    ABS_SEND_TIME, JS_JOIN, MID, NODE_JOIN, PYTHON_JOIN, TRANSPORT_CC, lines_with, local, parse,
    section_lines, send_audio, send_video, usual_decisions,
};
use kith_sdp::{CodecPreference, Direction, Feedback, SectionDecision, answer};

#[test]
fn the_answer_to_a_join_line_by_line() {
    let offer = parse(JS_JOIN);
    let (answer, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    let text = answer.to_string();
    let session: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("m="))
        .collect();
    assert_eq!(
        session,
        [
            "v=0",
            "o=- 4611 7 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0 1 2 3 4 5 6",
            "a=ice-lite",
            "a=ice-options:trickle",
            "a=extmap-allow-mixed",
            "a=msid-semantic:WMS *",
        ]
    );
    let fingerprint = format!("a=fingerprint:{}", local().fingerprint);
    assert_eq!(
        section_lines(&answer, 0),
        [
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "c=IN IP4 0.0.0.0",
            "a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host",
            "a=ice-ufrag:kithUfrag",
            "a=ice-pwd:kithPasswordOf24Chars+/0",
            &fingerprint,
            "a=setup:passive",
            "a=mid:0",
            "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            &format!("a=extmap:2 {ABS_SEND_TIME}"),
            &format!("a=extmap:3 {TRANSPORT_CC}"),
            &format!("a=extmap:4 {MID}"),
            "a=sendonly",
            "a=msid:PA_a|TR_1 TR_1",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            "a=rtpmap:111 opus/48000/2",
            "a=rtcp-fb:111 transport-cc",
            "a=fmtp:111 minptime=10;useinbandfec=1",
            "a=ssrc:1001 cname:PA_a",
            "a=ssrc:1001 msid:PA_a|TR_1 TR_1",
        ]
    );
    let video = section_lines(&answer, 3);
    assert_eq!(video[0], "m=video 9 UDP/TLS/RTP/SAVPF 96 97");
    assert_eq!(
        lines_with(
            &video,
            &[
                "a=sendonly",
                "a=msid",
                "a=rtpmap",
                "a=rtcp-fb",
                "a=fmtp",
                "a=ssrc",
                "a=rid"
            ]
        ),
        [
            "a=sendonly",
            "a=msid:PA_a|TR_2 TR_2",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 goog-remb",
            "a=rtcp-fb:96 transport-cc",
            "a=rtcp-fb:96 ccm fir",
            "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96",
            "a=ssrc-group:FID 1002 2002",
            "a=ssrc:1002 cname:PA_a",
            "a=ssrc:1002 msid:PA_a|TR_2 TR_2",
            "a=ssrc:2002 cname:PA_a",
            "a=ssrc:2002 msid:PA_a|TR_2 TR_2",
        ]
    );
    for index in [1, 2, 4, 5] {
        let lines = section_lines(&answer, index);
        assert_eq!(
            lines_with(&lines, &["a=inactive", "a=msid", "a=ssrc", "a=candidate"]),
            ["a=inactive"]
        );
    }
    assert_eq!(
        section_lines(&answer, 6),
        [
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            "a=ice-ufrag:kithUfrag",
            "a=ice-pwd:kithPasswordOf24Chars+/0",
            &fingerprint,
            "a=setup:passive",
            "a=mid:6",
            "a=sctp-port:5000",
            "a=max-message-size:65536",
        ]
    );

    let directions: Vec<Direction> = sections.iter().map(|section| section.direction).collect();
    use Direction::{Inactive, SendOnly, SendRecv};
    assert_eq!(
        directions,
        [
            SendOnly, Inactive, Inactive, SendOnly, Inactive, Inactive, SendRecv
        ]
    );
    let video = &sections[3];
    assert_eq!((video.mid.as_str(), video.codecs.len()), ("3", 1));
    let vp8 = &video.codecs[0];
    assert_eq!(
        (vp8.payload_type, vp8.rtx, vp8.mime.as_str(), vp8.feedback),
        (96, Some(97), "video/VP8", Feedback::ALL)
    );
    let extensions: Vec<u8> = video.send_extensions().map(|(id, _)| id).collect();
    assert_eq!(extensions, [3, 4, 12], "only what the sender may write");
    assert!(video.receive_extensions().next().is_none() && video.encodings.is_empty());
}

#[test]
fn a_variant_of_a_codec_is_chosen_by_its_parameters() {
    let offer = parse(JS_JOIN);
    let mut decisions = usual_decisions(&offer);
    let mut sender = send_video(2);
    sender.codecs = vec![
        CodecPreference::variant("video/h264", "packetization-mode=1;profile-level-id=42e034"),
        CodecPreference::variant("video/VP9", "profile-id=2"),
    ];
    decisions[3] = SectionDecision::Send(sender);
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    let lines = section_lines(&answer, 3);
    assert_eq!(lines[0], "m=video 9 UDP/TLS/RTP/SAVPF 108 109 100 101");
    assert!(
        lines.contains(
            &"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
                .to_owned()
        ),
        "the offer's own parameters are repeated: {lines:?}"
    );
    assert_eq!(sections[3].codecs[0].mime, "video/H264");
}

#[test]
fn the_payload_types_of_other_clients_are_theirs() {
    for text in [PYTHON_JOIN, NODE_JOIN] {
        let offer = parse(text);
        let mut decisions = usual_decisions(&offer);
        let mut sender = send_video(2);
        sender.codecs = vec![CodecPreference::variant(
            "video/H264",
            "packetization-mode=1;profile-level-id=42e01f",
        )];
        decisions[3] = SectionDecision::Send(sender);
        let (_, sections) = answer(&offer, &local(), &decisions).unwrap();
        let codec = &sections[3].codecs[0];
        assert_eq!((codec.payload_type, codec.rtx), (109, Some(114)));
    }
}

#[test]
fn red_is_only_sent_together_with_its_opus() {
    let offer = parse(JS_JOIN);
    let mut decisions = usual_decisions(&offer);
    let mut sender = send_audio(1);
    sender.codecs = common::codecs(&["audio/red", "audio/opus"]);
    decisions[0] = SectionDecision::Send(sender.clone());
    sender.codecs = common::codecs(&["audio/red"]);
    decisions[1] = SectionDecision::Send(sender);
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    assert_eq!(
        section_lines(&answer, 0)[0],
        "m=audio 9 UDP/TLS/RTP/SAVPF 63 111"
    );
    assert_eq!(
        (sections[1].direction, sections[1].codecs.len()),
        (Direction::Inactive, 0)
    );
}

#[test]
fn names_from_clients_cannot_break_out_of_their_line() {
    let offer = parse(JS_JOIN);
    let mut decisions = usual_decisions(&offer);
    let mut sender = send_audio(1);
    sender.stream_id = "PA_a|my camera\r\na=ice-ufrag:evil".to_owned();
    decisions[0] = SectionDecision::Send(sender);
    let (answer, _) = answer(&offer, &local(), &decisions).unwrap();
    assert_eq!(
        answer.media()[0].msids[0].stream,
        "PA_a|my_camera__a=ice-ufrag:evil".replace([':', '='], "_")
    );
    assert_eq!(answer.transport().unwrap().unwrap().ufrag, "kithUfrag");
}
