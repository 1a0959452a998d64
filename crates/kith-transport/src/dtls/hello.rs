//! Telling handshakes apart by what their hello messages say in the clear (RFC 6347 section 4.2, RFC 9147 section 5).

/// Content type of a handshake record.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// RFC 8446 section 4.1.3: the random value of a ServerHello that is a HelloRetryRequest.
const HELLO_RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The message that a fragment belongs to: its number in the handshake and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId {
    number: u16,
    len: u32,
}

/// A ClientHello, or the part of one that a datagram begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientHello {
    /// The beginning, or all of it. The random value names the handshake; it is the same in both of a handshake's ClientHellos.
    First {
        random: [u8; 32],
        /// The message, if there is more of it to come.
        unfinished: Option<MessageId>,
    },
    /// More of it.
    Later(MessageId),
}

/// What part of a ClientHello a datagram begins with, if any.
pub(crate) fn client_hello(datagram: &[u8]) -> Option<ClientHello> {
    let Fragment {
        message,
        offset,
        len,
        body,
    } = fragment(datagram, CLIENT_HELLO)?;
    if offset > 0 {
        return Some(ClientHello::Later(message));
    }
    Some(ClientHello::First {
        random: random(body)?,
        unfinished: (len < message.len).then_some(message),
    })
}

/// Whether an answer of ours goes beyond asking for a cookie. Only a client that received the cookie gets one.
pub(crate) fn is_beyond_cookie(datagram: &[u8]) -> bool {
    fragment(datagram, SERVER_HELLO)
        .filter(|fragment| fragment.offset == 0)
        .and_then(|fragment| random(fragment.body))
        .is_some_and(|random| random != HELLO_RETRY)
}

/// Whether an answer of ours asks for a cookie once more, because the one that came back was wrong.
pub(crate) fn asks_again(datagram: &[u8]) -> bool {
    fragment(datagram, HELLO_VERIFY_REQUEST).is_some_and(|fragment| fragment.message.number > 0)
}

struct Fragment<'a> {
    message: MessageId,
    offset: u32,
    len: u32,
    body: &'a [u8],
}

fn fragment(datagram: &[u8], kind: u8) -> Option<Fragment<'_>> {
    // Record: type, version, epoch, sequence number, length. Handshake: type, length, number, fragment offset, fragment length.
    let (record, rest) = datagram.split_first_chunk::<13>()?;
    let (&[message, l0, l1, l2, n0, n1, o0, o1, o2, f0, f1, f2], body) =
        rest.split_first_chunk::<12>()?;
    let u24 = |a, b, c| u32::from_be_bytes([0, a, b, c]);
    (record.first() == Some(&HANDSHAKE) && message == kind).then_some(Fragment {
        message: MessageId {
            number: u16::from_be_bytes([n0, n1]),
            len: u24(l0, l1, l2),
        },
        offset: u24(o0, o1, o2),
        len: u24(f0, f1, f2),
        body,
    })
}

/// It follows the version in both hellos.
fn random(body: &[u8]) -> Option<[u8; 32]> {
    body.get(2..)?.first_chunk().copied()
}
