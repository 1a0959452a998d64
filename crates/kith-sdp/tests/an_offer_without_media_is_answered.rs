//! livekit-client 2.16 opens a single peer connection with no section at all, 2.17 with data channels only.

mod common;

use common::{APPLICATION_ONLY, NO_MEDIA, local, parse};
use kith_sdp::{Direction, MediaKind, NegotiationError, SectionDecision, Setup, answer};

#[test]
fn an_offer_of_no_sections_gets_an_answer_of_no_sections() {
    assert_eq!(NO_MEDIA.len(), 105);
    let offer = parse(NO_MEDIA);
    assert_eq!(offer.transport(), Ok(None));
    let (answer, sections) = answer(&offer, &local(), &[]).unwrap();
    assert!(sections.is_empty());
    assert_eq!(
        answer.as_str(),
        "v=0\r\no=- 4611 7 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=ice-options:trickle\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic:WMS *\r\n"
    );
}

#[test]
fn an_offer_of_data_channels_only_gets_the_transport() {
    let offer = parse(APPLICATION_ONLY);
    assert_eq!(offer.transport().unwrap().unwrap().ufrag, "twIs");
    let (answer, sections) = answer(&offer, &local(), &[SectionDecision::Data]).unwrap();
    assert_eq!(
        (sections[0].kind, sections[0].direction),
        (MediaKind::Application, Direction::SendRecv)
    );
    assert!(!sections[0].rejected);
    let ours = answer.transport().unwrap().unwrap();
    assert_eq!(
        (ours.setup, ours.ice_lite, ours.candidates.len()),
        (Setup::Passive, true, 1)
    );
    assert_eq!(
        (ours.sctp_port, ours.max_message_size),
        (Some(5000), Some(65_536))
    );
    assert_eq!(answer.bundle_groups(), [["0"]]);
}

#[test]
fn decisions_must_fit_the_sections_in_number_and_kind() {
    let offer = parse(APPLICATION_ONLY);
    assert_eq!(
        answer(&offer, &local(), &[]).unwrap_err(),
        NegotiationError::DecisionCount {
            sections: 1,
            decisions: 0
        }
    );
    assert_eq!(
        answer(
            &offer,
            &local(),
            &[SectionDecision::Receive(common::receive_audio())]
        )
        .unwrap_err(),
        NegotiationError::DecisionKind { index: 0 }
    );
}
