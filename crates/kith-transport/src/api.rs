//! The nouns of the public API: what goes into a transport and what comes out.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::CredentialsError;

/// How a datagram travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// One UDP datagram.
    Udp,
    /// One frame of a TCP connection, already deframed (RFC 4571, see [`crate::tcp_framing`]).
    Tcp,
}

/// Something that arrived. For TCP, one deframed frame.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// How it travelled.
    pub proto: Protocol,
    /// The sender's address as our socket saw it.
    pub source: SocketAddr,
    /// Our own address; it must equal that of a local host candidate (not the wildcard a socket is bound to).
    pub destination: SocketAddr,
    /// The bytes. Media is decrypted in place.
    pub data: &'a mut [u8],
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// How it shall travel. A TCP transmit is one frame, not framed yet.
    pub proto: Protocol,
    /// Our address to send from.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What [`crate::Transport::handle_input`] made of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// A plaintext RTP packet, authenticated and not seen before. Mutable so that RTX can be unwrapped in place.
    Rtp(&'a mut [u8]),
    /// A plaintext compound RTCP packet, authenticated and not seen before.
    Rtcp(&'a [u8]),
    /// Consumed by ICE, DTLS or SCTP: poll for output, events and the timer.
    None,
}

/// A 5-tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// UDP or TCP.
    pub proto: Protocol,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// A user name fragment and password for ICE (RFC 8445 section 5.3), checked.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    ufrag: String,
    pwd: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password authenticates connectivity checks and has no place in a log.
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// RFC 8839 section 5.4 bounds both values at 256 characters.
const MAX_ICE_CREDENTIAL: usize = 256;
/// RFC 8839 section 5.4.
const MIN_ICE_UFRAG: usize = 4;
/// RFC 8839 section 5.4.
const MIN_ICE_PWD: usize = 22;

impl IceCredentials {
    /// Checks lengths and alphabet (RFC 8839 section 5.4; `-`, `_` and `=` are tolerated on top of `ice-char`, since clients send them).
    pub fn new(ufrag: impl Into<String>, pwd: impl Into<String>) -> Result<Self, CredentialsError> {
        let (ufrag, pwd) = (ufrag.into(), pwd.into());
        let ice_chars = |s: &str| {
            s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'='))
        };
        if !(MIN_ICE_UFRAG..=MAX_ICE_CREDENTIAL).contains(&ufrag.len()) {
            return Err(CredentialsError::UfragLength(ufrag.len()));
        }
        if !(MIN_ICE_PWD..=MAX_ICE_CREDENTIAL).contains(&pwd.len()) {
            return Err(CredentialsError::PwdLength(pwd.len()));
        }
        if !ice_chars(&ufrag) || !ice_chars(&pwd) {
            return Err(CredentialsError::Alphabet);
        }
        Ok(Self { ufrag, pwd })
    }

    /// Makes credentials out of 32 random bytes: a ufrag of 16 characters and a password of 26, 96 and 156 bits (RFC 8445 section
    /// 5.3 asks for 24 and 128).
    #[must_use]
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut chars = entropy.chunks(3).flat_map(|c| {
            let bits = c.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b));
            (0..c.len() * 8 / 6).map(move |i| {
                ALPHABET
                    .get((bits >> (6 * i) & 63) as usize)
                    .copied()
                    .map_or('A', char::from)
            })
        });
        // 32 bytes give 42 characters: 16 for the ufrag, 26 for the password (156 bits).
        let ufrag = chars.by_ref().take(16).collect();
        let pwd = chars.collect();
        Self { ufrag, pwd }
    }

    /// The user name fragment, 4–256 characters.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The password, 22–256 characters.
    #[must_use]
    pub fn pwd(&self) -> &str {
        &self.pwd
    }
}

/// The SHA-256 fingerprint of a certificate (RFC 8122).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// As in SDP, without the algorithm: `AA:BB:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which part we play in the DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// We send the ClientHello (`a=setup:active` in our description).
    Client,
    /// We wait for it (`a=setup:passive` in our description).
    Server,
}

/// What the peer's session description says about its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDescription {
    /// The peer's ICE credentials. Other ones than before mean that the peer restarted ICE.
    pub ice: IceCredentials,
    /// SHA-256 of the peer's certificate. It cannot change once DTLS has begun.
    pub fingerprint: Fingerprint,
    /// Our role. It cannot change once DTLS has begun.
    pub dtls_role: DtlsRole,
    /// The longest data channel message that the peer takes, bytes (`a=max-message-size`); 0 means no limit of the peer's.
    pub max_message_size: u32,
}

/// How a data channel that we open behaves (RFC 8832 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannelSpec {
    /// The label.
    pub label: DataLabel,
    /// Whether messages are delivered in order.
    pub ordered: bool,
    /// How often a lost message is sent again; `None` means until it arrives.
    pub max_retransmits: Option<u16>,
}

