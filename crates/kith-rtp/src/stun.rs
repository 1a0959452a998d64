//! What a shard must see of a datagram to hand it on: which protocol it is (RFC 7983, RFC 5761), and which ICE
//! username a STUN request names (RFC 8489).

/// The protocol of a datagram on a media port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatagramKind {
    /// STUN (RFC 8489).
    Stun,
    /// DTLS record (RFC 9147).
    Dtls,
    /// TURN channel data (RFC 8656).
    Turn,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// None of these; ZRTP and the empty datagram included.
    Unknown,
}

/// Tells the protocol from the first byte (RFC 7983 section 7), and RTCP from RTP by the second (RFC 5761 section 4).
#[inline]
pub fn classify(datagram: &[u8]) -> DatagramKind {
    match *datagram {
        [128..=191, 192..=223, ..] => DatagramKind::Rtcp,
        [128..=191, ..] => DatagramKind::Rtp,
        [0..=3, ..] => DatagramKind::Stun,
        [20..=63, ..] => DatagramKind::Dtls,
        [64..=79, ..] => DatagramKind::Turn,
        _ => DatagramKind::Unknown,
    }
}

const HEADER_LEN: usize = 20;
const MAGIC_COOKIE: u32 = 0x2112_A442;
const BINDING_REQUEST: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
/// RFC 8489 section 14.3.
const MAX_USERNAME_LEN: usize = 508;

/// The USERNAME of a STUN binding request, or `None` if `datagram` is anything else. Nothing is verified but the form;
/// it only says whose request this claims to be. In ICE (RFC 8445 section 7.2.2) the text is
/// `receiver's ufrag ":" sender's ufrag`.
pub fn binding_request_username(datagram: &[u8]) -> Option<&str> {
    let (header, rest) = datagram.split_first_chunk::<HEADER_LEN>()?;
    let message_type = u16::from_be_bytes([header[0], header[1]]);
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if message_type != BINDING_REQUEST || cookie != MAGIC_COOKIE || len != rest.len() {
        return None;
    }
    let mut attributes = rest;
    // Every attribute takes at least its four bytes of head, so the walk is bounded by the datagram.
    while let Some((head, after)) = attributes.split_first_chunk::<4>() {
        let attribute = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..len)?;
        if attribute == USERNAME {
            let text = (len <= MAX_USERNAME_LEN).then_some(value)?;
            return std::str::from_utf8(text).ok();
        }
        attributes = after.get(len.next_multiple_of(4)..)?;
    }
    None
}

/// The receiver's ufrag of a STUN binding request: the username up to its first colon.
pub fn binding_request_ufrag(datagram: &[u8]) -> Option<&str> {
    binding_request_username(datagram)?
        .split_once(':')
        .map(|(ours, _)| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample request of RFC 5769 section 2.1.
    #[rustfmt::skip]
    const SAMPLE_REQUEST: [u8; 108] = [
        0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
        0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c,
        0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f,
        0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,
        0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
        0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
    ];

    #[test]
    fn the_username_of_the_rfcs_sample_request_is_found() {
        assert_eq!(classify(&SAMPLE_REQUEST), DatagramKind::Stun);
        assert_eq!(binding_request_username(&SAMPLE_REQUEST), Some("evtj:h6vY"));
        assert_eq!(binding_request_ufrag(&SAMPLE_REQUEST), Some("evtj"));
    }

    #[test]
    fn truncated_and_altered_requests_name_nobody() {
        for len in 0..SAMPLE_REQUEST.len() {
            assert_eq!(binding_request_username(&SAMPLE_REQUEST[..len]), None);
        }
        for (position, value) in [(1, 0x03), (0, 0x01), (4, 0x20), (3, 0x5C), (43, 0xFF)] {
            let mut altered = SAMPLE_REQUEST;
            altered[position] = value;
            assert_eq!(binding_request_username(&altered), None);
        }
    }

    #[test]
    fn the_first_byte_tells_the_protocol() {
        let kind = |first| classify(&[first, 0x60]);
        assert_eq!(kind(0), DatagramKind::Stun);
        assert_eq!(kind(3), DatagramKind::Stun);
        assert_eq!(kind(4), DatagramKind::Unknown);
        assert_eq!(kind(16), DatagramKind::Unknown);
        assert_eq!(kind(20), DatagramKind::Dtls);
        assert_eq!(kind(63), DatagramKind::Dtls);
        assert_eq!(kind(64), DatagramKind::Turn);
        assert_eq!(kind(79), DatagramKind::Turn);
        assert_eq!(kind(80), DatagramKind::Unknown);
        assert_eq!(kind(128), DatagramKind::Rtp);
        assert_eq!(kind(191), DatagramKind::Rtp);
        assert_eq!(kind(192), DatagramKind::Unknown);
        assert_eq!(classify(&[]), DatagramKind::Unknown);
        assert_eq!(classify(&[0x80, 200]), DatagramKind::Rtcp);
        assert_eq!(classify(&[0x80, 191]), DatagramKind::Rtp);
        assert_eq!(classify(&[0x80, 223]), DatagramKind::Rtcp);
        assert_eq!(classify(&[0x80, 224]), DatagramKind::Rtp);
    }
}
