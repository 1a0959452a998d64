//! Everything in the control plane that is drawn at random: sids, ICE credentials, SSRCs, trailers.

use kith_net::IceCredentials;

/// The 57 characters of LiveKit's ids: no `0`, `1`, `I`, `O` or `l`, which people mistake for each other.
const SID_ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Characters after the prefix of a sid: 57^12 is about 2^70, so sids do not repeat in a server's life.
const SID_LENGTH: usize = 12;

/// Letters and digits.
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Fills `out` from the system's generator.
#[expect(
    clippy::expect_used,
    reason = "the call fails only where the kernel has no generator at all; no secret may be made there, so nothing can go on"
)]
pub(crate) fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the system's random generator answers");
}

/// A random number of 32 bits.
pub(crate) fn u32() -> u32 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// A random number of 64 bits.
pub(crate) fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// `length` characters of `alphabet`, each equally likely: bytes that would favour the first ones are drawn again.
fn text(alphabet: &[u8], length: usize) -> String {
    let fair = 256 - 256 % alphabet.len().max(1);
    let mut out = String::with_capacity(length);
    let mut bytes = [0; 32];
    while out.len() < length {
        fill(&mut bytes);
        let letters = bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < fair)
            .filter_map(|byte| alphabet.get(byte % alphabet.len()));
        for letter in letters.take(length - out.len()) {
            out.push(char::from(*letter));
        }
    }
    out
}

/// A sid such as `PA_3kDq…`: `prefix` (underscore included) and twelve characters.
pub(crate) fn sid(prefix: &str) -> String {
    let mut sid = String::with_capacity(prefix.len() + SID_LENGTH);
    sid.push_str(prefix);
    sid.push_str(&text(SID_ALPHABET, SID_LENGTH));
    sid
}

/// Our ICE credentials for one transport, for its life or until an ICE restart.
pub(crate) fn ice_credentials() -> IceCredentials {
    let mut entropy = [0; 32];
    fill(&mut entropy);
    IceCredentials::from_entropy(entropy)
}

/// The room's mark on frames that the server makes itself (`JoinResponse.sif_trailer`): 43 characters, 256 bits.
pub(crate) fn sif_trailer() -> String {
    text(ALPHANUMERIC, 43)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_has_its_prefix_and_twelve_characters_of_the_alphabet() {
        let sid = sid("TR_VC");
        let (prefix, rest) = sid.split_at(5);
        assert_eq!(prefix, "TR_VC");
        assert_eq!(rest.len(), SID_LENGTH);
        assert!(rest.bytes().all(|byte| SID_ALPHABET.contains(&byte)));
        assert_ne!(sid, super::sid("TR_VC"));
    }
}
