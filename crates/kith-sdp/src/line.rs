//! Readers of single attribute values. Each returns `None` for a value that does not fit its grammar; the line is then
//! as if it were not there.

use crate::{Direction, Extension, Fingerprint, Msid, Rid, SsrcGroup, limits};

/// `rtpmap:<pt> <name>/<clock>[/<channels>]` (RFC 8866 section 6.6).
pub(crate) struct RtpMap<'a> {
    pub(crate) payload_type: u8,
    pub(crate) name: &'a str,
    pub(crate) clock_rate: u32,
    pub(crate) channels: u8,
}

pub(crate) fn rtpmap(value: &str) -> Option<RtpMap<'_>> {
    let (payload_type, encoding) = value.split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let name = parts.next().filter(|name| is_token(name))?;
    let clock_rate = parts.next()?.parse().ok()?;
    let channels = match parts.next() {
        Some(channels) => channels.parse().ok().filter(|channels| *channels > 0)?,
        None => 1,
    };
    Some(RtpMap {
        payload_type: self::payload_type(payload_type)?,
        name,
        clock_rate,
        channels,
    })
}

/// A payload type that RTP with multiplexed RTCP can use. 64 to 95 would read as RTCP (RFC 5761 section 4).
pub(crate) fn payload_type(text: &str) -> Option<u8> {
    let payload_type: u8 = text.parse().ok()?;
    (payload_type < 64 || (96..=127).contains(&payload_type)).then_some(payload_type)
}

/// `<pt> <rest>`, as in `fmtp` and `rtcp-fb`; `None` for the wildcard `*`.
pub(crate) fn for_payload_type(value: &str) -> Option<(Option<u8>, &str)> {
    let (target, rest) = value.split_once(' ')?;
    let target = if target == "*" {
        None
    } else {
        Some(payload_type(target)?)
    };
    Some((target, rest.trim()))
}

/// `extmap:<id>[/<direction>] <uri> [<attributes>]` (RFC 8285 section 8).
pub(crate) fn extmap(value: &str) -> Option<Extension> {
    let (id, rest) = value.split_once(' ')?;
    let (id, direction) = match id.split_once('/') {
        Some((id, direction)) => (id, Direction::from_name(direction)?),
        None => (id, Direction::SendRecv),
    };
    // 0 is padding and 15 stops a one-byte header (RFC 8285 section 4.2); above 255 is for offers that have more
    // extensions than ids (section 6), which we never need.
    let id: u8 = id.parse().ok().filter(|id| *id != 0 && *id != 15)?;
    let uri = rest.split(' ').next().filter(|uri| !uri.is_empty())?;
    Some(Extension {
        id,
        direction,
        uri: uri.to_owned(),
    })
}

/// `rid:<id> send|recv [<restrictions>]` (RFC 8851 section 10).
pub(crate) fn rid(value: &str) -> Option<Rid> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let id = words.next().filter(|id| is_rid(id))?;
    let send = match words.next()? {
        "send" => true,
        "recv" => false,
        _ => return None,
    };
    Some(Rid {
        id: id.to_owned(),
        send,
    })
}

/// RFC 8852 section 3.1 has letters and digits only; `-` and `_` are seen in the wild.
fn is_rid(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= limits::MAX_RID_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `simulcast:<dir> <list> [<dir> <list>]` (RFC 8853 section 5.1): the rids sent and received by the author.
pub(crate) fn simulcast(value: &str) -> (Vec<String>, Vec<String>) {
    let (mut send, mut recv) = (Vec::new(), Vec::new());
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    while let (Some(direction), Some(list)) = (words.next(), words.next()) {
        let target = match direction {
            "send" => &mut send,
            "recv" => &mut recv,
            _ => continue,
        };
        // Of alternatives (`,`) the first is the most wanted; `~` starts paused, which is the sender's business.
        // Firefox before 2018 wrote `rid=` in front.
        let list = list.strip_prefix("rid=").unwrap_or(list);
        for alternatives in list.split(';').take(limits::MAX_LIST_ITEMS) {
            let first = alternatives.split(',').next().unwrap_or_default();
            let id = first.strip_prefix('~').unwrap_or(first);
            if is_rid(id) && !target.iter().any(|known| known == id) {
                target.push(id.to_owned());
            }
        }
    }
    (send, recv)
}

/// `msid:<stream> [<track>]` (RFC 8830 section 2).
pub(crate) fn msid(value: &str) -> Option<Msid> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let stream = words.next()?;
    Some(Msid {
        stream: stream.to_owned(),
        track: words.next().unwrap_or_default().to_owned(),
    })
}

/// What an `ssrc` line tells about its source.
pub(crate) enum SsrcAttribute {
    Cname(String),
    Msid(Msid),
    Other,
}

