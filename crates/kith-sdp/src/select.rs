//! Choosing codecs and header extensions from what is on offer.

use std::collections::HashMap;

use crate::{
    CodecDescription, CodecPreference, Direction, Extension, MediaKind, NegotiatedExtension,
    SenderSpec, codec, fmtp_compatible, line, table,
};

/// Whether a codec of this kind is the wanted one.
pub(crate) fn matches(codec: &CodecDescription, kind: MediaKind, wanted: &CodecPreference) -> bool {
    let Some((wanted_kind, wanted_name)) = wanted.mime.split_once('/') else {
        return false;
    };
    wanted_kind.eq_ignore_ascii_case(kind.as_str())
        && wanted_name.eq_ignore_ascii_case(&codec.name)
        && wanted
            .fmtp
            .as_ref()
            .is_none_or(|fmtp| fmtp_compatible(&codec.name, fmtp, &codec.fmtp))
}

/// The offered codecs that are wanted, in the order of the wishes. No wishes: all that can be forwarded, in the order
/// of the offer.
pub(crate) fn codecs<'a>(
    offered: &'a [CodecDescription],
    kind: MediaKind,
    wanted: &[CodecPreference],
) -> Vec<&'a CodecDescription> {
    let mut chosen: Vec<&CodecDescription> = Vec::new();
    if wanted.is_empty() {
        chosen.extend(
            offered
                .iter()
                .filter(|codec| codec::is_forwardable(kind, &codec.name)),
        );
    }
    for wish in wanted {
        for candidate in offered
            .iter()
            .filter(|candidate| matches(candidate, kind, wish))
        {
            if !chosen
                .iter()
                .any(|codec| codec.payload_type == candidate.payload_type)
            {
                chosen.push(candidate);
            }
        }
    }
    drop_lone_red(kind, &mut chosen, |codec| codec);
    chosen
}

/// Removes redundant audio whose blocks are of no chosen codec (RFC 2198 section 5: its `fmtp` lists their payload
/// types).
pub(crate) fn drop_lone_red<T>(
    kind: MediaKind,
    chosen: &mut Vec<T>,
    view: impl Fn(&T) -> &CodecDescription,
) {
    if kind != MediaKind::Audio {
        return;
    }
    let is_red = |codec: &CodecDescription| codec.name.eq_ignore_ascii_case("red");
    let plain: Vec<u8> = chosen
        .iter()
        .map(&view)
        .filter(|codec| !is_red(codec))
        .map(|codec| codec.payload_type)
        .collect();
    chosen.retain(|item| {
        let codec = view(item);
        !is_red(codec)
            || codec.fmtp.split('/').all(|block| {
                line::payload_type(block.trim()).is_some_and(|block| plain.contains(&block))
            })
    });
}

/// Keeps one meaning per extension id and one id per extension over the whole transport. Browsers refuse a description
/// in which one id has two meanings, and packets are read with one map per transport.
#[derive(Default)]
pub(crate) struct ExtensionIds<'a> {
    by_id: HashMap<u8, &'a str>,
    by_uri: HashMap<&'a str, u8>,
}

impl<'a> ExtensionIds<'a> {
    /// Whether `id` can mean `uri`; remembers that it does.
    pub(crate) fn claim(&mut self, id: u8, uri: &'a str) -> bool {
        match (self.by_id.get(&id), self.by_uri.get(uri)) {
            (None, None) => {
                self.by_id.insert(id, uri);
                self.by_uri.insert(uri, id);
                true
            }
            (Some(known_uri), Some(known_id)) => *known_uri == uri && *known_id == id,
            _ => false,
        }
    }
}

/// The highest id of a one-byte header (RFC 8285 section 4.2).
const MAX_ONE_BYTE_ID: u8 = 14;

/// The offered extensions that an answer takes, each with the direction in which it is written: those that Kith knows and
/// those that are wanted here. The known ones are taken in every section, even where nothing flows, because what one
/// answer refuses is offered no more: not in this section (RFC 9429 section 5.2.2) and, by Chromium 156, not in sections
/// added later either, which take over what the first section of their kind has. A join whose placeholder sections were
/// answered without rid could never publish simulcast.
pub(crate) fn extensions<'a>(
    offered: &'a [Extension],
    allow_mixed: bool,
    ours: Direction,
    receive: Option<&[String]>,
    sender: Option<&SenderSpec>,
    ids: &mut ExtensionIds<'a>,
) -> Vec<(NegotiatedExtension, Direction)> {
    let mut chosen: Vec<(NegotiatedExtension, Direction)> = Vec::new();
    for extension in offered {
        let known = |list: &[String]| list.contains(&extension.uri);
        let receives = ours.receives() && extension.direction.sends() && receive.is_some_and(known);
        let sends = ours.sends()
            && extension.direction.receives()
            && sender.is_some_and(|sender| known(&sender.extensions));
        // Two-byte headers in a stream of one-byte headers need the peer's word (RFC 8285 section 4.1.2).
        let id_fits = extension.id <= MAX_ONE_BYTE_ID || allow_mixed;
        let wanted = receives || sends || table::is_known_extension(&extension.uri);
        if !wanted
            || !id_fits
            || chosen.iter().any(|(known, _)| known.uri == extension.uri)
            || !ids.claim(extension.id, &extension.uri)
        {
            continue;
        }
        let negotiated = NegotiatedExtension {
            id: extension.id,
            uri: extension.uri.clone(),
            send: sends,
            receive: receives,
        };
        chosen.push((negotiated, extension.direction.reversed()));
    }
    chosen
}
