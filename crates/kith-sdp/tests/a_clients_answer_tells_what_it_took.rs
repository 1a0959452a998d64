//! Reading answers to our own offers. The answer is Chromium 156's to the offer next to it.

mod common;

use common::{CHROMIUM_ANSWER, SUBSCRIBER_OFFER, parse};
use kith_sdp::{Direction, Feedback, MediaKind, NegotiationError, Setup, accept_answer};

#[test]
fn chromium_takes_what_it_can_decode() {
    let (offer, answer) = (parse(SUBSCRIBER_OFFER), parse(CHROMIUM_ANSWER));
    let sections = accept_answer(&offer, &answer).unwrap();
    let summary: Vec<_> = sections
        .iter()
        .map(|section| (section.mid.as_str(), section.kind, section.direction))
        .collect();
    assert_eq!(
        summary,
        [
            ("0", MediaKind::Application, Direction::SendRecv),
            ("1", MediaKind::Audio, Direction::SendOnly),
            ("2", MediaKind::Audio, Direction::SendOnly),
            ("3", MediaKind::Video, Direction::SendOnly),
            ("4", MediaKind::Video, Direction::Inactive),
            ("5", MediaKind::Video, Direction::SendOnly),
        ]
    );
    let audio: Vec<_> = sections[1]
        .codecs
        .iter()
        .map(|codec| (codec.payload_type, codec.mime.as_str()))
        .collect();
    assert_eq!(audio, [(63, "audio/red"), (111, "audio/opus")]);
    let video: Vec<_> = sections[5]
        .codecs
        .iter()
        .map(|codec| (codec.payload_type, codec.rtx))
        .collect();
    assert_eq!(
        video,
        [
            (96, Some(97)),
            (98, Some(99)),
            (100, Some(101)),
            (125, Some(126)),
            (108, Some(109)),
            (35, Some(36))
        ],
        "no H.264 High and no H.265 in this build"
    );
    assert_eq!(sections[5].codecs[0].feedback, Feedback::ALL);
    let ids: Vec<u8> = sections[5].send_extensions().map(|(id, _)| id).collect();
    assert_eq!(ids, [2, 13, 3, 5, 4, 9, 12]);
    assert!(
        sections[4].codecs.is_empty()
            && sections.iter().all(|section| section.encodings.is_empty())
    );

    let transport = answer.transport().unwrap().unwrap();
    assert_eq!(transport.setup, Setup::Active);
    assert_eq!(transport.max_message_size, Some(65_536));
}

#[test]
fn rejected_and_refused_sections_carry_nothing() {
    let offer = parse(SUBSCRIBER_OFFER);
    let mut ports = 0;
    let rejected: String = CHROMIUM_ANSWER
        .split_inclusive("\r\n")
        .map(|line| {
            if line.starts_with("m=video") {
                ports += 1;
                return if ports == 1 {
                    line.replacen(" 9 ", " 0 ", 1)
                } else {
                    line.to_owned()
                };
            }
            line.to_owned()
        })
        .collect();
    let sections = accept_answer(&offer, &parse(&rejected)).unwrap();
    assert!(sections[3].rejected && sections[3].codecs.is_empty());
    assert_eq!(sections[3].direction, Direction::Inactive);
    assert!(!sections[4].rejected, "inactive is not rejected");

    let refused = CHROMIUM_ANSWER.replace("a=recvonly", "a=inactive");
    let sections = accept_answer(&offer, &parse(&refused)).unwrap();
    assert!(
        sections[1..]
            .iter()
            .all(|section| section.direction == Direction::Inactive && !section.rejected)
    );
}

#[test]
fn what_was_not_offered_is_not_taken() {
    let offer = parse(SUBSCRIBER_OFFER);
    let swapped = CHROMIUM_ANSWER
        .replace("a=rtpmap:96 VP8/90000", "a=rtpmap:96 exotic/90000")
        .replace("a=extmap:12 ", "a=extmap:14 ")
        .replace("profile-level-id=42e01f", "profile-level-id=4d001f");
    let sections = accept_answer(&offer, &parse(&swapped)).unwrap();
    let video = &sections[5];
    assert!(!video.codecs.iter().any(|codec| codec.payload_type == 96));
    assert!(!video.codecs.iter().any(|codec| codec.payload_type == 108));
    assert!(
        !video
            .extensions
            .iter()
            .any(|extension| extension.id == 14 || extension.id == 12)
    );
    assert_eq!(video.codecs[0].payload_type, 98);
}

#[test]
fn a_client_may_number_its_own_payload_types() {
    let offer = parse(SUBSCRIBER_OFFER);
    let renumbered = CHROMIUM_ANSWER
        .replace("SAVPF 96 97 ", "SAVPF 112 97 ")
        .replace("a=rtpmap:96 ", "a=rtpmap:112 ")
        .replace("a=rtcp-fb:96 ", "a=rtcp-fb:112 ")
        .replace("apt=96", "apt=112");
    let sections = accept_answer(&offer, &parse(&renumbered)).unwrap();
    let codec = &sections[5].codecs[0];
    assert_eq!(
        (codec.payload_type, codec.rtx, codec.mime.as_str()),
        (112, Some(97), "video/VP8")
    );
}

#[test]
fn another_shape_than_the_offers_is_an_error() {
    let offer = parse(SUBSCRIBER_OFFER);
    let (head, _) = CHROMIUM_ANSWER.rsplit_once("m=video").unwrap();
    assert_eq!(
        accept_answer(&offer, &parse(head)).unwrap_err(),
        NegotiationError::SectionCount {
            offered: 6,
            answered: 5
        }
    );
    let other_mid = CHROMIUM_ANSWER.replace("a=mid:3\r\n", "a=mid:7\r\n");
    assert_eq!(
        accept_answer(&offer, &parse(&other_mid)).unwrap_err(),
        NegotiationError::SectionMismatch { index: 3 }
    );
    let undecided = CHROMIUM_ANSWER.replace("a=setup:active", "a=setup:actpass");
    assert_eq!(
        accept_answer(&offer, &parse(&undecided)).unwrap_err(),
        NegotiationError::SetupRole
    );
}
