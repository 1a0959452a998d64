//! Writing descriptions line by line.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use crate::{
    Direction, LocalTransport, NegotiationError, OfferCodec, SenderSpec, SessionDescription, Setup,
    line,
};

/// Most characters of a stream, track or canonical name. RFC 8830 has 64 for the first two; LiveKit's own ids have 15.
const MAX_ID_CHARS: usize = 128;

/// A description in the making.
#[derive(Default)]
pub(crate) struct Writer {
    text: String,
}

/// The `m=` line of a live section and its mid, which may be empty.
pub(crate) struct SectionStart<'a> {
    pub(crate) media: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) formats: &'a str,
    pub(crate) mid: &'a str,
}

/// What every live section says about the transport; only the first has the candidates.
pub(crate) struct TransportLines<'a> {
    pub(crate) local: &'a LocalTransport,
    pub(crate) setup: Setup,
    pub(crate) with_candidates: bool,
}

/// Keeps what would end a line out of it, whatever was given.
struct OneLine<'a>(&'a mut String);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0
            .extend(text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')));
        Ok(())
    }
}

impl Writer {
    /// Writes one line.
    pub(crate) fn line(&mut self, content: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = OneLine(&mut self.text).write_fmt(content);
        self.text.push_str("\r\n");
    }

    /// The part before the first section.
    pub(crate) fn session(
        &mut self,
        local: &LocalTransport,
        bundle: &[&str],
        extmap_allow_mixed: bool,
    ) {
        self.line(format_args!("v=0"));
        // The address is not used (RFC 9429 section 5.2.1).
        self.line(format_args!(
            "o=- {} {} IN IP4 127.0.0.1",
            local.session_id, local.session_version
        ));
        self.line(format_args!("s=-"));
        self.line(format_args!("t=0 0"));
        if !bundle.is_empty() {
            self.line(format_args!("a=group:BUNDLE {}", bundle.join(" ")));
        }
        if local.ice_lite {
            self.line(format_args!("a=ice-lite"));
        }
        self.line(format_args!("a=ice-options:trickle"));
        if extmap_allow_mixed {
            self.line(format_args!("a=extmap-allow-mixed"));
        }
        self.line(format_args!("a=msid-semantic:WMS *"));
    }

