//! One signalling WebSocket: frames to requests, responses to frames.
//!
//! The first frame sent is the room's first response. Binary frames are protobuf, text frames protobuf JSON; an answer
//! takes the form of the last frame that came. Pings of the signal protocol are answered here, so that a busy room does
//! not look like a dead connection. When the room is slow, the socket is not read (TCP holds the client back); when the
//! client is slow, the room's queue fills, and the room decides.

use std::{
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _};
use kith_proto::{
    Message as _, json,
    livekit::{Pong, SignalRequest, SignalResponse, signal_request, signal_response},
    signal,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use yawc::{
    DeflatePool, Frame, HttpStream, OpCode, Options, WebSocket, WebSocketError, close::CloseCode,
};

use crate::{
    config::LimitConfig,
    signal::{Outbound, SocketChannel},
};

/// How often the client is pinged, as LiveKit does.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// A client that sent nothing for so long, not even a pong, is gone: four pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);

/// How long a client may take to receive what is written. Longer than a phone needs to change networks.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for the client's close frame after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest message when the configuration sets no limit, bytes.
const HIGHEST_MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

/// Messages below this are sent uncompressed, bytes: pongs and candidates do not get smaller.
const COMPRESSION_THRESHOLD: usize = 256;

/// Compressors that are kept for the next message, about one for each thread.
const IDLE_COMPRESSORS: usize = 32;

/// Responses that are written before the socket is flushed.
const BATCH: usize = 32;

/// Socket options: compression without context from message to message. A context costs 370 kB for each of
/// thousands of sockets, and the large messages (SDP) compress well without.
pub(super) fn options(limit: &LimitConfig) -> Options {
    let largest = match limit.signal_message_size_limit {
        0 => HIGHEST_MESSAGE_LIMIT,
        limit => (limit as usize).min(HIGHEST_MESSAGE_LIMIT),
    };
    Options::default()
        .with_low_latency_compression()
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(IDLE_COMPRESSORS))
        .with_compression_threshold(COMPRESSION_THRESHOLD)
        // Both limits exclude their value; they hold before and after inflation.
        .with_limits(largest + 1, largest + 1)
        .with_read_buffer_capacity(2048)
        .with_write_buffer_capacity(2048)
}

/// Counts an open socket while it lives.
pub(super) struct OpenSocket(Arc<AtomicUsize>);

impl OpenSocket {
    pub(super) fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a socket ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it, or the connection broke.
    Client,
    /// The room closed it.
    Room,
    /// The client sent nothing for too long.
    Silent,
    /// The client does not take what is sent.
    Stuck,
    /// The client sent something that is no request.
    BadRequest(String),
    /// The WebSocket layer refused what the client sent.
    Protocol(WebSocketError),
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => formatter.write_str("closed by the client"),
            Self::Room => formatter.write_str("closed by the room"),
            Self::Silent => formatter.write_str("no sign of life from the client"),
            Self::Stuck => formatter.write_str("the client does not read"),
            Self::BadRequest(why) => write!(formatter, "bad request: {why}"),
            Self::Protocol(error) => write!(formatter, "{error}"),
        }
    }
}

/// Carries a session's messages until one side ends it.
pub(super) async fn run(websocket: WebSocket<HttpStream>, channel: SocketChannel) -> End {
    let SocketChannel {
        requests,
        mut responses,
    } = channel;
    let mut socket = Socket {
        websocket,
        text: false,
        greeted: false,
    };
    let end = socket.carry(requests, &mut responses).await;
    // The room learns at once that the client is gone: its sender finds the queue closed.
    drop(responses);
    let code = match &end {
        End::Stuck => return end,
        // If it said so, it waits for the answer.
        End::Client => {
            let _ = timeout(CLOSE_TIMEOUT, socket.write_queued()).await;
            return end;
        }
        End::Room => CloseCode::Normal,
        End::Silent => CloseCode::Away,
        End::BadRequest(_) => CloseCode::Invalid,
        End::Protocol(error) => {
            let code = match error {
                WebSocketError::FrameTooLarge => CloseCode::Size,
                WebSocketError::InvalidUTF8 => CloseCode::Invalid,
                _ => CloseCode::Protocol,
            };
            let _ = timeout(CLOSE_TIMEOUT, socket.refuse(code)).await;
            return end;
        }
    };
    socket.close(code).await;
    end
}

struct Socket {
    websocket: WebSocket<HttpStream>,
    /// Whether the last frame that came was text.
    text: bool,
    /// Whether the room's first response was sent. Nothing goes out before it.
    greeted: bool,
}