impl DataChannelSpec {
    /// The three channels of LiveKit: `_reliable` (ordered), `_lossy` and `_data_track` (unordered, never sent twice).
    #[must_use]
    pub fn livekit() -> Vec<Self> {
        let lossy = |label| Self {
            label,
            ordered: false,
            max_retransmits: Some(0),
        };
        vec![
            Self {
                label: DataLabel::Reliable,
                ordered: true,
                max_retransmits: None,
            },
            lossy(DataLabel::Lossy),
            lossy(DataLabel::DataTrack),
        ]
    }
}

/// The label of a data channel. The three that LiveKit uses cost nothing to clone and compare.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataLabel {
    /// `_reliable`
    Reliable,
    /// `_lossy`
    Lossy,
    /// `_data_track`
    DataTrack,
    /// Any other.
    Other(Arc<str>),
}

impl DataLabel {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
            Self::DataTrack => "_data_track",
            Self::Other(label) => label,
        }
    }
}

impl From<&str> for DataLabel {
    fn from(label: &str) -> Self {
        match label {
            "_reliable" => Self::Reliable,
            "_lossy" => Self::Lossy,
            "_data_track" => Self::DataTrack,
            other => Self::Other(Arc::from(other)),
        }
    }
}

impl fmt::Display for DataLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a transport is made of.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Our ICE credentials.
    pub local_ice: IceCredentials,
    /// Only answer connectivity checks (RFC 8445 section 2.5). Otherwise full ICE.
    pub ice_lite: bool,
    /// Full ICE only: start in the controlling role (the offerer's, unless the peer is lite).
    pub controlling: bool,
    /// Full ICE only: random, settles who controls when both ends want to. (DTLS and SCTP draw their own randomness.)
    pub entropy: [u8; 32],
    /// Channels that we open as soon as SCTP is up.
    pub data_channels: Vec<DataChannelSpec>,
    /// The longest data channel message that we take, bytes; announced in SDP by the caller. At most
    /// [`crate::Transport::MAX_MESSAGE_SIZE`].
    pub max_message_size: u32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// Connectivity checks succeed: there is a path, or there is one again.
    IceConnected,
    /// No check came through for the consent timeout. Media is not sent until [`TransportEvent::IceConnected`] comes again.
    IceDisconnected,
    /// Media goes this way from now on.
    PathChanged(Path),
    /// DTLS is up, the peer's certificate is the announced one, SRTP has its keys.
    Connected,
    /// A channel can be written to. Opened by us or by the peer.
    DataChannelOpen {
        /// Which one.
        label: DataLabel,
    },
    /// A whole message arrived.
    Data {
        /// On which channel.
        label: DataLabel,
        /// The message.
        payload: Bytes,
        /// Binary, as opposed to text (RFC 8831 section 8).
        binary: bool,
    },
    /// A channel is gone.
    DataChannelClosed {
        /// Which one.
        label: DataLabel,
    },
    /// A channel that refused a message with [`crate::SendDataError::Full`] takes messages again.
    BufferedLow {
        /// Which one.
        label: DataLabel,
    },
    /// The peer closed the connection in order (DTLS `close_notify`).
    Closed,
    /// The connection can no longer work.
    Failed(crate::FailReason),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_credentials_are_valid_and_differ() {
        let made =
            IceCredentials::from_entropy(std::array::from_fn(|i| (i as u8).wrapping_mul(37)));
        assert_eq!((made.ufrag().len(), made.pwd().len()), (16, 26));
        assert_eq!(
            IceCredentials::new(made.ufrag(), made.pwd()).as_ref(),
            Ok(&made)
        );
        for byte in 0..32 {
            let mut entropy: [u8; 32] = std::array::from_fn(|i| (i as u8).wrapping_mul(37));
            entropy[byte] ^= 1;
            assert_ne!(
                IceCredentials::from_entropy(entropy),
                made,
                "byte {byte} counts"
            );
        }
        assert!(!format!("{made:?}").contains(made.pwd()));
    }

    #[test]
    fn credentials_are_checked() {
        let pwd = "p".repeat(22);
        assert_eq!(
            IceCredentials::new("abc", &*pwd),
            Err(CredentialsError::UfragLength(3))
        );
        assert_eq!(
            IceCredentials::new("abcd", "short"),
            Err(CredentialsError::PwdLength(5))
        );
        assert_eq!(
            IceCredentials::new("ab:d", &*pwd),
            Err(CredentialsError::Alphabet)
        );
        assert!(IceCredentials::new("ab/+", &*pwd).is_ok());
    }

    #[test]
    fn fingerprints_look_as_in_sdp() {
        assert!(Fingerprint([0xab; 32]).to_string().starts_with("AB:AB:AB"));
        assert_eq!(Fingerprint([0; 32]).to_string().len(), 95);
    }
}
