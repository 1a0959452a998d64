//! Connections whose last words arrive.
//!
//! When a socket is closed while bytes of the client wait unread, the system resets the connection, and the client may
//! lose what it was told before: the refusal of a body or message that it is still sending. So a connection that we
//! close first is read on for a while, to no end but that.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    time::timeout,
};

/// How long a closed connection is read on. Some round trips.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that are read on at most: what a client may have under way when it is refused, with the largest windows.
const MAX_READ: u64 = 16 * 1024 * 1024;

/// Connections that are read on at a time; more are closed at once.
const MAX_LINGERING: usize = 1024;

static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// A connection that is read on after it is dropped, unless the client closed it first.
#[derive(Debug)]
pub(super) struct Lingering {
    /// There until it is dropped.
    stream: Option<TcpStream>,
    /// The client closed, or the connection broke.
    over: bool,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Some(stream),
            over: false,
        }
    }

    fn with<T>(
        self: Pin<&mut Self>,
        work: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let this = self.get_mut();
        let Some(stream) = this.stream.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let result = work(Pin::new(stream));
        this.over |= matches!(result, Poll::Ready(Err(_)));
        result
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.remaining();
        let result = self
            .as_mut()
            .with(|stream| stream.poll_read(context, buffer));
        if before > 0 && buffer.remaining() == before && result.is_ready() {
            self.over = true;
        }
        result
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }
}

/// Counts a connection that is read on.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        LINGERING
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < MAX_LINGERING).then_some(taken + 1)
            })
            .ok()
            .map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        if self.over {
            return;
        }
        // Outside of a runtime, or with too many, the connection is closed at once.
        if let Ok(runtime) = Handle::try_current()
            && let Some(place) = Place::take()
        {
            runtime.spawn(async move {
                let _place = place;
                let _ = timeout(PATIENCE, read_on(stream)).await;
            });
        }
    }
}

async fn read_on(mut stream: TcpStream) -> io::Result<u64> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MAX_READ), &mut tokio::io::sink()).await
}