    /// The `m=` line and what every live section has: transport, mid.
    pub(crate) fn section_start(
        &mut self,
        start: &SectionStart<'_>,
        transport: &TransportLines<'_>,
    ) {
        let SectionStart {
            media,
            protocol,
            formats,
            mid,
        } = start;
        let TransportLines {
            local,
            setup,
            with_candidates,
        } = transport;
        self.line(format_args!("m={media} 9 {protocol} {formats}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        if *with_candidates {
            for candidate in &local.candidates {
                let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
                let candidate = candidate.strip_prefix("candidate:").unwrap_or(candidate);
                self.line(format_args!("a=candidate:{candidate}"));
            }
        }
        self.line(format_args!("a=ice-ufrag:{}", local.ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.pwd));
        self.line(format_args!("a=fingerprint:{}", local.fingerprint));
        self.line(format_args!("a=setup:{}", setup.as_str()));
        if !mid.is_empty() {
            self.line(format_args!("a=mid:{mid}"));
        }
    }

    /// A section that is given up.
    pub(crate) fn rejected(&mut self, media: &str, protocol: &str, formats: &str, mid: &str) {
        self.line(format_args!("m={media} 0 {protocol} {formats}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        if !mid.is_empty() {
            self.line(format_args!("a=mid:{mid}"));
        }
        self.line(format_args!("a=inactive"));
    }

    /// One header extension; the direction is left out when it is both ways.
    pub(crate) fn extension(&mut self, id: u8, direction: Direction, uri: &str) {
        match direction {
            Direction::SendRecv => self.line(format_args!("a=extmap:{id} {uri}")),
            direction => self.line(format_args!("a=extmap:{id}/{} {uri}", direction.as_str())),
        }
    }

    /// Direction, what we send, and RTCP's two flags.
    pub(crate) fn media_flow(
        &mut self,
        direction: Direction,
        sender: Option<&SenderSpec>,
        rtcp_rsize: bool,
    ) {
        self.line(format_args!("a={}", direction.as_str()));
        if let Some(sender) = sender {
            self.line(format_args!(
                "a=msid:{} {}",
                Id(&sender.stream_id),
                Id(&sender.track_id)
            ));
        }
        self.line(format_args!("a=rtcp-mux"));
        if rtcp_rsize {
            self.line(format_args!("a=rtcp-rsize"));
        }
    }

    /// All lines of one codec and its retransmissions.
    pub(crate) fn codec(&mut self, codec: &OfferCodec) {
        let payload_type = codec.payload_type;
        let name = codec
            .mime
            .split_once('/')
            .map_or(codec.mime.as_str(), |(_, name)| name);
        if codec.channels > 1 {
            self.line(format_args!(
                "a=rtpmap:{payload_type} {name}/{}/{}",
                codec.clock_rate, codec.channels
            ));
        } else {
            self.line(format_args!(
                "a=rtpmap:{payload_type} {name}/{}",
                codec.clock_rate
            ));
        }
        let feedback = codec.feedback;
        for (used, name) in [
            (feedback.remb, "goog-remb"),
            (feedback.transport_cc, "transport-cc"),
            (feedback.fir, "ccm fir"),
            (feedback.nack, "nack"),
            (feedback.pli, "nack pli"),
        ] {
            if used {
                self.line(format_args!("a=rtcp-fb:{payload_type} {name}"));
            }
        }
        if !codec.fmtp.is_empty() {
            self.line(format_args!("a=fmtp:{payload_type} {}", codec.fmtp));
        }
        if let Some(rtx) = codec.rtx {
            self.line(format_args!("a=rtpmap:{rtx} rtx/{}", codec.clock_rate));
            self.line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
        }
    }

    /// The sources of what we send. Clients tell bundled sections apart by these lines or by the mid extension; the
    /// `msid` here is for those that predate the section's own.
    pub(crate) fn sources(&mut self, sender: &SenderSpec, with_rtx: bool) {
        let rtx = sender.rtx_ssrc.filter(|_| with_rtx);
        if let Some(rtx) = rtx {
            self.line(format_args!("a=ssrc-group:FID {} {rtx}", sender.ssrc));
        }
        for ssrc in [Some(sender.ssrc), rtx].into_iter().flatten() {
            self.line(format_args!("a=ssrc:{ssrc} cname:{}", Id(&sender.cname)));
            self.line(format_args!(
                "a=ssrc:{ssrc} msid:{} {}",
                Id(&sender.stream_id),
                Id(&sender.track_id)
            ));
        }
    }

    /// What a data section has.
    pub(crate) fn data(&mut self, local: &LocalTransport) {
        // Any port goes over DTLS; everybody uses this one.
        self.line(format_args!("a=sctp-port:5000"));
        self.line(format_args!(
            "a=max-message-size:{}",
            local.max_message_size
        ));
    }

    /// Parses what was written.
    pub(crate) fn finish(self) -> Result<SessionDescription, NegotiationError> {
        let description = SessionDescription::parse(&self.text)?;
        let mut ssrcs = HashSet::new();
        for source in description
            .media()
            .iter()
            .flat_map(|section| &section.ssrcs)
        {
            if !ssrcs.insert(source.ssrc) {
                return Err(NegotiationError::DuplicateSsrc { ssrc: source.ssrc });
            }
        }
        Ok(description)
    }
}

/// A name as a token of RFC 8866: what does not fit becomes `_`, nothing becomes `-`. Stream names come from clients.
struct Id<'a>(&'a str);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('-');
        }
        for character in self.0.chars().take(MAX_ID_CHARS) {
            let fits = u8::try_from(character).is_ok_and(line::is_token_byte);
            f.write_char(if fits { character } else { '_' })?;
        }
        Ok(())
    }
}

/// The formats of an `m=` line: payload types, each followed by that of its retransmissions.
pub(crate) fn formats(codecs: &[OfferCodec]) -> String {
    let mut formats = String::new();
    for payload_type in codecs
        .iter()
        .flat_map(|codec| [Some(codec.payload_type), codec.rtx])
        .flatten()
    {
        if !formats.is_empty() {
            formats.push(' ');
        }
        formats.push_str(&payload_type.to_string());
    }
    formats
}

/// The protocol of RTP sections in our offers.
pub(crate) const RTP_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// The protocol of data sections in our offers.
pub(crate) const DATA_PROTOCOL: &str = "UDP/DTLS/SCTP";

/// The format of data sections.
pub(crate) const DATA_FORMAT: &str = "webrtc-datachannel";

/// `a=rid` and `a=simulcast` of the layers that we receive.
pub(crate) fn received_rids(writer: &mut Writer, rids: &[String], simulcast: bool) {
    for rid in rids {
        writer.line(format_args!("a=rid:{rid} recv"));
    }
    if simulcast && !rids.is_empty() {
        writer.line(format_args!("a=simulcast:recv {}", rids.join(";")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_content_ends_a_line() {
        let mut writer = Writer::default();
        writer.line(format_args!("a=mid:{}", "0\r\na=ice-lite\0"));
        assert_eq!(writer.text, "a=mid:0a=ice-lite\r\n");
    }

    #[test]
    fn names_become_tokens() {
        assert_eq!(Id("PA_x|my camera ä\n").to_string(), "PA_x|my_camera___");
        assert_eq!(Id("").to_string(), "-");
        assert_eq!(Id(&"x".repeat(1000)).to_string().len(), MAX_ID_CHARS);
    }
}
