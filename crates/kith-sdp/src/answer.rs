//! Answering a peer's offer.

use std::collections::HashMap;

use crate::encoding::{self, RID_URI};
use crate::select::{self, ExtensionIds};
use crate::write::{self, SectionStart, TransportLines, Writer};
use crate::{
    AudioTweaks, CodecDescription, Direction, Feedback, LocalTransport, MediaKind, MediaSection,
    NegotiatedCodec, NegotiatedExtension, NegotiatedSection, NegotiationError, OfferCodec,
    ReceivePolicy, SectionDecision, SenderSpec, SessionDescription, Setup, codec, fmtp_compatible,
};

/// Answers an offer with one decision per section.
///
/// Where a decision and the offer do not fit, the section gets less than was decided, and its [`NegotiatedSection`]
/// says what: a section that the peer stopped, that is outside its BUNDLE group or that is no DTLS-SRTP with
/// multiplexed RTCP is rejected; one without a common codec becomes inactive with empty `codecs`; one in which the peer
/// does not send (or receive) becomes inactive.
///
/// **What an answer refuses is refused for good** (RFC 9429 section 5.2.2), so every live section takes all header
/// extensions that Kith knows, wanted now or not; [`NegotiatedSection::extensions`] has the wanted ones only.
pub fn answer(
    offer: &SessionDescription,
    local: &LocalTransport,
    decisions: &[SectionDecision],
) -> Result<(SessionDescription, Vec<NegotiatedSection>), NegotiationError> {
    if decisions.len() != offer.media().len() {
        return Err(NegotiationError::DecisionCount {
            sections: offer.media().len(),
            decisions: decisions.len(),
        });
    }
    let setup = match offer.tagged_section() {
        Some(tagged) => answer_setup(tagged.setup.unwrap_or(Setup::ActPass), local.setup)?,
        None => local.setup,
    };
    let mut ids = ExtensionIds::default();
    let mut answers = Vec::with_capacity(decisions.len());
    let bundled = offer.bundled();
    for (index, ((section, decision), bundled)) in
        offer.media().iter().zip(decisions).zip(bundled).enumerate()
    {
        answers.push(decide(index, section, decision, bundled, &mut ids)?);
    }
    conform_parameters(&mut answers);

    let mut writer = Writer::default();
    let accepted: Vec<&str> = if offer.bundle_groups().is_empty() {
        Vec::new()
    } else {
        answers
            .iter()
            .filter(|answer| !answer.negotiated.rejected)
            .map(|answer| answer.section.mid.as_str())
            .collect()
    };
    writer.session(local, &accepted, offer.extmap_allow_mixed());
    let mut transport = TransportLines {
        local,
        setup,
        with_candidates: true,
    };
    for answer in &answers {
        answer.write(&mut writer, &transport, offer.extmap_allow_mixed());
        transport.with_candidates &= answer.negotiated.rejected;
    }
    let description = writer.finish()?;
    Ok((
        description,
        answers
            .into_iter()
            .map(|answer| answer.negotiated)
            .collect(),
    ))
}

/// The DTLS role that we take in an answer to `offered` when we would rather have `preferred`.
pub fn answer_setup(offered: Setup, preferred: Setup) -> Result<Setup, NegotiationError> {
    match (offered, preferred) {
        (Setup::ActPass, Setup::Active) => Ok(Setup::Active),
        (Setup::ActPass | Setup::Active, _) => Ok(Setup::Passive),
        (Setup::Passive, _) => Ok(Setup::Active),
        (Setup::HoldConn, _) => Err(NegotiationError::SetupRole),
    }
}

/// One section of the answer.
struct SectionAnswer<'a> {
    section: &'a MediaSection,
    negotiated: NegotiatedSection,
    /// What is written; also has codecs where `negotiated` has none, since an `m=` line needs one.
    codecs: Vec<OfferCodec>,
    /// What is written; also has extensions that nobody uses here.
    extensions: Vec<(NegotiatedExtension, Direction)>,
    /// Whether the answer has `a=simulcast`.
    simulcast: bool,
    /// What we send.
    sender: Option<&'a SenderSpec>,
}

/// The two halves of a decision about media.
#[derive(Clone, Copy, Default)]
struct MediaDecision<'a> {
    receive: Option<&'a ReceivePolicy>,
    send: Option<&'a SenderSpec>,
}

