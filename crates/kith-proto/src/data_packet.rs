//! Reading and rewriting a `DataPacket` on the wire.
//!
//! The server relays data packets between clients that may be newer than itself. Decoding and encoding would drop the
//! fields that this build does not know, so routing reads the few fields that it needs from the bytes and replaces the
//! few that the server vouches for. **Every other byte is passed on as it came, in its place.**
//!
//! Strictness: what protobuf readers may disagree about is refused, not passed on: truncated fields, field number 0,
//! a known field with another wire type, strings that are not UTF-8, groups (which proto3 does not have). The input's
//! length is the caller's limit; nothing here allocates more than the input plus the fields set.
//!
//! Follows <https://protobuf.dev/programming-guides/encoding/>.

use bytes::{BufMut, Bytes};

use crate::{
    livekit::data_packet::Kind,
    wire::{Fields, Value},
};

const KIND: u32 = 1;
const USER: u32 = 2;
const PARTICIPANT_IDENTITY: u32 = 4;
const DESTINATION_IDENTITIES: u32 = 5;
const SEQUENCE: u32 = 16;
const PARTICIPANT_SID: u32 = 17;

const USER_PARTICIPANT_SID: u32 = 1;
const USER_PAYLOAD: u32 = 2;
const USER_DESTINATION_SIDS: u32 = 3;
const USER_PARTICIPANT_IDENTITY: u32 = 5;
const USER_DESTINATION_IDENTITIES: u32 = 6;
const USER_NONCE: u32 = 11;

/// Why bytes are no data packet that can be relayed.
pub use crate::wire::WireError as DataPacketError;

/// Which payload a data packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// Bytes of the application, possibly with a topic.
    User,
    /// Active speakers; only old servers sent it.
    Speaker,
    /// A telephone key.
    SipDtmf,
    /// A transcription of speech.
    Transcription,
    /// Measurements of a client.
    Metrics,
    /// A chat message.
    ChatMessage,
    /// A remote procedure call.
    RpcRequest,
    /// The call arrived.
    RpcAck,
    /// The call's result.
    RpcResponse,
    /// Begin of a stream.
    StreamHeader,
    /// Part of a stream.
    StreamChunk,
    /// End of a stream.
    StreamTrailer,
    /// One of the others, end-to-end encrypted.
    Encrypted,
}

impl PayloadKind {
    const fn from_field(number: u32) -> Option<Self> {
        Some(match number {
            USER => Self::User,
            3 => Self::Speaker,
            6 => Self::SipDtmf,
            7 => Self::Transcription,
            8 => Self::Metrics,
            9 => Self::ChatMessage,
            10 => Self::RpcRequest,
            11 => Self::RpcAck,
            12 => Self::RpcResponse,
            13 => Self::StreamHeader,
            14 => Self::StreamChunk,
            15 => Self::StreamTrailer,
            18 => Self::Encrypted,
            _ => return None,
        })
    }
}

/// A data packet whose outer fields, and those of a user packet in it, were checked.
#[derive(Debug, Clone, Copy)]
pub struct DataPacketRef<'a> {
    bytes: &'a [u8],
    /// Which channel the sender meant (deprecated; the channel itself counts).
    pub kind: Kind,
    /// The payload's kind and its encoded message. None: no payload, or one that this build does not know.
    pub payload: Option<(PayloadKind, &'a [u8])>,
    /// Identity of the sender as the packet says. Not to be trusted.
    pub participant_identity: &'a str,
    /// Sid of the sender as the packet says. Not to be trusted.
    pub participant_sid: &'a str,
    /// Number of a reliable packet, counted by its publisher; 0: none.
    pub sequence: u32,
    /// Size of a user packet's payload; 0 for other packets.
    pub user_payload_len: usize,
    /// Nonce of a user packet: the same one twice is the same packet. Empty: none.
    pub nonce: &'a [u8],
}

/// What the server vouches for in a packet that it relays.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The channel that the packet came on.
    pub kind: Kind,
    /// Identity of the sender; empty (a hidden sender): the fields are removed.
    pub participant_identity: &'a str,
    /// Sid of the sender; empty (a hidden sender): the fields are removed.
    pub participant_sid: &'a str,
}

