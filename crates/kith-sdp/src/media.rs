//! The typed view of one media section.

use crate::{CodecDescription, limits};

/// What a media section carries: the first word of its `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Audio over RTP.
    Audio,
    /// Video over RTP.
    Video,
    /// Data channels over SCTP.
    Application,
    /// Anything else, always rejected.
    Other,
}

impl MediaKind {
    /// The word of the `m=` line. [`MediaKind::Other`] has none of its own.
    pub const fn as_str(self) -> &'static str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Application => "application",
            MediaKind::Other => "other",
        }
    }
}

/// Which way media flows, seen from the author of the description (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; what a section without an attribute means.
    #[default]
    SendRecv,
    /// From the author only.
    SendOnly,
    /// To the author only.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// The direction in which the author sends and receives as given.
    pub const fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether the author sends.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the author receives.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same flow seen from the other side.
    pub const fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// What flows in both.
    pub const fn intersection(self, other: Direction) -> Direction {
        Direction::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// The name of the attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// Reads the name of the attribute.
    pub fn from_name(name: &str) -> Option<Direction> {
        match name {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }
}

/// Who opens the DTLS handshake (RFC 8842, RFC 4145).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Either; what an offer should say.
    ActPass,
    /// The author opens: it is the DTLS client.
    Active,
    /// The author waits: it is the DTLS server.
    Passive,
    /// Nobody for now.
    HoldConn,
}

impl Setup {
    /// The value of the attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::HoldConn => "holdconn",
        }
    }

    /// Reads the value of the attribute.
    pub fn from_name(name: &str) -> Option<Setup> {
        match name {
            "actpass" => Some(Setup::ActPass),
            "active" => Some(Setup::Active),
            "passive" => Some(Setup::Passive),
            "holdconn" => Some(Setup::HoldConn),
            _ => None,
        }
    }
}

/// A certificate's fingerprint (RFC 8122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash function in lower case, such as `sha-256`.
    pub hash: String,
    /// The digest.
    pub digest: Vec<u8>,
}

/// `a=msid` (RFC 8830).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Msid {
    /// Stream id; `-` for no stream.
    pub stream: String,
    /// Track id; empty when the line has none.
    pub track: String,
}

/// `a=extmap` (RFC 8285).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// 1 to 14, or 16 to 255 with two-byte headers.
    pub id: u8,
    /// The way in which the author means to use it.
    pub direction: Direction,
    /// What it is.
    pub uri: String,
}

/// `a=rid` (RFC 8851) without its restrictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rid {
    /// The id.
    pub id: String,
    /// Whether the author sends it; otherwise it receives it.
    pub send: bool,
}

/// `a=ssrc` lines of one source (RFC 5576).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SsrcDescription {
    /// The source.
    pub ssrc: u32,
    /// Its canonical name.
    pub cname: Option<String>,
    /// Stream and track of older clients.
    pub msid: Option<Msid>,
}

/// `a=ssrc-group` (RFC 5576).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID` (a source and its retransmissions), `SIM` (simulcast layers), or another.
    pub semantics: String,
    /// The sources in order.
    pub ssrcs: Vec<u32>,
}

/// One media section: an `m=` line and what follows it, with the attributes of the session that it inherits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSection {
    /// What it carries.
    pub kind: MediaKind,
    /// First word of the `m=` line, as written.
    pub media: String,
    /// Port of the `m=` line; 0 is rejected unless [`MediaSection::bundle_only`].
    pub port: u16,
    /// Protocol of the `m=` line, such as `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// Formats of the `m=` line: payload types, or `webrtc-datachannel`.
    pub formats: Vec<String>,
    /// `a=mid`; empty when absent. Unique in the description.
    pub mid: String,
    /// Direction seen from the author.
    pub direction: Direction,
    /// `a=bundle-only`: port 0 that is no rejection.
    pub bundle_only: bool,
    /// `a=msid` lines.
    pub msids: Vec<Msid>,
    /// Codecs in order of preference, without RTX, which is a property of the codec that it repairs.
    pub codecs: Vec<CodecDescription>,
    /// Header extensions.
    pub extensions: Vec<Extension>,
    /// `a=extmap-allow-mixed` (RFC 8285 section 6).
    pub extmap_allow_mixed: bool,
    /// `a=rid` lines in order.
    pub rids: Vec<Rid>,
    /// Rids of `a=simulcast:send`, the first of each group of alternatives.
    pub simulcast_send: Vec<String>,
    /// Rids of `a=simulcast:recv`, the first of each group of alternatives.
    pub simulcast_recv: Vec<String>,
    /// Sources.
    pub ssrcs: Vec<SsrcDescription>,
    /// Groups of sources.
    pub ssrc_groups: Vec<SsrcGroup>,
    /// ICE user name fragment.
    pub ice_ufrag: Option<String>,
    /// ICE password.
    pub ice_pwd: Option<String>,
    /// Certificate fingerprints.
    pub fingerprints: Vec<Fingerprint>,
    /// DTLS role.
    pub setup: Option<Setup>,
    /// Candidates as `candidate:…`, without `a=`.
    pub candidates: Vec<String>,
    /// `a=end-of-candidates`.
    pub end_of_candidates: bool,
    /// RTP and RTCP on one port (RFC 5761).
    pub rtcp_mux: bool,
    /// Reduced-size RTCP (RFC 5506).
    pub rtcp_rsize: bool,
    /// SCTP port of a data section (RFC 8841).
    pub sctp_port: Option<u16>,
    /// Largest message in bytes that the author takes; 0 is no limit (RFC 8841).
    pub max_message_size: Option<u64>,
}

impl MediaSection {
    /// Whether the author rejected or stopped the section.
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// Stream and track of what the author sends: the first `a=msid`, or that of its first source.
    pub fn msid(&self) -> Option<&Msid> {
        self.msids
            .first()
            .or_else(|| self.ssrcs.iter().find_map(|source| source.msid.as_ref()))
    }

    /// Whether this is RTP over DTLS-SRTP with feedback and multiplexed RTCP.
    pub(crate) fn is_usable_rtp(&self) -> bool {
        matches!(self.kind, MediaKind::Audio | MediaKind::Video)
            && matches!(
                self.protocol.as_str(),
                "UDP/TLS/RTP/SAVPF" | "TCP/TLS/RTP/SAVPF" | "RTP/SAVPF"
            )
            && self.rtcp_mux
    }

    /// Whether this is SCTP over DTLS as of RFC 8841.
    pub(crate) fn is_usable_data(&self) -> bool {
        self.kind == MediaKind::Application
            && matches!(self.protocol.as_str(), "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP")
            && self
                .formats
                .iter()
                .any(|format| format == "webrtc-datachannel")
    }

    /// Adds to a list of the view unless it is full.
    pub(crate) fn push_bounded<T>(list: &mut Vec<T>, item: T) {
        if list.len() < limits::MAX_LIST_ITEMS {
            list.push(item);
        }
    }
}
