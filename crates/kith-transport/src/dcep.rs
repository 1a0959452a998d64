//! The Data Channel Establishment Protocol (RFC 8832): one message opens a channel, one acknowledges it.

/// The longest label that we take, bytes. LiveKit's have at most 11; a label is copied into every event of its channel's life.
pub const MAX_LABEL: usize = 256;

const ACK: u8 = 0x02;
const OPEN: u8 = 0x03;
const UNORDERED: u8 = 0x80;
const OPEN_HEADER: usize = 12;

/// How a lost message is treated (RFC 8832 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// Sent again until it arrives.
    Reliable,
    /// Sent again at most this often.
    Retransmits(u32),
    /// Sent again for at most this many milliseconds.
    Lifetime(u32),
}

/// `DATA_CHANNEL_OPEN`. Priority and protocol are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open<'a> {
    /// Messages may overtake each other.
    pub unordered: bool,
    /// What happens to lost ones.
    pub reliability: Reliability,
    /// The label, at most [`MAX_LABEL`] bytes.
    pub label: &'a str,
}

/// A message of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Opens the stream that it arrives on.
    Open(Open<'a>),
    /// Says that it is open.
    Ack,
}

/// Not a message of the protocol, or one that we do not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DcepError {
    /// Shorter than its lengths say.
    #[error("DCEP message too short")]
    Truncated,
    /// Neither OPEN nor ACK.
    #[error("DCEP message type {0}")]
    UnknownType(u8),
    /// A channel type that does not exist.
    #[error("DCEP channel type {0}")]
    UnknownChannelType(u8),
    /// Longer than [`MAX_LABEL`].
    #[error("data channel label of {0} bytes, at most {MAX_LABEL} are taken")]
    LabelTooLong(usize),
    /// Not UTF-8.
    #[error("data channel label is not UTF-8")]
    LabelNotUtf8,
}

impl<'a> Message<'a> {
    /// Reads a message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DcepError> {
        match *bytes {
            [ACK, ..] => Ok(Self::Ack),
            [OPEN, ..] => Open::parse(bytes).map(Self::Open),
            [other, ..] => Err(DcepError::UnknownType(other)),
            [] => Err(DcepError::Truncated),
        }
    }

    /// Writes the message.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Ack => vec![ACK],
            Self::Open(open) => open.to_vec(),
        }
    }
}

impl<'a> Open<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, DcepError> {
        let (header, rest) = bytes
            .split_first_chunk::<OPEN_HEADER>()
            .ok_or(DcepError::Truncated)?;
        let [_, channel_type, _, _, r0, r1, r2, r3, l0, l1, p0, p1] = *header;
        let parameter = u32::from_be_bytes([r0, r1, r2, r3]);
        let (label_len, protocol_len) = (
            u16::from_be_bytes([l0, l1]).into(),
            usize::from(u16::from_be_bytes([p0, p1])),
        );
        let (label, rest) = rest
            .split_at_checked(label_len)
            .ok_or(DcepError::Truncated)?;
        if rest.len() < protocol_len {
            return Err(DcepError::Truncated);
        }
        if label_len > MAX_LABEL {
            return Err(DcepError::LabelTooLong(label_len));
        }
        let label = std::str::from_utf8(label).map_err(|_| DcepError::LabelNotUtf8)?;
        let reliability = match channel_type & !UNORDERED {
            0 => Reliability::Reliable,
            1 => Reliability::Retransmits(parameter),
            2 => Reliability::Lifetime(parameter),
            _ => return Err(DcepError::UnknownChannelType(channel_type)),
        };
        Ok(Self {
            unordered: channel_type & UNORDERED != 0,
            reliability,
            label,
        })
    }

    fn to_vec(self) -> Vec<u8> {
        let (channel_type, parameter) = match self.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::Retransmits(count) => (1, count),
            Reliability::Lifetime(ms) => (2, ms),
        };
        // A label is cut rather than refused; nobody but the caller of `Transport::new` can make one too long.
        let label = self
            .label
            .get(..self.label.len().min(MAX_LABEL))
            .unwrap_or_default();
        let mut out = Vec::with_capacity(OPEN_HEADER + label.len());
        out.extend([
            OPEN,
            channel_type | if self.unordered { UNORDERED } else { 0 },
            0,
            0,
        ]);
        out.extend(parameter.to_be_bytes());
        out.extend((label.len() as u16).to_be_bytes());
        out.extend([0, 0]);
        out.extend(label.as_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chromiums_lossy_open() {
        let bytes = [&[3, 0x81, 1, 0, 0, 0, 0, 0, 0, 6, 0, 0][..], b"_lossy"].concat();
        let open = Open {
            unordered: true,
            reliability: Reliability::Retransmits(0),
            label: "_lossy",
        };
        assert_eq!(Message::parse(&bytes), Ok(Message::Open(open)));
        assert_eq!(Message::parse(&bytes[..17]), Err(DcepError::Truncated));
    }

    #[test]
    fn long_labels_are_refused() {
        let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0];
        bytes.extend([b'x'; 257]);
        assert_eq!(Message::parse(&bytes), Err(DcepError::LabelTooLong(257)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unordered: bool, kind in 0..3, parameter: u32, label in "\\PC{0,40}") {
            let reliability = match kind {
                0 => Reliability::Reliable,
                1 => Reliability::Retransmits(parameter),
                _ => Reliability::Lifetime(parameter),
            };
            let message = Message::Open(Open { unordered, reliability, label: &label });
            let written = message.to_vec();
            prop_assert_eq!(Message::parse(&written), Ok(message));
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _ = Message::parse(&bytes);
        }
    }
}
