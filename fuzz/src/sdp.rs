//! What must hold for any text that claims to be a session description.

use kith_sdp::{
    AudioTweaks, CodecPreference, Feedback, LocalTransport, MediaKind, OfferPlan, ReceivePolicy,
    SectionDecision, SenderSpec, SessionDescription, Setup, accept_answer, answer, offer,
};

/// What is parsed is written and parsed again to the same value, is answered with as many sections, and no answer to an
/// offer of ours is read with a panic. The last byte chooses the decisions.
pub fn description(data: &[u8]) {
    let choice = data.last().copied().unwrap_or_default();
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(description) = SessionDescription::parse(text) else {
        return;
    };
    assert_eq!(
        SessionDescription::parse(description.as_str()).as_ref(),
        Ok(&description)
    );
    let _ = description.transport();
    let decisions: Vec<SectionDecision> = description
        .media()
        .iter()
        .enumerate()
        .map(
            |(index, section)| match (section.kind, choice.wrapping_add(index as u8) % 5) {
                (MediaKind::Application, _) => SectionDecision::Data,
                (MediaKind::Other, _) => SectionDecision::Reject,
                (_, 0) => SectionDecision::Inactive,
                (_, 1) => SectionDecision::Send(sender(index)),
                (_, 2) => SectionDecision::SendReceive(receive(), sender(index)),
                _ => SectionDecision::Receive(receive()),
            },
        )
        .collect();
    if let Ok((answered, sections)) = answer(&description, &local(), &decisions) {
        assert_eq!(
            (answered.media().len(), sections.len()),
            (decisions.len(), decisions.len())
        );
        for (ours, theirs) in answered.media().iter().zip(description.media()) {
            assert_eq!((&ours.mid, ours.kind), (&theirs.mid, theirs.kind));
            assert!(!theirs.is_rejected() || ours.is_rejected());
        }
        let _ = accept_answer(&description, &answered);
    }
    let mut plan = OfferPlan::new(false);
    for (index, section) in description.media().iter().take(8).enumerate() {
        let _ = plan.add(section.kind, sender(index));
    }
    if let Ok(ours) = offer(&local(), plan.sections()) {
        let _ = accept_answer(&ours, &description);
    }
}

fn local() -> LocalTransport {
    LocalTransport {
        session_id: 1,
        session_version: 1,
        ufrag: "ufrag".to_owned(),
        pwd: "passwordpasswordpassword".to_owned(),
        fingerprint: "sha-256 AB".to_owned(),
        setup: Setup::Passive,
        candidates: vec!["1 1 udp 1 192.0.2.1 1 typ host".to_owned()],
        ice_lite: true,
        max_message_size: 65_536,
    }
}

fn codecs() -> Vec<CodecPreference> {
    ["audio/red", "audio/opus", "video/VP8", "video/AV1"]
        .into_iter()
        .map(CodecPreference::any)
        .chain([CodecPreference::variant(
            "video/H264",
            "packetization-mode=1;profile-level-id=42e01f",
        )])
        .collect()
}

fn extensions() -> Vec<String> {
    [
        "urn:ietf:params:rtp-hdrext:sdes:mid",
        "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn receive() -> ReceivePolicy {
    ReceivePolicy {
        codecs: codecs(),
        extensions: extensions(),
        feedback: Feedback::ALL,
        simulcast: true,
        audio: AudioTweaks {
            stereo: true,
            usedtx: true,
            max_average_bitrate: Some(64_000),
        },
    }
}

fn sender(number: usize) -> SenderSpec {
    SenderSpec {
        stream_id: "PA_x|TR_y".to_owned(),
        track_id: "TR_y".to_owned(),
        ssrc: 2 * number as u32,
        rtx_ssrc: Some(2 * number as u32 + 1),
        cname: "x".to_owned(),
        codecs: codecs(),
        extensions: extensions(),
        feedback: Feedback::ALL,
        stereo: true,
    }
}
