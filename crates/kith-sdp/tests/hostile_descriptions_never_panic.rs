//! Whatever bytes come, the answer is a value or an error, within the limits.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod common;

use common::{
    CHROMIUM_ANSWER, OFFERS, SUBSCRIBER_OFFER, local, parse, receive_audio, receive_video,
    send_audio, send_video,
};
use kith_sdp::{
    MAX_DESCRIPTION_BYTES, MAX_LINE_BYTES, MAX_LINES, MAX_LINES_PER_SECTION, MAX_SECTIONS,
    MediaKind, SdpError, SectionDecision, SessionDescription, accept_answer, answer,
};
use proptest::prelude::*;

const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

/// Everything that can be done with a description of a peer.
fn exercise(text: &str, choice: u64) {
    let Ok(description) = SessionDescription::parse(text) else {
        return;
    };
    let again =
        SessionDescription::parse(description.as_str()).expect("what was parsed can be parsed");
    assert_eq!(again, description);
    let _ = description.transport();
    let decisions: Vec<SectionDecision> = description
        .media()
        .iter()
        .enumerate()
        .map(
            |(index, section)| match (section.kind, (choice >> (index % 60)) % 5) {
                (MediaKind::Application, _) => SectionDecision::Data,
                (_, 0) => SectionDecision::Inactive,
                (MediaKind::Other, _) => SectionDecision::Reject,
                (MediaKind::Audio, 1) => SectionDecision::Receive(receive_audio()),
                (MediaKind::Audio, 2) => {
                    SectionDecision::SendReceive(receive_audio(), send_audio(index as u32))
                }
                (MediaKind::Audio, _) => SectionDecision::Send(send_audio(index as u32)),
                (MediaKind::Video, 1) => SectionDecision::Receive(receive_video()),
                (MediaKind::Video, 2) => {
                    SectionDecision::SendReceive(receive_video(), send_video(index as u32))
                }
                (MediaKind::Video, _) => SectionDecision::Send(send_video(index as u32)),
            },
        )
        .collect();
    if let Ok((answer, sections)) = answer(&description, &local(), &decisions) {
        assert_eq!(answer.media().len(), description.media().len());
        assert_eq!(sections.len(), description.media().len());
        let _ = accept_answer(&description, &answer);
    }
    let _ = accept_answer(&parse(SUBSCRIBER_OFFER), &description);
}

proptest! {
    #[test]
    fn random_text(text in "\\PC{0,400}", choice: u64) {
        exercise(&text, choice);
    }

    #[test]
    fn random_lines(
        lines in proptest::collection::vec(("[a-z]", "[ -~]{0,60}"), 0..40),
        choice: u64,
    ) {
        let mut text = HEAD.to_owned();
        for (key, value) in lines {
            text.push_str(&format!("{key}={value}\r\n"));
        }
        exercise(&text, choice);
    }

    #[test]
    fn random_attributes_of_known_names(
        lines in proptest::collection::vec((0usize..NAMES.len(), "[ -~]{0,40}"), 0..60),
        media in "(audio|video|application|text) [0-9]{1,5} (UDP/TLS/RTP/SAVPF|UDP/DTLS/SCTP) [0-9 ]{1,30}",
        choice: u64,
    ) {
        let mut text = format!("{HEAD}a=group:BUNDLE 0\r\nm={media}\r\na=mid:0\r\na=rtcp-mux\r\n");
        for (name, value) in lines {
            text.push_str(&format!("a={}{value}\r\n", NAMES[name]));
        }
        exercise(&text, choice);
    }

    #[test]
    fn mutated_fixtures(
        fixture in 0usize..OFFERS.len() + 1,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..5, any::<prop::sample::Index>(), "[ -~\r\n]{0,6}"), 1..8),
        choice: u64,
    ) {
        let text = OFFERS.get(fixture).map_or(CHROMIUM_ANSWER, |(_, text)| text);
        let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        for (at, kind, other, insert) in edits {
            let at = at.index(lines.len());
            let other = other.index(lines.len());
            match kind {
                0 => { lines.remove(at); if lines.is_empty() { break; } }
                1 => lines.swap(at, other),
                2 => { let line = lines[other].clone(); lines.insert(at, line); }
                3 => { let cut = lines[at].len() / 2; lines[at].truncate(cut); }
                _ => { let middle = lines[at].len() / 2; lines[at].insert_str(middle, &insert); }
            }
        }
        exercise(&lines.join("\r\n"), choice);
    }
}

