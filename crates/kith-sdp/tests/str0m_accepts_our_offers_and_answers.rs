//! str0m, which shares no code with this crate, takes what we write and is understood in what it writes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Instant;

use common::{local, parse, send_audio, send_video, usual_decisions};
use kith_sdp::{
    Direction, MediaKind, NegotiatedSection, OfferPlan, SectionDecision, SessionDescription, Setup,
    accept_answer, answer, offer, offerer_setup,
};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{MediaKind as PeerKind, Simulcast, SimulcastLayer};
use str0m::{Candidate, Rtc};

fn peer() -> Rtc {
    let mut rtc = Rtc::builder().build(Instant::now());
    let address = "192.0.2.7:4000".parse().unwrap();
    rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
    rtc
}

/// Answers str0m's offer as decided and gives the answer to it.
fn answer_peer(
    rtc: &mut Rtc,
    (offer, pending): (SdpOffer, SdpPendingOffer),
    decide: impl Fn(&SessionDescription) -> Vec<SectionDecision>,
) -> Vec<NegotiatedSection> {
    let offer = parse(&offer.to_sdp_string());
    let (answer, sections) = answer(&offer, &local(), &decide(&offer)).unwrap();
    let answer = SdpAnswer::from_sdp_string(answer.as_str()).unwrap();
    rtc.sdp_api().accept_answer(pending, answer).unwrap();
    sections
}

#[test]
fn a_publisher_and_then_a_subscriber_on_one_connection() {
    let mut rtc = peer();
    let mut changes = rtc.sdp_api();
    let audio = changes.add_media(
        PeerKind::Audio,
        str0m::media::Direction::SendOnly,
        None,
        Some("mic".into()),
        None,
    );
    let layers = ["q", "h", "f"].map(SimulcastLayer::new).to_vec();
    let simulcast = Simulcast {
        send: layers,
        recv: Vec::new(),
    };
    let video = changes.add_media(
        PeerKind::Video,
        str0m::media::Direction::SendOnly,
        None,
        Some("cam".into()),
        Some(simulcast),
    );
    let received = changes.add_media(
        PeerKind::Video,
        str0m::media::Direction::RecvOnly,
        None,
        None,
        None,
    );
    changes.add_channel("_reliable".to_owned());
    let first = changes.apply().unwrap();
    let sections = answer_peer(&mut rtc, first, |offer| {
        let mut decisions = usual_decisions(offer);
        for (decision, section) in decisions.iter_mut().zip(offer.media()) {
            if section.direction == Direction::RecvOnly {
                *decision = SectionDecision::Inactive;
            }
        }
        decisions
    });
    assert_eq!(sections[1].rids, ["q", "h", "f"]);
    assert_eq!(
        sections[1].msid.as_ref().map(|msid| msid.track.is_empty()),
        Some(false)
    );
    assert_eq!(
        rtc.media(audio).unwrap().direction(),
        str0m::media::Direction::SendOnly
    );
    let codecs = rtc.media(video).unwrap().remote_pts().len();
    assert!(codecs > 1, "str0m took {codecs} payload types");
    assert_eq!(
        rtc.media(received).unwrap().direction(),
        str0m::media::Direction::Inactive
    );

    // A track arrives for the idle section.
    let mut changes = rtc.sdp_api();
    changes.set_direction(received, str0m::media::Direction::RecvOnly);
    let second = changes.apply().unwrap();
    let sections = answer_peer(&mut rtc, second, usual_decisions);
    let sending = sections
        .iter()
        .find(|section| section.direction == Direction::SendOnly)
        .unwrap();
    assert_eq!(sending.mid, received.to_string());
    assert_eq!(
        rtc.media(received).unwrap().direction(),
        str0m::media::Direction::RecvOnly
    );
    let stream = rtc
        .direct_api()
        .stream_rx(&1002.into())
        .map(|stream| (stream.mid(), stream.rtx()));
    assert_eq!(
        stream,
        Some((received, Some(2002.into()))),
        "str0m knows the sources from our lines"
    );
}

#[test]
fn a_subscriber_of_our_offers_across_renegotiations() {
    let mut rtc = peer();
    let mut plan = OfferPlan::new(true);
    let mut ours = local();
    let mut exchange = |plan: &OfferPlan| {
        ours.session_version += 1;
        let offer = offer(&ours, plan.sections()).unwrap();
        let answer = rtc
            .sdp_api()
            .accept_offer(SdpOffer::from_sdp_string(offer.as_str()).unwrap())
            .unwrap();
        let answer = parse(&answer.to_sdp_string());
        // str0m would rather wait, browsers open.
        let role = offerer_setup(answer.transport().unwrap().unwrap().setup);
        assert_eq!(role, Ok(Setup::Active));
        accept_answer(&offer, &answer).unwrap()
    };
    let sections = exchange(&plan);
    assert_eq!(
        (sections.len(), sections[0].direction),
        (1, Direction::SendRecv)
    );

    let audio = plan.add(MediaKind::Audio, send_audio(1)).unwrap();
    let mut sender = send_video(2);
    sender.codecs.clear();
    plan.add(MediaKind::Video, sender).unwrap();
    let sections = exchange(&plan);
    assert_eq!(sections[1].codecs[0].mime, "audio/opus");
    assert_eq!(sections[1].direction, Direction::SendOnly);
    let video: Vec<_> = sections[2]
        .codecs
        .iter()
        .map(|codec| (codec.mime.as_str(), codec.rtx.is_some()))
        .collect();
    for mime in ["video/VP8", "video/VP9", "video/H264"] {
        assert!(video.contains(&(mime, true)), "{video:?}");
    }
    assert!(
        sections[2]
            .codecs
            .iter()
            .all(|codec| codec.feedback.nack && codec.feedback.pli)
    );
    assert!(
        sections[2]
            .send_extensions()
            .any(|extension| extension == (4, common::MID))
    );

    plan.remove(&audio);
    let sections = exchange(&plan);
    assert_eq!(
        (sections[1].direction, sections[1].rejected),
        (Direction::Inactive, false)
    );
    assert_eq!(sections[2].direction, Direction::SendOnly);

    assert_eq!(plan.add(MediaKind::Audio, send_audio(3)).unwrap(), audio);
    let sections = exchange(&plan);
    assert_eq!(sections[1].direction, Direction::SendOnly);
}
