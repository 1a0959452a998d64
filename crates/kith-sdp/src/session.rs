//! A whole description.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::view::{self, SessionAttributes};
use crate::{MediaSection, PeerTransport, SdpError, TransportError, limits, transport};

/// A description that passed all checks: its text and the typed view of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    text: String,
    session_id: String,
    session_version: u64,
    ice_lite: bool,
    extmap_allow_mixed: bool,
    bundle_groups: Vec<Vec<String>>,
    media: Vec<MediaSection>,
}

impl SessionDescription {
    /// Parses a description. Lines may end with CRLF or LF. Attributes that are unknown or malformed are not in the
    /// typed view; only what breaks the structure, a limit or the uniqueness of mids is an error.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        limits::check(text)?;
        let session = sdp_types::Session::parse(text.as_bytes())
            .map_err(|error| SdpError::Syntax(error.to_string()))?;
        let attributes = SessionAttributes::read(&session.attributes);
        let media = session
            .medias
            .iter()
            .enumerate()
            .map(|(index, media)| view::section(media, &attributes, index))
            .collect::<Result<Vec<_>, _>>()?;
        let mut mids = HashSet::new();
        for section in media.iter().filter(|section| !section.mid.is_empty()) {
            if !mids.insert(section.mid.as_str()) {
                return Err(SdpError::DuplicateMid {
                    mid: section.mid.clone(),
                });
            }
        }
        Ok(SessionDescription {
            text: canonical_text(&session)?,
            session_id: session.origin.sess_id,
            session_version: session.origin.sess_version,
            ice_lite: attributes.ice_lite,
            extmap_allow_mixed: attributes.extmap_allow_mixed,
            bundle_groups: attributes.bundle_groups,
            media,
        })
    }

    /// The text, lines in RFC 8866 order and ended with CRLF.
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

    /// Whether the author takes one-byte and two-byte extension headers in one stream, said for all sections.
    pub fn extmap_allow_mixed(&self) -> bool {
        self.extmap_allow_mixed
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
        transport::read(self)
    }

    /// Which sections travel over the one transport: those of the first BUNDLE group, or the first that is not rejected
    /// when there is no group (RFC 9143 section 7.3).
    pub(crate) fn bundled(&self) -> Vec<bool> {
        match self.bundle_groups.first() {
            Some(group) => {
                let group: HashSet<&str> = group.iter().map(String::as_str).collect();
                self.media
                    .iter()
                    .map(|section| !section.mid.is_empty() && group.contains(section.mid.as_str()))
                    .collect()
            }
            None => {
                let first = self.media.iter().position(|section| !section.is_rejected());
                (0..self.media.len())
                    .map(|index| Some(index) == first)
                    .collect()
            }
        }
    }

    /// The section whose transport attributes are those of the bundle: the first of the group that is not rejected.
    pub(crate) fn tagged_section(&self) -> Option<&MediaSection> {
        match self.bundle_groups.first() {
            Some(group) => group
                .iter()
                .filter_map(|mid| self.section(mid))
                .find(|section| !section.is_rejected()),
            None => self.media.iter().find(|section| !section.is_rejected()),
        }
    }
}

/// Writes what was parsed.
fn canonical_text(session: &sdp_types::Session) -> Result<String, SdpError> {
    let mut bytes = Vec::new();
    session
        .write(&mut bytes)
        .map_err(|error| SdpError::Syntax(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| SdpError::Syntax(error.to_string()))
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