impl<'a> DataPacketRef<'a> {
    /// Checks the bytes and reads what routing needs.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DataPacketError> {
        let mut packet = Self {
            bytes,
            kind: Kind::Reliable,
            payload: None,
            participant_identity: "",
            participant_sid: "",
            sequence: 0,
            user_payload_len: 0,
            nonce: &[],
        };
        for field in Fields(bytes) {
            let field = field?;
            match field.number {
                // Enums and 32-bit numbers are the low bits of what is on the wire. Unknown kinds are left to the channel.
                KIND => {
                    packet.kind =
                        Kind::try_from(field.varint()? as u32 as i32).unwrap_or(Kind::Reliable)
                }
                PARTICIPANT_IDENTITY => packet.participant_identity = field.text()?,
                PARTICIPANT_SID => packet.participant_sid = field.text()?,
                DESTINATION_IDENTITIES => _ = field.text()?,
                SEQUENCE => packet.sequence = field.varint()? as u32,
                number => {
                    let Some(kind) = PayloadKind::from_field(number) else {
                        continue;
                    };
                    let content = field.bytes()?;
                    packet.payload = Some((kind, content));
                    if kind == PayloadKind::User {
                        packet.read_user(content)?;
                    }
                }
            }
        }
        Ok(packet)
    }

    fn read_user(&mut self, content: &'a [u8]) -> Result<(), DataPacketError> {
        for field in Fields(content) {
            let field = field?;
            match field.number {
                USER_PARTICIPANT_SID
                | USER_DESTINATION_SIDS
                | USER_PARTICIPANT_IDENTITY
                | USER_DESTINATION_IDENTITIES => _ = field.text()?,
                USER_PAYLOAD => self.user_payload_len = field.bytes()?.len(),
                USER_NONCE => self.nonce = field.bytes()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The encoded packet as it came.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Identities of the receivers, as the packet or (in older clients) its user packet names them; may repeat.
    /// If neither [`Self::destination_sids`] nor this has any, the packet is for everybody.
    pub fn destination_identities(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        texts(self.bytes, DESTINATION_IDENTITIES)
            .chain(self.user_texts(USER_DESTINATION_IDENTITIES))
    }

    /// Sids of the receivers, as older clients name them in the user packet; may repeat.
    pub fn destination_sids(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.user_texts(USER_DESTINATION_SIDS)
    }

    fn user_texts(&self, number: u32) -> impl Iterator<Item = &'a str> + use<'a> {
        users(self.bytes).flat_map(move |content| texts(content, number))
    }

    /// The packet as the server sends it on: `kind` and the sender are `stamp`'s, in a user packet too, and the
    /// receivers' identities stand in both places where clients look for them. All else is as it came.
    #[must_use]
    pub fn stamped(&self, stamp: &Stamp<'_>) -> Bytes {
        let outer: Vec<&str> = texts(self.bytes, DESTINATION_IDENTITIES).collect();
        let from_user: Vec<&str> = if outer.is_empty() {
            self.user_texts(USER_DESTINATION_IDENTITIES).collect()
        } else {
            Vec::new()
        };
        let room = stamp.participant_identity.len() + stamp.participant_sid.len();
        let copied: usize = outer
            .iter()
            .chain(&from_user)
            .map(|identity| identity.len() + MAX_HEADER)
            .sum();
        let mut out = Vec::with_capacity(self.bytes.len() + 2 * room + copied + 8 * MAX_HEADER);

        for field in Fields(self.bytes).map_while(Result::ok) {
            match field.number {
                KIND | PARTICIPANT_IDENTITY | PARTICIPANT_SID => {}
                USER => {
                    let Value::Bytes(content) = field.value else {
                        continue;
                    };
                    put_bytes(&mut out, USER, &stamped_user(content, stamp, &outer));
                }
                _ => out.put_slice(field.raw),
            }
        }
        if stamp.kind != Kind::Reliable {
            put_varint(&mut out, u64::from(KIND) << 3);
            put_varint(&mut out, stamp.kind as i32 as u64);
        }
        put_text(&mut out, PARTICIPANT_IDENTITY, stamp.participant_identity);
        put_text(&mut out, PARTICIPANT_SID, stamp.participant_sid);
        for identity in from_user {
            put_bytes(&mut out, DESTINATION_IDENTITIES, identity.as_bytes());
        }
        out.into()
    }
}

/// A user packet with its sender set and, where the outer packet names receivers, with those.
fn stamped_user(content: &[u8], stamp: &Stamp<'_>, destinations: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(
        content.len() + stamp.participant_identity.len() + stamp.participant_sid.len() + 32,
    );
    for field in Fields(content).map_while(Result::ok) {
        match field.number {
            USER_PARTICIPANT_SID | USER_PARTICIPANT_IDENTITY => {}
            USER_DESTINATION_IDENTITIES if !destinations.is_empty() => {}
            _ => out.put_slice(field.raw),
        }
    }
    put_text(&mut out, USER_PARTICIPANT_SID, stamp.participant_sid);
    put_text(
        &mut out,
        USER_PARTICIPANT_IDENTITY,
        stamp.participant_identity,
    );
    for identity in destinations {
        put_bytes(&mut out, USER_DESTINATION_IDENTITIES, identity.as_bytes());
    }
    out
}

/// Contents of all fields with this number that are UTF-8.
fn texts<'a>(bytes: &'a [u8], number: u32) -> impl Iterator<Item = &'a str> + use<'a> {
    Fields(bytes)
        .map_while(Result::ok)
        .filter(move |field| field.number == number)
        .filter_map(|field| field.text().ok())
}

/// Contents of the packet's user packets: several of them count as one (protobuf merges).
fn users<'a>(bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    Fields(bytes)
        .map_while(Result::ok)
        .filter(|field| field.number == USER)
        .filter_map(|field| field.bytes().ok())
}

/// Bytes of a tag below field 2048 and a 32-bit length, at most.
const MAX_HEADER: usize = 7;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, content.len() as u64);
    out.put_slice(content);
}

/// Like protobuf writers do, leaves an empty string out.
fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, number, text.as_bytes());
    }
}
