//! One peer connection without I/O: ICE, DTLS, SRTP, SCTP data channels, RFC 4571 framing.
//!
//! What this crate is: [`Transport`], a state machine that is fed datagrams and the time, and polled for datagrams to send,
//! events and the next timer. It owns everything between a 5-tuple and plaintext RTP, RTCP and data channel messages.
//! What it is not: sockets, threads, clocks, SDP, or media. It does not look into RTP beyond what SRTP needs.
//!
//! Invariants:
//! - **Only an ICE-validated 5-tuple reaches DTLS, SRTP or SCTP.** Everything else is dropped without an answer.
//! - **Nothing above DTLS is believed before the peer's certificate matches the fingerprint of the session description.**
//! - **No datagram ends an established connection**, save an authenticated close. Before that, forged handshake messages can cost time
//!   (see `dtls`), and a certificate that is not the announced one ends it.
//! - **Media allocates nothing and searches nothing**: sealing is told the rollover counter, opening looks its SSRC up in a hash table.
//! - **Every queue and table is bounded** by a named constant.

mod api;
mod context;
pub mod dcep;
mod dtls;
mod error;
mod ice;
mod sctp;
pub mod srtp;
pub mod tcp_framing;
mod transport;

pub use api::{
    DataChannelSpec, DataLabel, Datagram, DtlsRole, Fingerprint, IceCredentials, Input, Path,
    Protocol, RemoteDescription, Transmit, TransportConfig, TransportEvent,
};
pub use context::TransportContext;
pub use error::{
    CandidateError, ContextError, CredentialsError, DataChannelError, Dropped, FailReason,
    SealError, SendDataError, SetRemoteError,
};
pub use transport::Transport;
