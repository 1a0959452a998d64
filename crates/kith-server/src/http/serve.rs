//! Listening, accepting, stopping.
//!
//! HTTP/1.1 only: WebSocket needs it, and a reverse proxy speaks it. Connections that do not finish a request's header
//! in time are closed, so that idle strangers do not use up file descriptors.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{Front, linger::Lingering, metrics};

/// How long a client may take to send a request's header, also on a connection that is kept open for the next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest request header, bytes. A `join_request` of 64 kB (the longest URI that the HTTP library takes) fits.
const MAX_HEADER: usize = 128 * 1024;

/// Connections that may wait to be accepted, as most servers have.
const BACKLOG: i32 = 1024;

/// Pause after a failed accept, which mostly means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections and sockets may take to say goodbye when the server stops. What was written by then is delivered by
/// the system; only those that do not answer need longer, and nobody waits for them.
const FAREWELL: Duration = Duration::from_millis(1500);

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

/// Open ports that nobody answers yet.
#[derive(Debug)]
pub struct Listeners {
    web: Vec<TcpListener>,
    metrics: Vec<TcpListener>,
}

impl Listeners {
    /// Opens the HTTP port, and the metrics port if it is not 0, on all addresses. Must be called inside a tokio runtime.
    pub fn open(addresses: &[SocketAddr], metrics_port: u16) -> Result<Self, ListenError> {
        let web = listen_all(addresses)?;
        let metrics = if metrics_port == 0 {
            Vec::new()
        } else {
            let addresses: Vec<SocketAddr> = addresses
                .iter()
                .map(|address| SocketAddr::new(address.ip(), metrics_port))
                .collect();
            listen_all(&addresses)?
        };
        Ok(Self { web, metrics })
    }

    /// Where the HTTP port is open.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.web
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Where the metrics port is open.
    #[must_use]
    pub fn metrics_addresses(&self) -> Vec<SocketAddr> {
        self.metrics
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Serves until `stop` is ready; then sends everybody away and returns, within some seconds.
    pub async fn serve(self, front: Arc<Front>, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        // Every task holds a sender and never uses it: when all are gone, `all_done` ends.
        let (alive, mut all_done) = mpsc::channel::<Infallible>(1);
        for listener in self.web {
            let (front, stopped, alive) = (Arc::clone(&front), stopped.clone(), alive.clone());
            tokio::spawn(accept(
                listener,
                stopped,
                alive,
                move |stream, peer, stopped| {
                    serve_connection(Arc::clone(&front), stream, peer, stopped)
                },
            ));
        }
        for listener in self.metrics {
            let (front, stopped, alive) = (Arc::clone(&front), stopped.clone(), alive.clone());
            tokio::spawn(accept(
                listener,
                stopped,
                alive,
                move |stream, _, stopped| {
                    metrics::serve_connection(Arc::clone(&front), stream, stopped)
                },
            ));
        }
        drop(alive);

        stop.await;
        // New requests are refused by the rooms from now on; then sessions get their farewell.
        front.rooms.shutdown().await;
        let _ = stopping.send(true);
        let goodbye = async {
            let _ = all_done.recv().await;
            while front.open_sockets() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(FAREWELL, goodbye).await.is_err() {
            tracing::info!(
                sockets = front.open_sockets(),
                "some connections did not end in time"
            );
        }
    }
}

async fn accept<F, C>(
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    alive: mpsc::Sender<Infallible>,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr, watch::Receiver<bool>) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop_begins(&mut stopped) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                let (connection, alive) = (serve(stream, peer, stopped.clone()), alive.clone());
                tokio::spawn(async move {
                    let _alive = alive;
                    connection.await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    front: Arc<Front>,
    stream: TcpStream,
    peer: SocketAddr,
    stopped: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.handle(request.map(Body::new), peer).await) }
    });
    let connection = builder()
        .serve_connection(TokioIo::new(Lingering::new(stream)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    finish(connection.as_mut(), stopped, |connection| {
        connection.graceful_shutdown()
    })
    .await;
}

pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER);
    builder
}

/// Drives a connection to its end, and towards its end when the server stops.
pub(super) async fn finish<C: Future<Output = hyper::Result<()>>>(
    mut connection: std::pin::Pin<&mut C>,
    mut stopped: watch::Receiver<bool>,
    shut_down: impl FnOnce(std::pin::Pin<&mut C>),
) {
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop_begins(&mut stopped) => {
            shut_down(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::trace!(%error, "connection ended");
    }
}

/// Ready when the server stops.
async fn stop_begins(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which it is only after the stop.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Listens on all addresses. An IPv6 loopback that the machine does not have is left out if another address works, and
/// "all addresses" means IPv4 where there is no IPv6.
fn listen_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let only_one = addresses.len() == 1;
    let mut listeners = Vec::new();
    for &address in addresses {
        // Next to an IPv4 address, an IPv6 socket must not take IPv4 too.
        match listen(address, !only_one) {
            Ok(listener) => listeners.push(listener),
            Err(source)
                if address.is_ipv6()
                    && no_ipv6(&source)
                    && only_one
                    && address.ip().is_unspecified() =>
            {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                listeners.push(
                    listen(address, false).map_err(|source| ListenError { address, source })?,
                );
            }
            Err(source) if address.is_ipv6() && no_ipv6(&source) && !only_one => {
                tracing::debug!(%address, "no IPv6 here");
            }
            Err(source) => return Err(ListenError { address, source }),
        }
    }
    Ok(listeners)
}

fn no_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.kind() == io::ErrorKind::Unsupported
        // EAFNOSUPPORT has no kind of its own.
        || error.raw_os_error() == Some(97)
}

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for connections of the former process to be forgotten.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(StdListener::from(socket))
}
