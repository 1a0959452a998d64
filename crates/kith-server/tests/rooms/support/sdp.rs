//! Descriptions as a browser writes them, as far as rooms look at them.

use std::fmt::Write as _;

use kith_sdp::{
    CodecPreference, Feedback, LocalTransport, MediaKind, ReceivePolicy, SectionDecision,
    SessionDescription, Setup, answer,
};

/// One section of a client's offer.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    kind: MediaKind,
    direction: &'static str,
    cid: Option<String>,
    rids: Vec<&'static str>,
    codecs: Option<Vec<&'static str>>,
    dependency_descriptor: bool,
}

impl Section {
    fn new(kind: MediaKind, direction: &'static str) -> Self {
        Section {
            kind,
            direction,
            cid: None,
            rids: Vec::new(),
            codecs: None,
            dependency_descriptor: true,
        }
    }

    /// A section that the client sends audio in.
    pub(crate) fn audio(cid: &str) -> Self {
        Section {
            cid: Some(cid.to_owned()),
            ..Section::new(MediaKind::Audio, "sendonly")
        }
    }

    /// A section that the client sends video in.
    pub(crate) fn video(cid: &str) -> Self {
        Section {
            cid: Some(cid.to_owned()),
            ..Section::new(MediaKind::Video, "sendonly")
        }
    }

    pub(crate) fn receive_audio() -> Self {
        Section::new(MediaKind::Audio, "recvonly")
    }

    pub(crate) fn receive_video() -> Self {
        Section::new(MediaKind::Video, "recvonly")
    }

