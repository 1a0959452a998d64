//! From the attributes of one section to its typed view.

use sdp_types::{Attribute, Media};

use crate::line::{self, SsrcAttribute};
use crate::{
    CodecDescription, Direction, Extension, Feedback, Fingerprint, MediaKind, MediaSection,
    SdpError, Setup, SsrcDescription, fmtp_parameter, limits,
};

/// Attributes of the session that sections inherit when they do not have their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionAttributes {
    pub(crate) direction: Direction,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) extmap_allow_mixed: bool,
    pub(crate) ice_ufrag: Option<String>,
    pub(crate) ice_pwd: Option<String>,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) setup: Option<Setup>,
    pub(crate) ice_lite: bool,
    pub(crate) bundle_groups: Vec<Vec<String>>,
}

impl SessionAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut session = SessionAttributes::default();
        for attribute in attributes {
            let value = attribute.value.as_deref().unwrap_or_default();
            match attribute.attribute.as_str() {
                "group" => {
                    let mut words = value.split(' ').filter(|word| !word.is_empty());
                    if words.next() == Some("BUNDLE") {
                        let mids = words
                            .take(limits::MAX_SECTIONS)
                            .map(str::to_owned)
                            .collect();
                        MediaSection::push_bounded(&mut session.bundle_groups, mids);
                    }
                }
                "ice-lite" => session.ice_lite = true,
                "ice-ufrag" => session.ice_ufrag = ice_ufrag(value),
                "ice-pwd" => session.ice_pwd = ice_pwd(value),
                "fingerprint" => {
                    if let Some(fingerprint) = line::fingerprint(value) {
                        MediaSection::push_bounded(&mut session.fingerprints, fingerprint);
                    }
                }
                "setup" => session.setup = Setup::from_name(value),
                "extmap" => {
                    if let Some(extension) = line::extmap(value) {
                        MediaSection::push_bounded(&mut session.extensions, extension);
                    }
                }
                "extmap-allow-mixed" => session.extmap_allow_mixed = true,
                name => {
                    if let Some(direction) = Direction::from_name(name) {
                        session.direction = direction;
                    }
                }
            }
        }
        session
    }
}

fn ice_ufrag(value: &str) -> Option<String> {
    line::ice_credential(value, 4)
}

fn ice_pwd(value: &str) -> Option<String> {
    line::ice_credential(value, 22)
}

/// Reads the section at `index`.
pub(crate) fn section(
    media: &Media,
    session: &SessionAttributes,
    index: usize,
) -> Result<MediaSection, SdpError> {
    let kind = match media.media.as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        "application" => MediaKind::Application,
        _ => MediaKind::Other,
    };
    let mut section = MediaSection {
        kind,
        media: media.media.clone(),
        port: media.port,
        protocol: media.proto.clone(),
        formats: media
            .fmt
            .split(' ')
            .filter(|format| !format.is_empty())
            .map(str::to_owned)
            .collect(),
        mid: String::new(),
        direction: session.direction,
        bundle_only: false,
        msids: Vec::new(),
        codecs: Vec::new(),
        extensions: Vec::new(),
        extmap_allow_mixed: session.extmap_allow_mixed,
        rids: Vec::new(),
        simulcast_send: Vec::new(),
        simulcast_recv: Vec::new(),
        ssrcs: Vec::new(),
        ssrc_groups: Vec::new(),
        ice_ufrag: None,
        ice_pwd: None,
        fingerprints: Vec::new(),
        setup: None,
        candidates: Vec::new(),
        end_of_candidates: false,
        rtcp_mux: false,
        rtcp_rsize: false,
        sctp_port: None,
        max_message_size: None,
    };
    let mut codecs = CodecTable::new(&section);
    for attribute in &media.attributes {
        let value = attribute.value.as_deref().unwrap_or_default();
        if !codecs.read(&attribute.attribute, value) {
            read_attribute(&mut section, index, &attribute.attribute, value)?;
        }
    }
    section.codecs = codecs.finish();
    section.ice_ufrag = section.ice_ufrag.or_else(|| session.ice_ufrag.clone());
    section.ice_pwd = section.ice_pwd.or_else(|| session.ice_pwd.clone());
    section.setup = section.setup.or(session.setup);
    if section.fingerprints.is_empty() {
        section.fingerprints.clone_from(&session.fingerprints);
    }
    for extension in &session.extensions {
        if !section
            .extensions
            .iter()
            .any(|own| own.uri == extension.uri)
        {
            MediaSection::push_bounded(&mut section.extensions, extension.clone());
        }
    }
    Ok(section)
}