fn decide<'a>(
    index: usize,
    section: &'a MediaSection,
    decision: &'a SectionDecision,
    bundled: bool,
    ids: &mut ExtensionIds<'a>,
) -> Result<SectionAnswer<'a>, NegotiationError> {
    let is_data = match section.kind {
        MediaKind::Audio | MediaKind::Video => Some(false),
        MediaKind::Application => Some(true),
        MediaKind::Other => None,
    };
    let media = match decision {
        SectionDecision::Receive(receive) => MediaDecision {
            receive: Some(receive),
            send: None,
        },
        SectionDecision::Send(send) => MediaDecision {
            receive: None,
            send: Some(send),
        },
        SectionDecision::SendReceive(receive, send) => MediaDecision {
            receive: Some(receive),
            send: Some(send),
        },
        SectionDecision::Inactive | SectionDecision::Reject | SectionDecision::Data => {
            MediaDecision::default()
        }
    };
    let wants_media = media.receive.is_some() || media.send.is_some();
    if is_data.is_some_and(|is_data| {
        if is_data {
            wants_media
        } else {
            *decision == SectionDecision::Data
        }
    }) {
        return Err(NegotiationError::DecisionKind { index });
    }
    let usable = bundled && !section.is_rejected() && *decision != SectionDecision::Reject;
    if usable && *decision == SectionDecision::Data && section.is_usable_data() {
        let mut answer = SectionAnswer::rejected(index, section);
        answer.negotiated.rejected = false;
        answer.negotiated.direction = Direction::SendRecv;
        return Ok(answer);
    }
    if usable && section.is_usable_rtp() {
        return Ok(decide_media(index, section, media, ids));
    }
    Ok(SectionAnswer::rejected(index, section))
}

fn decide_media<'a>(
    index: usize,
    section: &'a MediaSection,
    decision: MediaDecision<'a>,
    ids: &mut ExtensionIds<'a>,
) -> SectionAnswer<'a> {
    let mut answer = SectionAnswer::rejected(index, section);
    let wanted = Direction::new(decision.send.is_some(), decision.receive.is_some());
    let direction = wanted.intersection(section.direction.reversed());
    let receive = decision.receive.filter(|_| direction.receives());
    let sender = decision.send.filter(|_| direction.sends());

    let mut chosen = match (receive, sender) {
        (Some(receive), _) => select::codecs(&section.codecs, section.kind, &receive.codecs),
        (None, Some(sender)) => select::codecs(&section.codecs, section.kind, &sender.codecs),
        (None, None) => Vec::new(),
    };
    if let (Some(_), Some(sender)) = (receive, sender) {
        let sendable = select::codecs(&section.codecs, section.kind, &sender.codecs);
        chosen.retain(|codec| {
            sendable
                .iter()
                .any(|other| other.payload_type == codec.payload_type)
        });
        select::drop_lone_red(section.kind, &mut chosen, |codec| codec);
    }
    let feedback = match (receive, sender) {
        (Some(receive), Some(sender)) => receive.feedback.intersection(sender.feedback),
        (Some(receive), None) => receive.feedback,
        (None, Some(sender)) => sender.feedback,
        (None, None) => Feedback::NONE,
    };

    // Nothing flows without a codec, but the section lives on: an `m=` line needs a format, one that we could forward,
    // and what its answer refuses besides would be refused for later tracks.
    let flows = !chosen.is_empty();
    let direction = if flows {
        direction
    } else {
        Direction::Inactive
    };
    let feedback = if flows { feedback } else { Feedback::ALL };
    if !flows {
        let Some(placeholder) = select::codecs(&section.codecs, section.kind, &[])
            .first()
            .copied()
        else {
            return answer;
        };
        chosen.push(placeholder);
    }

    let tweaks = receive.map(|receive| &receive.audio);
    answer.codecs = chosen
        .iter()
        .map(|codec| answered_codec(codec, section.kind, feedback, tweaks))
        .collect();
    answer.extensions = select::extensions(
        &section.extensions,
        section.extmap_allow_mixed,
        direction,
        receive.map(|receive| receive.extensions.as_slice()),
        sender,
        ids,
    );
    if !flows {
        answer.negotiated.rejected = false;
        return answer;
    }
    let negotiated = &mut answer.negotiated;
    negotiated.rejected = false;
    negotiated.direction = direction;
    negotiated.codecs = chosen
        .iter()
        .zip(&answer.codecs)
        .map(|(offered, answered)| negotiated_codec(offered, answered))
        .collect();
    negotiated.extensions = answer
        .extensions
        .iter()
        .map(|(extension, _)| extension.clone())
        .filter(|extension| extension.send || extension.receive)
        .collect();
    if let Some(receive) = receive {
        let rid_readable = negotiated
            .receive_extensions()
            .any(|(_, uri)| uri == RID_URI);
        if receive.simulcast && rid_readable {
            negotiated.rids = encoding::sent_rids(section);
        }
        answer.simulcast = !section.simulcast_send.is_empty();
        negotiated.encodings = encoding::encodings(section, &negotiated.rids, receive.simulcast);
    }
    answer.sender = sender;
    answer
}

