//! The seam between the HTTP front and the rooms.
//!
//! The front turns a request with a token into a [`SessionRequest`], opens a [`SignalChannel`] and hands both to
//! [`Rooms::join`]. What comes back decides the HTTP status: the WebSocket upgrade happens only after `Ok`. From then on
//! the two sides know each other only through the channel's two bounded queues.

use std::{
    collections::BTreeMap,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use bytes::Bytes;
use kith_proto::{
    Message as _,
    livekit::{
        AddTrackRequest, ClientInfo, ReconnectReason, RoomConfiguration, SessionDescription,
        SignalRequest, SignalResponse, SyncState, participant_info, signal_response,
    },
};
use tokio::sync::mpsc;

use crate::auth::VideoGrants;

/// Requests of one client that may wait for its room. A client that sends faster is read slower (TCP backpressure).
pub const REQUEST_QUEUE: usize = 64;

/// Responses that may wait for one client's socket. A join of a large room sends one message per batch, so a healthy
/// client is never this far behind; the room treats a full queue as a dead client.
pub const RESPONSE_QUEUE: usize = 512;

/// Everything that a client and its token say about the session that it wants.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    /// API key that signed the token.
    pub api_key: String,
    /// When the token ends. Refresh tokens live at least as long.
    pub token_expires_at: SystemTime,
    /// Participant identity, 1 to `limit.max_participant_identity_length` bytes.
    pub identity: String,
    /// Display name, may be empty.
    pub name: String,
    /// Room name, 1 to `limit.max_room_name_length` bytes.
    pub room: String,
    /// What the token allows.
    pub grants: VideoGrants,
    /// Kind of participant.
    pub kind: participant_info::Kind,
    /// Details of the kind.
    pub kind_details: Vec<participant_info::KindDetail>,
    /// Metadata of the token, or of the join request where it has some.
    pub metadata: String,
    /// Attributes of the token, with those of the join request added.
    pub attributes: BTreeMap<String, String>,
    /// Room configuration of the token; counts only when this session creates the room.
    pub room_config: Option<RoomConfiguration>,
    /// Name of a room configuration of the server, may be empty.
    pub room_preset: String,
    /// What the client says about itself; `address` is filled from the connection.
    pub client_info: ClientInfo,
    /// Signal protocol number of the client (`client_info.protocol`).
    pub protocol: i32,
    /// Client protocol number (`client_info.client_protocol`), shown to the other participants.
    pub client_protocol: i32,
    /// Capabilities as enum numbers (`client_info.capabilities`), shown to the other participants.
    pub capabilities: Vec<i32>,
    /// One peer connection for both directions: the client sent a `join_request`.
    pub single_pc: bool,
    /// Subscribe to every track of the room.
    pub auto_subscribe: bool,
    /// Subscribe to every data track of the room.
    pub auto_subscribe_data_track: bool,
    /// The client adapts the streams to what it shows: start low.
    pub adaptive_stream: bool,
    /// The client's word on pausing its video under congestion; none: the server's configuration.
    pub subscriber_allow_pause: Option<bool>,
    /// The client wants a server that does connectivity checks of its own.
    pub disable_ice_lite: bool,
    /// Offer that came with the join request.
    pub publisher_offer: Option<SessionDescription>,
    /// Tracks to publish that came with the join request.
    pub add_track_requests: Vec<AddTrackRequest>,
    /// State to resume from that came with the join request. No known client fills it.
    pub sync_state: Option<SyncState>,
    /// The client resumes a session instead of beginning one.
    pub reconnect: Option<Reconnect>,
    /// Address of the client, as proxies or the socket name it.
    pub client_ip: IpAddr,
}

/// The session that a client wants to resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    /// Participant sid of the former connection; empty when the client did not say.
    pub participant_sid: String,
    /// Why the client reconnects.
    pub reason: ReconnectReason,
}

/// The room's end of a signalling connection.
#[derive(Debug)]
pub struct SignalChannel {
    /// What the client sends. Closed (`None`): the socket is gone.
    pub requests: mpsc::Receiver<SignalRequest>,
    /// What the client is sent, in order. The first message is a `JoinResponse`, a `ReconnectResponse` or a
    /// `LeaveRequest`. Dropping the sender closes the socket like [`Outbound::Close`].
    pub responses: mpsc::Sender<Outbound>,
}

/// The socket's end of a signalling connection.
#[derive(Debug)]
pub struct SocketChannel {
    /// Requests for the room.
    pub requests: mpsc::Sender<SignalRequest>,
    /// Responses for the client.
    pub responses: mpsc::Receiver<Outbound>,
}