/// `ssrc:<id> <attribute>[:<value>]` (RFC 5576 section 4.1).
pub(crate) fn ssrc(value: &str) -> Option<(u32, SsrcAttribute)> {
    let (id, attribute) = value.split_once(' ').unwrap_or((value, ""));
    let id = id.parse().ok()?;
    let attribute = match attribute.split_once(':') {
        Some(("cname", cname)) => SsrcAttribute::Cname(cname.to_owned()),
        Some(("msid", value)) => msid(value).map_or(SsrcAttribute::Other, SsrcAttribute::Msid),
        _ => SsrcAttribute::Other,
    };
    Some((id, attribute))
}

/// `ssrc-group:<semantics> <ssrc> …` (RFC 5576 section 4.2).
pub(crate) fn ssrc_group(value: &str) -> Option<SsrcGroup> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let semantics = words.next()?.to_owned();
    let ssrcs = words
        .take(limits::MAX_LIST_ITEMS)
        .map(|word| word.parse().ok())
        .collect::<Option<Vec<u32>>>()?;
    (!ssrcs.is_empty()).then_some(SsrcGroup { semantics, ssrcs })
}

/// `fingerprint:<hash> <hex>:<hex>…` (RFC 8122 section 5).
pub(crate) fn fingerprint(value: &str) -> Option<Fingerprint> {
    /// The longest digest there is, SHA-512.
    const MAX_DIGEST_BYTES: usize = 64;
    let (hash, digest) = value.split_once(' ')?;
    let digest = digest
        .trim()
        .split(':')
        .take(MAX_DIGEST_BYTES + 1)
        .map(|pair| match pair.as_bytes() {
            // `from_str_radix` alone would take a sign.
            [first, second] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => {
                u8::from_str_radix(pair, 16).ok()
            }
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()?;
    (digest.len() <= MAX_DIGEST_BYTES).then(|| Fingerprint {
        hash: hash.to_ascii_lowercase(),
        digest,
    })
}

/// The component of a candidate line: 1 is RTP, and with RTCP multiplexed everything (RFC 8839 section 5.1).
pub(crate) fn candidate_component(value: &str) -> Option<u16> {
    value.split(' ').nth(1)?.parse().ok()
}

/// ICE user name fragment or password of at least `shortest` characters. RFC 8839 section 5.4 has letters, digits, `+`
/// and `/`; what breaks nothing is taken too, except the colon that separates fragments in STUN's USERNAME.
pub(crate) fn ice_credential(value: &str, shortest: usize) -> Option<String> {
    let length_fits = (shortest..=limits::MAX_ICE_CREDENTIAL_BYTES).contains(&value.len());
    let characters_fit = value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b':');
    (length_fits && characters_fit).then(|| value.to_owned())
}

/// Whether `text` is a token of RFC 8866 section 9.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_types_that_read_as_rtcp_are_not_taken() {
        assert_eq!(payload_type("63"), Some(63));
        assert_eq!(payload_type("64"), None);
        assert_eq!(payload_type("95"), None);
        assert_eq!(payload_type("96"), Some(96));
        assert_eq!(payload_type("128"), None);
        assert_eq!(payload_type("-1"), None);
    }

    #[test]
    fn extension_ids_that_rfc_8285_reserves_are_not_taken() {
        assert!(extmap("0 urn:x").is_none());
        assert!(extmap("15 urn:x").is_none());
        assert!(extmap("4096 urn:x").is_none());
        let extension = extmap("8/sendonly urn:x with attributes").unwrap();
        assert_eq!(
            (extension.id, extension.direction, extension.uri.as_str()),
            (8, Direction::SendOnly, "urn:x")
        );
    }

    #[test]
    fn simulcast_lists_take_the_first_alternative_of_both_directions() {
        let (send, recv) = simulcast("send q,x;~h;f recv a");
        assert_eq!(send, ["q", "h", "f"]);
        assert_eq!(recv, ["a"]);
        assert_eq!(simulcast("send rid=q;h").0, ["q", "h"]);
    }

    #[test]
    fn fingerprints_are_whole_bytes_of_a_known_length() {
        let print = fingerprint("SHA-256 0a:FF").unwrap();
        assert_eq!(
            (print.hash.as_str(), print.digest.as_slice()),
            ("sha-256", &[10, 255][..])
        );
        assert!(fingerprint("sha-256 0a:+f").is_none());
        assert!(fingerprint("sha-256 a:b").is_none());
        assert!(fingerprint(&format!("sha-999 {}", vec!["00"; 65].join(":"))).is_none());
    }

    #[test]
    fn groups_with_a_malformed_source_are_no_groups() {
        assert_eq!(ssrc_group("FID 1 2").unwrap().ssrcs, [1, 2]);
        assert!(ssrc_group("FID 1 x").is_none());
        assert!(ssrc_group("FID").is_none());
    }
}
