//! Which encodings a peer sends in a section.

use crate::{MAX_SIMULCAST_LAYERS, MediaSection, PeerEncoding};

/// URI of the rid header extension (RFC 8852).
pub(crate) const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// The rids that the author of `section` sends, in its order: those of `a=simulcast:send` that have an `a=rid`, or its
/// only `a=rid` (RFC 8853 section 5.3.2). At most [`MAX_SIMULCAST_LAYERS`].
pub(crate) fn sent_rids(section: &MediaSection) -> Vec<String> {
    let sent = |id: &str| section.rids.iter().any(|rid| rid.send && rid.id == id);
    if section.simulcast_send.is_empty() {
        let first = section.rids.iter().find(|rid| rid.send);
        return first.map(|rid| rid.id.clone()).into_iter().collect();
    }
    section
        .simulcast_send
        .iter()
        .filter(|id| sent(id))
        .take(MAX_SIMULCAST_LAYERS)
        .cloned()
        .collect()
}

/// The encodings that the author of `section` sends when `rids` were accepted.
pub(crate) fn encodings(
    section: &MediaSection,
    rids: &[String],
    simulcast: bool,
) -> Vec<PeerEncoding> {
    if !rids.is_empty() {
        // The sources are not told apart by the description: Chromium gives none, Firefox gives them without rids.
        return rids
            .iter()
            .map(|rid| PeerEncoding {
                rid: Some(rid.clone()),
                ssrc: None,
                rtx_ssrc: None,
            })
            .collect();
    }
    let layers = section
        .ssrc_groups
        .iter()
        .find(|group| simulcast && group.semantics == "SIM");
    let sources: Vec<u32> = match layers {
        Some(group) => group
            .ssrcs
            .iter()
            .copied()
            .take(MAX_SIMULCAST_LAYERS)
            .collect(),
        None => first_source(section).into_iter().collect(),
    };
    if sources.is_empty() {
        return vec![PeerEncoding::default()];
    }
    sources
        .into_iter()
        .map(|ssrc| PeerEncoding {
            rid: None,
            ssrc: Some(ssrc),
            rtx_ssrc: repair_source(section, ssrc),
        })
        .collect()
}

/// The first source that repairs no other.
fn first_source(section: &MediaSection) -> Option<u32> {
    let repairs = |ssrc: u32| {
        section.ssrc_groups.iter().any(|group| {
            group.semantics != "SIM" && group.ssrcs.iter().skip(1).any(|repair| *repair == ssrc)
        })
    };
    section
        .ssrcs
        .iter()
        .map(|source| source.ssrc)
        .find(|ssrc| !repairs(*ssrc))
}

/// The source of the retransmissions of `ssrc`.
fn repair_source(section: &MediaSection, ssrc: u32) -> Option<u32> {
    section
        .ssrc_groups
        .iter()
        .filter(|group| group.semantics == "FID")
        .find_map(|group| match group.ssrcs.as_slice() {
            [source, repair] if *source == ssrc => Some(*repair),
            _ => None,
        })
}