impl SignalChannel {
    /// Both ends of a new connection.
    #[must_use]
    pub fn pair() -> (Self, SocketChannel) {
        let (request_sender, request_receiver) = mpsc::channel(REQUEST_QUEUE);
        let (response_sender, response_receiver) = mpsc::channel(RESPONSE_QUEUE);
        (
            Self {
                requests: request_receiver,
                responses: response_sender,
            },
            SocketChannel {
                requests: request_sender,
                responses: response_receiver,
            },
        )
    }
}

/// What a room sends down a signalling connection.
#[derive(Debug, Clone)]
pub enum Outbound {
    /// A message for this client alone.
    Message(Box<SignalResponse>),
    /// A message that goes to many clients: encoded once.
    Shared(SharedResponse),
    /// Close the socket (status 1000) after what was sent before.
    Close,
}

impl From<signal_response::Message> for Outbound {
    fn from(message: signal_response::Message) -> Self {
        Self::Message(Box::new(SignalResponse {
            message: Some(message),
        }))
    }
}

impl From<SignalResponse> for Outbound {
    fn from(response: SignalResponse) -> Self {
        Self::Message(Box::new(response))
    }
}

/// A response that is sent to many clients. Clones share one encoding.
#[derive(Debug, Clone)]
pub struct SharedResponse(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    response: SignalResponse,
    binary: OnceLock<Bytes>,
}

impl SharedResponse {
    /// Wraps a response for many receivers.
    #[must_use]
    pub fn new(response: SignalResponse) -> Self {
        Self(Arc::new(Shared {
            response,
            binary: OnceLock::new(),
        }))
    }

    /// The message.
    #[must_use]
    pub fn response(&self) -> &SignalResponse {
        &self.0.response
    }

    /// The protobuf encoding, made at the first call.
    #[must_use]
    pub fn binary(&self) -> Bytes {
        self.0
            .binary
            .get_or_init(|| self.0.response.encode_to_vec().into())
            .clone()
    }
}

impl From<signal_response::Message> for SharedResponse {
    fn from(message: signal_response::Message) -> Self {
        Self::new(SignalResponse {
            message: Some(message),
        })
    }
}

/// Why a session is refused before the upgrade. The text is the HTTP body; [`JoinError::status`] the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Rooms are not created by joining (`room.auto_create`), and this one does not exist. SDKs match this text.
    #[error("requested room does not exist")]
    RoomNotFound,
    /// The room has `max_participants` already.
    #[error("room is full: it has {0} participants already")]
    RoomFull(u32),
    /// The room preset of the token is not configured here.
    #[error("unknown room configuration in create room request")]
    UnknownPreset,
    /// The node has reached `limit.num_tracks` or `limit.bytes_per_sec`.
    #[error("node has exceeded its configured limit")]
    NodeLimit,
    /// The request does not fit: status 400.
    #[error("{0}")]
    Invalid(String),
    /// The token does not allow this: status 401.
    #[error("{0}")]
    NotAllowed(String),
    /// The server is stopping.
    #[error("server is shutting down")]
    ShuttingDown,
    /// Something that should not happen did.
    #[error("{0}")]
    Internal(String),
}

impl JoinError {
    /// HTTP status of the refused handshake. Clients do not try again after 401 and 403, so only lasting reasons give
    /// those.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::RoomNotFound => 404,
            Self::RoomFull(_) => 403,
            Self::UnknownPreset | Self::Invalid(_) => 400,
            Self::NotAllowed(_) => 401,
            Self::NodeLimit | Self::ShuttingDown => 503,
            Self::Internal(_) => 500,
        }
    }
}

/// A future of the rooms; boxed so that the front can hold any implementation.
pub type RoomsFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The rooms, as the HTTP front sees them.
pub trait Rooms: Send + Sync + 'static {
    /// Begins (or resumes) a session. `Ok` means that the session lives and its first response is on the way;
    /// the error becomes an HTTP status. Must answer within a few seconds: clients give up after five.
    fn join(
        &self,
        request: SessionRequest,
        channel: SignalChannel,
    ) -> RoomsFuture<'_, Result<(), JoinError>>;

    /// What [`Rooms::join`] would refuse, without joining (`/rtc/validate`).
    fn check<'a>(&'a self, request: &'a SessionRequest) -> RoomsFuture<'a, Result<(), JoinError>>;

    /// Appends metrics of the rooms in Prometheus' text format.
    fn write_metrics(&self, _out: &mut String) {}

    /// Tells every participant to leave and ends all sessions. Returns when the farewells are queued.
    fn shutdown(&self) -> RoomsFuture<'_, ()>;
}
