//! A front on a free port with rooms that only record what they are asked.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use kith_server::{
    auth::{Claims, Keys, VideoGrants},
    config::Config,
    http::{Front, Listeners},
    signal::{JoinError, Rooms, RoomsFuture, SessionRequest, SignalChannel},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) joins: mpsc::UnboundedReceiver<(SessionRequest, SignalChannel)>,
    pub(crate) rooms: Arc<StubRooms>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

pub(crate) struct StubRooms {
    joins: mpsc::UnboundedSender<(SessionRequest, SignalChannel)>,
    pub(crate) refusal: Mutex<Option<JoinError>>,
}

impl Rooms for StubRooms {
    fn join(
        &self,
        request: SessionRequest,
        channel: SignalChannel,
    ) -> RoomsFuture<'_, Result<(), JoinError>> {
        let result = match self.refusal.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => {
                self.joins.send((request, channel)).unwrap();
                Ok(())
            }
        };
        Box::pin(std::future::ready(result))
    }

    fn check<'a>(&'a self, _request: &'a SessionRequest) -> RoomsFuture<'a, Result<(), JoinError>> {
        let result = self.refusal.lock().unwrap().clone().map_or(Ok(()), Err);
        Box::pin(std::future::ready(result))
    }

    fn write_metrics(&self, out: &mut String) {
        out.push_str("stub_rooms 7\n");
    }

    fn shutdown(&self) -> RoomsFuture<'_, ()> {
        *self.refusal.lock().unwrap() = Some(JoinError::ShuttingDown);
        Box::pin(std::future::ready(()))
    }
}

pub(crate) fn keys() -> Keys {
    Keys::new(BTreeMap::from([("devkey".to_owned(), "secret".to_owned())]))
}

pub(crate) fn token(claims: &Claims) -> String {
    keys()
        .mint(claims, Duration::from_secs(600), SystemTime::now())
        .unwrap()
}

/// Alice's token for room `r`.
pub(crate) fn alice() -> String {
    token(&Claims::new(
        "alice",
        VideoGrants {
            room_join: true,
            room: "r".into(),
            ..Default::default()
        },
    ))
}

pub(crate) async fn start(config: &str) -> Server {
    let config = Config::parse(config).unwrap().config;
    let (joins, joined) = mpsc::unbounded_channel();
    let rooms = Arc::new(StubRooms {
        joins,
        refusal: Mutex::default(),
    });
    // The metrics port must be known before it is open; ask the system for a free one.
    let metrics_port = match config.prometheus.port {
        0 => 0,
        _ => std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port(),
    };
    let listeners = Listeners::open(&["127.0.0.1:0".parse().unwrap()], metrics_port).unwrap();
    let address = listeners.addresses()[0];
    let metrics = listeners.metrics_addresses().first().copied();
    let front = Front::new(config, keys(), Arc::clone(&rooms) as Arc<dyn Rooms>);
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(listeners.serve(front, async move { _ = stopped.await }));
    Server {
        address,
        metrics,
        joins: joined,
        rooms,
        stop: Some(stop),
        served,
    }
}

impl Server {
    /// Stops the server and waits until it is done.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), self.served)
            .await
            .unwrap()
            .unwrap();
    }

    /// Sends a request; `head` is the request line and headers, without Host and Connection.
    pub(crate) async fn ask(&self, head: &str) -> Answer {
        ask(self.address, head, b"").await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1")).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub(crate) async fn ask(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let close = if head.to_ascii_lowercase().contains("\r\nconnection:") {
        ""
    } else {
        "Connection: close\r\n"
    };
    stream
        .write_all(format!("{head}\r\nHost: {address}\r\n{close}\r\n").as_bytes())
        .await
        .unwrap();
    // The server may answer and close before it has read a large body.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer))
            .await
            .unwrap()
        {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
        // A connection that asked for an upgrade stays open.
        if is_complete(&bytes) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.to_owned(),
    }
}

/// Whether the header and as much body as it announces are there. Answers to HEAD announce more than comes.
fn is_complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    head.starts_with("http/1.1 101") || length.is_some_and(|length| body.len() >= length)
}

pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