const NAMES: [&str; 30] = [
    "rtpmap:",
    "fmtp:",
    "rtcp-fb:",
    "rtcp-fb:* ",
    "extmap:",
    "extmap:1 ",
    "rid:",
    "rid:a ",
    "simulcast:",
    "simulcast:send ",
    "ssrc:",
    "ssrc:1 msid:",
    "ssrc-group:",
    "ssrc-group:SIM ",
    "ssrc-group:FID ",
    "msid:",
    "mid:",
    "candidate:",
    "fingerprint:",
    "fingerprint:sha-256 ",
    "setup:",
    "ice-ufrag:",
    "ice-pwd:",
    "sctp-port:",
    "max-message-size:",
    "group:BUNDLE ",
    "sendonly",
    "recvonly",
    "rtpmap:96 ",
    "fmtp:96 ",
];

#[test]
fn each_limit_has_its_error() {
    let parse = SessionDescription::parse;
    let long = "x".repeat(MAX_DESCRIPTION_BYTES + 1);
    assert!(matches!(parse(&long), Err(SdpError::TooLong { .. })));
    let wide = format!("{HEAD}a=x:{}\r\n", "y".repeat(MAX_LINE_BYTES));
    assert!(matches!(
        parse(&wide),
        Err(SdpError::LineTooLong { line: 5, .. })
    ));
    let many_sections = format!("{HEAD}{}", "m=audio 9 x 0\r\n".repeat(MAX_SECTIONS + 1));
    assert!(matches!(
        parse(&many_sections),
        Err(SdpError::TooManySections { .. })
    ));
    let many_attributes = format!(
        "{HEAD}m=audio 9 x 0\r\n{}",
        "a=x\r\n".repeat(MAX_LINES_PER_SECTION)
    );
    assert!(matches!(
        parse(&many_attributes),
        Err(SdpError::TooManyLinesInSection { .. })
    ));
    let section = format!(
        "m=audio 9 x 0\r\n{}",
        "a=x\r\n".repeat(MAX_LINES_PER_SECTION - 1)
    );
    let many_lines = format!(
        "{HEAD}{}",
        section.repeat(MAX_LINES / MAX_LINES_PER_SECTION)
    );
    assert!(matches!(
        parse(&many_lines),
        Err(SdpError::TooManyLines { .. })
    ));
    let doubled = format!("{HEAD}m=audio 9 x 0\r\na=mid:0\r\nm=audio 9 x 0\r\na=mid:0\r\n");
    assert!(matches!(
        parse(&doubled),
        Err(SdpError::DuplicateMid { .. })
    ));
    let spaced = format!("{HEAD}m=audio 9 x 0\r\na=mid:a b\r\n");
    assert!(matches!(parse(&spaced), Err(SdpError::BadMid { index: 0 })));
    assert!(matches!(parse("hello"), Err(SdpError::Syntax(_))));
    assert!(matches!(parse(""), Err(SdpError::Syntax(_))));
}

#[test]
fn lists_of_the_view_are_bounded() {
    let mut text =
        format!("{HEAD}a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n");
    for number in 0..200 {
        text.push_str(&format!(
            "a=candidate:{number} 1 udp 1 192.0.2.1 {number} typ host\r\n"
        ));
        text.push_str(&format!(
            "a=ssrc:{number} cname:c\r\na=ssrc-group:FID {number} 1\r\na=rid:r{number} send\r\n"
        ));
    }
    let description = parse(&text);
    let section = &description.media()[0];
    for length in [
        section.candidates.len(),
        section.ssrcs.len(),
        section.ssrc_groups.len(),
        section.rids.len(),
    ] {
        assert_eq!(length, 64);
    }
}

#[test]
fn malformed_transports_are_told_apart() {
    use kith_sdp::TransportError::{NoFingerprint, NoIceCredentials};
    let join = common::JS_JOIN;
    assert_eq!(
        parse(&join.replace("a=ice-ufrag:XLH3", "a=ice-ufrag:X")).transport(),
        Err(NoIceCredentials)
    );
    assert_eq!(
        parse(&join.replace("a=ice-ufrag:XLH3", "a=ice-ufrag:XLH3:b")).transport(),
        Err(NoIceCredentials)
    );
    assert_eq!(
        parse(&join.replace("fingerprint:sha-256", "fingerprint:sha-1")).transport(),
        Err(NoFingerprint)
    );
    assert_eq!(
        parse(&join.replace("fingerprint:sha-256 C5:", "fingerprint:sha-256 ")).transport(),
        Err(NoFingerprint)
    );
}
