//! A client offers header extensions and feedback no more that an answer left out (RFC 9429 section 5.2.2). Chromium
//! 156 even builds sections added later from what the first section of their kind has: when the placeholders of a join
//! were answered without rid, publishing simulcast failed in the client's own `setLocalDescription`.

mod common;

use common::{
    ABS_SEND_TIME, AUDIO_LEVEL, JS_JOIN, MID, PLAYOUT_DELAY, REPAIRED_RID, RID, TRANSPORT_CC,
    local, parse, receive_video, usual_decisions,
};
use kith_sdp::{DEPENDENCY_DESCRIPTOR, Feedback, SectionDecision, answer};

#[test]
fn every_live_section_takes_every_known_extension() {
    let offer = parse(JS_JOIN);
    let (answer, sections) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    for (index, section) in answer.media().iter().enumerate().take(6) {
        let taken: Vec<&str> = section
            .extensions
            .iter()
            .map(|extension| extension.uri.as_str())
            .collect();
        let expected: &[&str] = if index < 3 {
            &[AUDIO_LEVEL, ABS_SEND_TIME, TRANSPORT_CC, MID]
        } else {
            &[
                ABS_SEND_TIME,
                "urn:3gpp:video-orientation",
                TRANSPORT_CC,
                PLAYOUT_DELAY,
                MID,
                RID,
                REPAIRED_RID,
                DEPENDENCY_DESCRIPTOR,
            ]
        };
        assert_eq!(taken, expected, "section {index}");
    }
    assert!(
        sections[1].extensions.is_empty(),
        "but nothing is negotiated where nothing flows"
    );
}

#[test]
fn an_inactive_section_keeps_its_feedback() {
    let offer = parse(JS_JOIN);
    let (answer, _) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    let idle = &answer.media()[4].codecs;
    assert_eq!(
        (idle[0].name.as_str(), idle[0].feedback, idle[0].rtx),
        ("VP8", Feedback::ALL, Some(97))
    );
}

#[test]
fn an_extension_that_kith_does_not_know_can_still_be_asked_for() {
    const COLOR_SPACE: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";
    let offer = parse(&JS_JOIN.replace("a=recvonly", "a=sendonly"));
    let mut decisions = usual_decisions(&offer);
    let mut policy = receive_video();
    policy.extensions.push(COLOR_SPACE.to_owned());
    decisions[3] = SectionDecision::Receive(policy);
    let (answer, sections) = answer(&offer, &local(), &decisions).unwrap();
    assert!(
        sections[3]
            .receive_extensions()
            .any(|extension| extension == (8, COLOR_SPACE))
    );
    assert!(
        !answer.media()[4]
            .extensions
            .iter()
            .any(|extension| extension.uri == COLOR_SPACE)
    );
}

#[test]
fn one_id_has_one_meaning_and_one_extension_one_id() {
    // Section 4 gives id 4 another meaning, section 5 gives the mid extension another id.
    let mid_line = format!("a=extmap:4 {MID}\r\n");
    let mut parts = JS_JOIN.split(&mid_line);
    let mut text = String::new();
    for index in 0..6 {
        text.push_str(parts.next().unwrap());
        text.push_str(&match index {
            4 => format!("a=extmap:4 {AUDIO_LEVEL}\r\n"),
            5 => format!("a=extmap:9 {MID}\r\n"),
            _ => mid_line.clone(),
        });
    }
    text.push_str(parts.next().unwrap());
    let offer = parse(&text);
    let (answer, _) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    let has = |index: usize, uri: &str| {
        answer.media()[index]
            .extensions
            .iter()
            .any(|extension| extension.uri == uri)
    };
    assert!(has(3, MID) && !has(4, MID) && !has(4, AUDIO_LEVEL) && !has(5, MID));
}

#[test]
fn two_byte_ids_need_the_clients_word() {
    let high = JS_JOIN.replace("a=extmap:12 ", "a=extmap:16 ");
    let (mixed, plain) = (
        parse(&high),
        parse(&high.replace("a=extmap-allow-mixed\r\n", "")),
    );
    for (offer, taken) in [(mixed, true), (plain, false)] {
        let (answer, _) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
        assert_eq!(
            answer.media()[3]
                .extensions
                .iter()
                .any(|extension| extension.id == 16),
            taken
        );
        assert_eq!(answer.extmap_allow_mixed(), taken);
    }
}