    pub(crate) fn rids(mut self, rids: &[&'static str]) -> Self {
        self.rids = rids.to_vec();
        self
    }

    pub(crate) fn codecs(mut self, codecs: &[&'static str]) -> Self {
        self.codecs = Some(codecs.to_vec());
        self
    }

    pub(crate) fn without_descriptor(mut self) -> Self {
        self.dependency_descriptor = false;
        self
    }

    pub(crate) fn direction(mut self, direction: &'static str) -> Self {
        self.direction = direction;
        self
    }
}

const AUDIO: [(&str, u8, &str); 3] = [
    ("opus/48000/2", 111, "minptime=10;useinbandfec=1"),
    ("red/48000/2", 63, "111/111"),
    ("PCMU/8000", 0, ""),
];

const VIDEO: [(&str, u8, &str); 4] = [
    ("VP8/90000", 96, ""),
    ("VP9/90000", 98, "profile-id=0"),
    (
        "H264/90000",
        102,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    ("AV1/90000", 45, "level-idx=5;profile=0;tier=0"),
];

/// An offer with these sections, and a data section before the one with the index `data_at`. Mids count from 0.
pub(crate) fn offer_with_data_at(sections: &[Section], data_at: usize, ice: u32) -> String {
    let mids: Vec<String> = (0..=sections.len()).map(|mid| mid.to_string()).collect();
    let mut sdp = format!(
        "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=extmap-allow-mixed\r\n",
        mids.join(" ")
    );
    let (before, after) = sections.split_at(data_at);
    for (mid, section) in before.iter().enumerate() {
        write_section(&mut sdp, mid, section, ice);
    }
    sdp.push_str("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n");
    write_transport(&mut sdp, data_at, ice);
    sdp.push_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n");
    for (mid, section) in after.iter().enumerate() {
        write_section(&mut sdp, data_at + 1 + mid, section, ice);
    }
    sdp
}

/// An offer with these sections and a data section after them.
pub(crate) fn offer(sections: &[Section], ice: u32) -> String {
    offer_with_data_at(sections, sections.len(), ice)
}

fn write_transport(sdp: &mut String, mid: usize, ice: u32) {
    let _ = write!(
        sdp,
        "a=ice-ufrag:uf{ice:04}\r\na=ice-pwd:pwpwpwpwpwpwpwpwpwpwpw{ice:04}\r\na=ice-options:trickle\r\n\
         a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:{mid}\r\n",
        ["AB"; 32].join(":")
    );
}

fn write_section(sdp: &mut String, mid: usize, section: &Section, ice: u32) {
    let table: &[(&str, u8, &str)] = match section.kind {
        MediaKind::Audio => &AUDIO,
        _ => &VIDEO,
    };
    let codecs: Vec<_> = table
        .iter()
        .filter(|(name, ..)| {
            section
                .codecs
                .as_ref()
                .is_none_or(|codecs| codecs.iter().any(|codec| name.starts_with(codec)))
        })
        .collect();
    let mut payload_types: Vec<u8> = Vec::new();
    for (_, pt, _) in &codecs {
        payload_types.push(*pt);
        if section.kind == MediaKind::Video {
            payload_types.push(*pt + 1);
        }
    }
    let list: Vec<String> = payload_types.iter().map(u8::to_string).collect();
    let _ = write!(
        sdp,
        "m={} 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n",
        section.kind.as_str(),
        list.join(" ")
    );
    write_transport(sdp, mid, ice);
    for (id, uri) in [
        (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
        (
            3,
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        ),
        (
            2,
            "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        ),
    ] {
        let _ = write!(sdp, "a=extmap:{id} {uri}\r\n");
    }
    if section.kind == MediaKind::Audio {
        sdp.push_str("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n");
    } else {
        sdp.push_str("a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n");
        sdp.push_str("a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n");
        if section.dependency_descriptor {
            let _ = write!(sdp, "a=extmap:12 {}\r\n", kith_sdp::DEPENDENCY_DESCRIPTOR);
        }
    }
    let _ = write!(sdp, "a={}\r\n", section.direction);
    if let Some(cid) = &section.cid
        && section.direction.starts_with("send")
    {
        let _ = write!(sdp, "a=msid:- {cid}\r\n");
    }
    sdp.push_str("a=rtcp-mux\r\na=rtcp-rsize\r\n");
    for (name, pt, fmtp) in codecs {
        let _ = write!(sdp, "a=rtpmap:{pt} {name}\r\n");
        if !fmtp.is_empty() {
            let _ = write!(sdp, "a=fmtp:{pt} {fmtp}\r\n");
        }
        if section.kind == MediaKind::Video {
            for feedback in ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"] {
                let _ = write!(sdp, "a=rtcp-fb:{pt} {feedback}\r\n");
            }
            let _ = write!(
                sdp,
                "a=rtpmap:{} rtx/90000\r\na=fmtp:{} apt={pt}\r\n",
                pt + 1,
                pt + 1
            );
        } else {
            let _ = write!(sdp, "a=rtcp-fb:{pt} transport-cc\r\n");
        }
    }
    for rid in &section.rids {
        let _ = write!(sdp, "a=rid:{rid} send\r\n");
    }
    if !section.rids.is_empty() {
        let _ = write!(sdp, "a=simulcast:send {}\r\n", section.rids.join(";"));
    }
}

/// A client's answer to an offer of the server's that takes `codecs`.
pub(crate) fn answer_to(offer: &str, codecs: &[&str]) -> String {
    let offer = SessionDescription::parse(offer).expect("our offer parses");
    let local = LocalTransport {
        session_id: 7,
        session_version: 1,
        ufrag: "clnt".to_owned(),
        pwd: "clientclientclientclient".to_owned(),
        fingerprint: format!("sha-256 {}", ["CD"; 32].join(":")),
        setup: Setup::Active,
        candidates: Vec::new(),
        ice_lite: false,
        max_message_size: 262_144,
    };
    let decisions: Vec<SectionDecision> = offer
        .media()
        .iter()
        .map(|section| match section.kind {
            MediaKind::Application => SectionDecision::Data,
            _ if section.direction.sends() => SectionDecision::Receive(ReceivePolicy {
                codecs: codecs
                    .iter()
                    .map(|mime| CodecPreference::any(*mime))
                    .collect(),
                extensions: section
                    .extensions
                    .iter()
                    .map(|extension| extension.uri.clone())
                    .collect(),
                feedback: Feedback::ALL,
                simulcast: false,
                audio: Default::default(),
            }),
            _ => SectionDecision::Inactive,
        })
        .collect();
    let (description, _) = answer(&offer, &local, &decisions).expect("our offer can be answered");
    description.to_string()
}

/// What browsers take.
pub(crate) const ALL_CODECS: [&str; 8] = [
    "audio/red",
    "audio/opus",
    "audio/PCMU",
    "video/VP8",
    "video/VP9",
    "video/H264",
    "video/AV1",
    "video/H265",
];

/// A description of the server's, parsed.
pub(crate) fn parse(sdp: &str) -> SessionDescription {
    SessionDescription::parse(sdp).expect("what the server writes parses")
}
