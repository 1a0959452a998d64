//! Signals: the first asks the server to stop, a second ends it at once.

use std::future::Future;

use anyhow::Context as _;

/// A future that is ready at the first SIGINT, SIGTERM or SIGQUIT. Handlers are in place when this returns.
#[cfg(unix)]
pub(crate) fn signals() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut quit = listen(SignalKind::quit())?;
    Ok(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = quit.recv() => "SIGQUIT",
        };
        tracing::info!(signal = name, "stopping; a second signal ends at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
                _ = quit.recv() => (),
            }
            std::process::exit(1);
        });
    })
}

/// A future that is ready at Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn signals() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async move {
        let _ = tokio::signal::ctrl_c().await;
        tracing::info!("stopping");
    })
}
