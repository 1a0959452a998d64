//! What a description may hold. A description comes from a stranger: each limit bounds the memory that reading it
//! takes.

use crate::SdpError;

/// Longest description in bytes. A signalling message is at most 2 MiB, and a client with 190 video and 190 audio
/// sections (about 6.5 kB and 1.5 kB each in Chromium) stays below.
pub const MAX_DESCRIPTION_BYTES: usize = 2 << 20;

/// Most lines of a whole description. Lines of real clients are 36 bytes long on average, so this binds no real
/// description before [`MAX_DESCRIPTION_BYTES`] does; it keeps 4-byte lines from costing 100 bytes of memory each
/// half a million times.
pub const MAX_LINES: usize = 65_536;

/// Most media sections. Sections are never removed in a session, only reused, and a peer can be sent a few hundred
/// tracks.
pub const MAX_SECTIONS: usize = 1024;

/// Most lines of one media section, or of the part before the first. Chromium's longest section has 140.
pub const MAX_LINES_PER_SECTION: usize = 1024;

/// Longest line in bytes. It fits a BUNDLE group of [`MAX_SECTIONS`] mids of 32 bytes; other real lines stay below 300
/// bytes.
pub const MAX_LINE_BYTES: usize = 36_864;

/// Most entries of one kind in the typed view of one section: extensions, rids, SSRCs, groups, msids, fingerprints.
/// Surplus entries are ignored. Real sections have up to 15.
pub const MAX_LIST_ITEMS: usize = 64;

/// Most candidates taken from one section. Firefox with two interfaces gives 8; a machine with many interfaces gives
/// dozens. Surplus ones are ignored.
pub const MAX_CANDIDATES: usize = 64;

/// Most simulcast layers that we receive: LiveKit knows low, medium and high. Surplus layers are not accepted in the
/// answer.
pub const MAX_SIMULCAST_LAYERS: usize = 3;

/// Longest mid in bytes that is accepted. It travels in a header extension of every packet; clients use decimal numbers.
pub(crate) const MAX_MID_BYTES: usize = 32;

/// Longest rid in bytes that is accepted (RFC 8852 leaves 255; clients use one letter).
pub(crate) const MAX_RID_BYTES: usize = 32;

/// Longest ICE user name fragment or password (RFC 8839 section 5.4).
pub(crate) const MAX_ICE_CREDENTIAL_BYTES: usize = 256;

/// Counts lines and sections before anything is allocated for them.
pub(crate) fn check(text: &str) -> Result<(), SdpError> {
    if text.len() > MAX_DESCRIPTION_BYTES {
        return Err(SdpError::TooLong {
            bytes: text.len(),
            limit: MAX_DESCRIPTION_BYTES,
        });
    }
    let mut sections = 0;
    let mut lines_here = 0;
    for (number, line) in text.lines().enumerate() {
        if number >= MAX_LINES {
            return Err(SdpError::TooManyLines { limit: MAX_LINES });
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(SdpError::LineTooLong {
                line: number + 1,
                limit: MAX_LINE_BYTES,
            });
        }
        if line.starts_with("m=") {
            sections += 1;
            lines_here = 0;
            if sections > MAX_SECTIONS {
                return Err(SdpError::TooManySections {
                    limit: MAX_SECTIONS,
                });
            }
        }
        lines_here += 1;
        if lines_here > MAX_LINES_PER_SECTION {
            return Err(SdpError::TooManyLinesInSection {
                limit: MAX_LINES_PER_SECTION,
            });
        }
    }
    Ok(())
}