/// An offered codec as the answer has it.
fn answered_codec(
    offered: &CodecDescription,
    kind: MediaKind,
    feedback: Feedback,
    tweaks: Option<&AudioTweaks>,
) -> OfferCodec {
    let fmtp = if offered.name.eq_ignore_ascii_case("opus") {
        opus_parameters(&offered.fmtp, tweaks)
    } else {
        offered.fmtp.clone()
    };
    OfferCodec {
        payload_type: offered.payload_type,
        rtx: offered.rtx,
        mime: offered.mime(kind),
        clock_rate: offered.clock_rate,
        channels: offered.channels,
        fmtp,
        feedback: offered.feedback.intersection(feedback),
    }
}

/// The parameters of Opus say what their author wants to receive (RFC 7587 section 6.1), so those of the peer are not
/// repeated to it where they would ask for something.
fn opus_parameters(offered: &str, tweaks: Option<&AudioTweaks>) -> String {
    let mut fmtp = codec::without_parameters(
        offered,
        &[
            "stereo",
            "sprop-stereo",
            "usedtx",
            "maxaveragebitrate",
            "sprop-maxcapturerate",
            "cbr",
        ],
    );
    if let Some(tweaks) = tweaks {
        if tweaks.usedtx {
            codec::push_parameter(&mut fmtp, "usedtx", "1");
        }
        if tweaks.stereo {
            codec::push_parameter(&mut fmtp, "stereo", "1");
        }
        if let Some(bitrate) = tweaks.max_average_bitrate {
            codec::push_parameter(&mut fmtp, "maxaveragebitrate", &bitrate.to_string());
        }
    }
    fmtp
}

fn negotiated_codec(offered: &CodecDescription, answered: &OfferCodec) -> NegotiatedCodec {
    NegotiatedCodec {
        payload_type: answered.payload_type,
        rtx: answered.rtx,
        mime: answered.mime.clone(),
        clock_rate: answered.clock_rate,
        channels: answered.channels,
        fmtp: offered.fmtp.clone(),
        feedback: answered.feedback,
    }
}

/// Gives a payload type the same parameters in all sections where that is possible, as RFC 9143 section 9.1 wants it
/// and browsers check: sections in which we do not receive ask for nothing, so they repeat what the first one says in
/// which we do.
fn conform_parameters(answers: &mut [SectionAnswer<'_>]) {
    let mut asked: HashMap<u8, (String, String)> = HashMap::new();
    for answer in answers
        .iter()
        .filter(|answer| answer.negotiated.direction.receives())
    {
        for codec in &answer.codecs {
            asked
                .entry(codec.payload_type)
                .or_insert_with(|| (codec.mime.clone(), codec.fmtp.clone()));
        }
    }
    for answer in answers
        .iter_mut()
        .filter(|answer| !answer.negotiated.direction.receives())
    {
        for codec in &mut answer.codecs {
            if let Some((mime, fmtp)) = asked.get(&codec.payload_type)
                && *mime == codec.mime
                && fmtp_compatible(
                    mime.split_once('/').map_or("", |(_, name)| name),
                    fmtp,
                    &codec.fmtp,
                )
            {
                codec.fmtp.clone_from(fmtp);
            }
        }
    }
}

impl<'a> SectionAnswer<'a> {
    fn rejected(index: usize, section: &'a MediaSection) -> Self {
        SectionAnswer {
            section,
            negotiated: NegotiatedSection::rejected(index, section),
            codecs: Vec::new(),
            extensions: Vec::new(),
            simulcast: false,
            sender: None,
        }
    }

    fn write(&self, writer: &mut Writer, transport: &TransportLines<'_>, mixed_for_session: bool) {
        let section = self.section;
        if self.negotiated.rejected {
            writer.rejected(
                &section.media,
                &section.protocol,
                &section.formats.join(" "),
                &section.mid,
            );
            return;
        }
        let start = |writer: &mut Writer, formats: &str| {
            let start = SectionStart {
                media: &section.media,
                protocol: &section.protocol,
                formats,
                mid: &section.mid,
            };
            writer.section_start(&start, transport);
        };
        if section.kind == MediaKind::Application {
            start(writer, write::DATA_FORMAT);
            writer.data(transport.local);
            return;
        }
        start(writer, &write::formats(&self.codecs));
        for (extension, direction) in &self.extensions {
            writer.extension(extension.id, *direction, &extension.uri);
        }
        if section.extmap_allow_mixed && !mixed_for_session {
            writer.line(format_args!("a=extmap-allow-mixed"));
        }
        writer.media_flow(self.negotiated.direction, self.sender, section.rtcp_rsize);
        for codec in &self.codecs {
            writer.codec(codec);
        }
        write::received_rids(writer, &self.negotiated.rids, self.simulcast);
        if let Some(sender) = self.sender {
            writer.sources(sender, self.codecs.iter().any(|codec| codec.rtx.is_some()));
        }
    }
}
