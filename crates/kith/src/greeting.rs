//! What a person wants to know when the server has started.

use std::{
    fmt::Write as _,
    io::Write as _,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use kith_server::{
    auth::{Claims, Keys, VideoGrants},
    config::{Config, DEV_KEY},
    server::Server,
};

/// How long the token of the greeting lives.
const TOKEN_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// Prints addresses, and in development mode a token and the link of the page.
pub(crate) fn print(config: &Config, keys: &Keys, server: &Server) -> anyhow::Result<()> {
    let addresses = server.addresses();
    for address in &addresses {
        tracing::info!(%address, "HTTP and WebSocket");
    }
    for address in server.metrics_addresses() {
        tracing::info!(%address, "metrics");
    }
    let text = text(config, keys, &addresses)?;
    // Whoever started the server may have closed the other end.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

fn text(config: &Config, keys: &Keys, addresses: &[SocketAddr]) -> anyhow::Result<String> {
    let mut out = String::new();
    let listening: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    writeln!(
        out,
        "\nKith {} listens on {}",
        env!("CARGO_PKG_VERSION"),
        listening.join(", ")
    )?;
    let tcp = match config.rtc.tcp_port {
        0 => "no ICE-TCP".to_owned(),
        port => format!("TCP {port}"),
    };
    writeln!(out, "  media    UDP {}, {tcp}", config.rtc.udp_ports())?;
    if config.development {
        let host = host(addresses);
        let room = "lobby";
        let grants = VideoGrants {
            room_join: true,
            room: room.to_owned(),
            ..Default::default()
        };
        let token = keys.mint(
            &Claims::new("guest", grants),
            TOKEN_VALIDITY,
            SystemTime::now(),
        )?;
        if keys.first() == Some(DEV_KEY.0) {
            writeln!(out, "  API key  {}, secret {}", DEV_KEY.0, DEV_KEY.1)?;
        }
        writeln!(out, "  URL      ws://{host}")?;
        writeln!(out, "  token    {token}")?;
        writeln!(out, "           (participant guest, room {room}, 24 hours)")?;
        writeln!(out, "  page     http://{host}/")?;
        if addresses.iter().all(|address| address.ip().is_loopback()) {
            writeln!(
                out,
                "\nOnly this machine can reach it. For others: --bind 0.0.0.0"
            )?;
        }
    }
    writeln!(out)?;
    Ok(out)
}

/// The name by which a browser on this machine reaches the server: `localhost` where that is among the addresses.
fn host(addresses: &[SocketAddr]) -> String {
    let local = addresses
        .iter()
        .find(|address| address.ip().is_loopback() || address.ip().is_unspecified());
    match (local, addresses.first()) {
        (Some(address), _) => format!("localhost:{}", address.port()),
        (None, Some(address)) => address.to_string(),
        (None, None) => "localhost".to_owned(),
    }
}