impl Socket {
    async fn carry(
        &mut self,
        requests: mpsc::Sender<SignalRequest>,
        responses: &mut mpsc::Receiver<Outbound>,
    ) -> End {
        let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_heard = Instant::now();
        // A place in the room's queue, taken before a frame is read, so that reading never has to wait for the room.
        let mut place = None;
        let mut room_listens = true;
        loop {
            tokio::select! {
                reserved = requests.clone().reserve_owned(), if place.is_none() && room_listens => {
                    match reserved {
                        Ok(permit) => place = Some(permit),
                        // The room is done with the client; what it still sends is sent.
                        Err(_) => room_listens = false,
                    }
                }
                frame = self.websocket.next_frame(), if place.is_some() || !room_listens => {
                    last_heard = Instant::now();
                    let request = match frame {
                        Ok(frame) => match self.read(&frame).await {
                            Ok(request) => request,
                            Err(end) => return end,
                        },
                        Err(WebSocketError::ConnectionClosed | WebSocketError::IoError(_)) => return End::Client,
                        Err(error) => return End::Protocol(error),
                    };
                    if let Some(request) = request
                        && let Some(place) = place.take()
                    {
                        place.send(request);
                    }
                }
                outbound = responses.recv() => {
                    let Some(outbound) = outbound else { return End::Room };
                    match timeout(WRITE_TIMEOUT, self.write(outbound, responses)).await {
                        Ok(Ok(true)) => {}
                        Ok(Ok(false)) => return End::Room,
                        Ok(Err(_)) => return End::Client,
                        Err(_) => return End::Stuck,
                    }
                }
                _ = ping.tick() => {
                    if last_heard.elapsed() > SILENCE_LIMIT {
                        return End::Silent;
                    }
                    match timeout(WRITE_TIMEOUT, self.websocket.send(Frame::ping(Bytes::new()))).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return End::Client,
                        Err(_) => return End::Stuck,
                    }
                }
            }
        }
    }

    /// Looks at a frame: the request in it, or nothing for the room.
    async fn read(&mut self, frame: &Frame) -> Result<Option<SignalRequest>, End> {
        let request = match frame.opcode() {
            OpCode::Binary => {
                self.text = false;
                signal::decode_binary(frame.payload())
            }
            OpCode::Text => {
                self.text = true;
                signal::decode_text(frame.payload())
            }
            OpCode::Close => return Err(End::Client),
            OpCode::Ping => {
                // The pong is queued by the library; written at once, a flood of pings cannot pile up pongs.
                return match timeout(WRITE_TIMEOUT, self.write_queued()).await {
                    Ok(Ok(())) => Ok(None),
                    Ok(Err(_)) => Err(End::Client),
                    Err(_) => Err(End::Stuck),
                };
            }
            OpCode::Pong | OpCode::Continuation => return Ok(None),
        };
        let request = request.map_err(|error| End::BadRequest(error.to_string()))?;
        match &request.message {
            Some(signal_request::Message::Ping(_)) => {
                self.answer(signal_response::Message::Pong(now_ms()))
                    .await?;
                Ok(None)
            }
            Some(signal_request::Message::PingReq(ping)) => {
                let pong = Pong {
                    last_ping_timestamp: ping.timestamp,
                    timestamp: now_ms(),
                };
                self.answer(signal_response::Message::PongResp(pong))
                    .await?;
                // The room takes the round-trip time from it.
                Ok(Some(request))
            }
            // A request of a newer client.
            None => Ok(None),
            Some(_) => Ok(Some(request)),
        }
    }

    /// Sends an answer of the socket's own, if the session has begun.
    async fn answer(&mut self, message: signal_response::Message) -> Result<(), End> {
        if !self.greeted {
            return Ok(());
        }
        let Some(frame) = self.encode(&Outbound::from(message)) else {
            return Ok(());
        };
        match timeout(WRITE_TIMEOUT, self.websocket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Client),
            Err(_) => Err(End::Stuck),
        }
    }

    /// Writes a response and those that wait behind it. False: the room wants the socket closed.
    async fn write(
        &mut self,
        first: Outbound,
        responses: &mut mpsc::Receiver<Outbound>,
    ) -> Result<bool, WebSocketError> {
        let mut next = Some(first);
        let mut written = 0;
        while let Some(outbound) = next {
            if matches!(outbound, Outbound::Close) {
                self.websocket.flush().await?;
                return Ok(false);
            }
            if let Some(frame) = self.encode(&outbound) {
                self.websocket.feed(frame).await?;
                self.greeted = true;
            }
            written += 1;
            next = if written < BATCH {
                responses.try_recv().ok()
            } else {
                None
            };
        }
        self.websocket.flush().await?;
        Ok(true)
    }

    /// The frame for a response. None: it has no JSON form, or is no message.
    fn encode(&self, outbound: &Outbound) -> Option<Frame> {
        let (response, shared): (&SignalResponse, _) = match outbound {
            Outbound::Message(response) => (response, None),
            Outbound::Shared(shared) => (shared.response(), Some(shared)),
            Outbound::Close => return None,
        };
        if self.text {
            return match json::to_string(response) {
                Ok(text) => Some(Frame::text(text)),
                Err(error) => {
                    tracing::warn!(%error, "a response has no JSON form");
                    None
                }
            };
        }
        Some(Frame::binary(match shared {
            Some(shared) => shared.binary(),
            None => response.encode_to_vec().into(),
        }))
    }

    /// Writes the pongs and close frames that the library has queued. Flushing alone does not touch them.
    async fn write_queued(&mut self) -> Result<(), WebSocketError> {
        poll_fn(|context| self.websocket.poll_ready_unpin(context)).await
    }

    /// Ends a connection on which the client broke the protocol.
    async fn refuse(&mut self, code: CloseCode) -> Result<(), WebSocketError> {
        // For most violations the library has queued a close frame, and has stopped reading. Not so when a message becomes
        // too large in pieces.
        match self.websocket.next_frame().now_or_never() {
            Some(Err(WebSocketError::ConnectionClosed)) => self.write_queued().await,
            _ => self.websocket.send(Frame::close(code, "")).await,
        }
    }

    async fn close(&mut self, code: CloseCode) {
        let farewell = async {
            self.websocket.send(Frame::close(code, "")).await?;
            // Until the client's close frame, or the end of the connection.
            while self.websocket.next_frame().await?.opcode() != OpCode::Close {}
            Ok::<(), WebSocketError>(())
        };
        let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