/// Reads everything that is not about a codec. Unknown and malformed attributes are passed over.
fn read_attribute(
    section: &mut MediaSection,
    index: usize,
    name: &str,
    value: &str,
) -> Result<(), SdpError> {
    match name {
        "mid" => {
            if !line::is_token(value) || value.len() > limits::MAX_MID_BYTES {
                return Err(SdpError::BadMid { index });
            }
            section.mid = value.to_owned();
        }
        "bundle-only" => section.bundle_only = true,
        "msid" => push(&mut section.msids, line::msid(value)),
        "extmap" => push(&mut section.extensions, line::extmap(value)),
        "extmap-allow-mixed" => section.extmap_allow_mixed = true,
        "rid" => {
            let rid =
                line::rid(value).filter(|rid| !section.rids.iter().any(|known| known.id == rid.id));
            push(&mut section.rids, rid);
        }
        "simulcast" => (section.simulcast_send, section.simulcast_recv) = line::simulcast(value),
        "ssrc" => read_ssrc(section, value),
        "ssrc-group" => push(&mut section.ssrc_groups, line::ssrc_group(value)),
        "ice-ufrag" => section.ice_ufrag = ice_ufrag(value),
        "ice-pwd" => section.ice_pwd = ice_pwd(value),
        "fingerprint" => push(&mut section.fingerprints, line::fingerprint(value)),
        "setup" => section.setup = Setup::from_name(value),
        "candidate" => {
            if section.candidates.len() < limits::MAX_CANDIDATES {
                section.candidates.push(format!("candidate:{value}"));
            }
        }
        "end-of-candidates" => section.end_of_candidates = true,
        "rtcp-mux" => section.rtcp_mux = true,
        "rtcp-rsize" => section.rtcp_rsize = true,
        "sctp-port" => section.sctp_port = value.trim().parse().ok(),
        "max-message-size" => section.max_message_size = value.trim().parse().ok(),
        name => {
            if let Some(direction) = Direction::from_name(name) {
                section.direction = direction;
            }
        }
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, item: Option<T>) {
    if let Some(item) = item {
        MediaSection::push_bounded(list, item);
    }
}

fn read_ssrc(section: &mut MediaSection, value: &str) {
    let Some((ssrc, attribute)) = line::ssrc(value) else {
        return;
    };
    if !section.ssrcs.iter().any(|source| source.ssrc == ssrc) {
        MediaSection::push_bounded(
            &mut section.ssrcs,
            SsrcDescription {
                ssrc,
                cname: None,
                msid: None,
            },
        );
    }
    if let Some(source) = section.ssrcs.iter_mut().find(|source| source.ssrc == ssrc) {
        match attribute {
            SsrcAttribute::Cname(cname) => source.cname = Some(cname),
            SsrcAttribute::Msid(msid) => source.msid = Some(msid),
            SsrcAttribute::Other => {}
        }
    }
}

/// Collects `rtpmap`, `fmtp` and `rtcp-fb` of the payload types of an `m=` line, which come in any order.
struct CodecTable {
    /// In the order of the `m=` line; the name is empty until an `rtpmap` or a static payload type gives it.
    codecs: Vec<CodecDescription>,
}

impl CodecTable {
    fn new(section: &MediaSection) -> Self {
        let mut codecs: Vec<CodecDescription> = Vec::new();
        if matches!(section.kind, MediaKind::Audio | MediaKind::Video) {
            // Payload types are unique and below 128, so this is bounded.
            for payload_type in section
                .formats
                .iter()
                .filter_map(|format| line::payload_type(format))
            {
                if !codecs
                    .iter()
                    .any(|codec| codec.payload_type == payload_type)
                {
                    codecs.push(static_codec(section.kind, payload_type));
                }
            }
        }
        CodecTable { codecs }
    }

    fn get(&mut self, payload_type: u8) -> Option<&mut CodecDescription> {
        self.codecs
            .iter_mut()
            .find(|codec| codec.payload_type == payload_type)
    }

    /// Returns whether the attribute is about codecs.
    fn read(&mut self, name: &str, value: &str) -> bool {
        match name {
            "rtpmap" => {
                if let Some(map) = line::rtpmap(value)
                    && let Some(codec) = self.get(map.payload_type)
                {
                    codec.name = map.name.to_owned();
                    codec.clock_rate = map.clock_rate;
                    codec.channels = map.channels;
                }
            }
            "fmtp" => {
                if let Some((Some(payload_type), parameters)) = line::for_payload_type(value)
                    && let Some(codec) = self.get(payload_type)
                {
                    codec.fmtp = parameters.to_owned();
                }
            }
            "rtcp-fb" => match line::for_payload_type(value) {
                Some((Some(payload_type), feedback)) => {
                    if let Some(codec) = self.get(payload_type) {
                        add_feedback(&mut codec.feedback, feedback);
                    }
                }
                Some((None, feedback)) => {
                    for codec in &mut self.codecs {
                        add_feedback(&mut codec.feedback, feedback);
                    }
                }
                None => {}
            },
            _ => return false,
        }
        true
    }

    /// The named codecs, each with its RTX payload type.
    fn finish(self) -> Vec<CodecDescription> {
        let (repairs, mut codecs): (Vec<_>, Vec<_>) = self
            .codecs
            .into_iter()
            .filter(|codec| !codec.name.is_empty())
            .partition(|codec| codec.name.eq_ignore_ascii_case("rtx"));
        for repair in repairs {
            let repaired = fmtp_parameter(&repair.fmtp, "apt").and_then(line::payload_type);
            if let Some(codec) = codecs
                .iter_mut()
                .find(|codec| Some(codec.payload_type) == repaired)
                && codec.rtx.is_none()
            {
                codec.rtx = Some(repair.payload_type);
            }
        }
        codecs
    }
}

fn add_feedback(feedback: &mut Feedback, name: &str) {
    match name {
        "nack" => feedback.nack = true,
        "nack pli" => feedback.pli = true,
        "ccm fir" => feedback.fir = true,
        "transport-cc" => feedback.transport_cc = true,
        "goog-remb" => feedback.remb = true,
        _ => {}
    }
}

/// A codec that its payload type alone names (RFC 3551 section 6), or one without a name yet.
fn static_codec(kind: MediaKind, payload_type: u8) -> CodecDescription {
    let name = match (kind, payload_type) {
        (MediaKind::Audio, 0) => "PCMU",
        (MediaKind::Audio, 8) => "PCMA",
        (MediaKind::Audio, 9) => "G722",
        _ => "",
    };
    CodecDescription {
        payload_type,
        name: name.to_owned(),
        clock_rate: 8000,
        channels: 1,
        fmtp: String::new(),
        feedback: Feedback::NONE,
        rtx: None,
    }
}
