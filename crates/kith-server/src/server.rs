//! A whole server: media plane, rooms and HTTP front, put together from a configuration.

use std::{future::Future, net::SocketAddr, sync::Arc};

use kith_net::{MediaPlane, NetConfig, UdpPorts};

use crate::{
    auth::Keys,
    config::{Config, ConfigError},
    external_ip::{self, ExternalIpError},
    http::{Front, ListenError, Listeners},
    room::{RoomManager, RoomSettings, random},
    signal::Rooms,
};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP or metrics port could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The media plane could not be started.
    #[error(transparent)]
    Media(#[from] kith_net::StartError),
    /// `rtc.use_external_ip` is set, and no STUN server told the address.
    #[error(transparent)]
    ExternalIp(#[from] ExternalIpError),
}

/// A server with open ports that answers when [`Server::run`] is called.
#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    front: Arc<Front>,
    media: MediaPlane,
}

impl Server {
    /// Opens all ports and starts the media threads. Must be called inside a tokio runtime.
    pub async fn start(config: Config, keys: Keys) -> Result<Self, StartError> {
        // The HTTP port first: "address in use" is the most likely error, and the quickest to tell.
        let listeners = Listeners::open(&config.listen_addresses()?, config.prometheus.port)?;
        let media = MediaPlane::start(net_config(&config).await?)?;
        let node_id = random::sid("ND_");
        tracing::info!(node_id, shards = media.shards(), "media plane started");
        let settings = RoomSettings::new(&config, node_id);
        let rooms = RoomManager::new(settings, keys.clone(), Arc::new(media.clone()));
        let front = Front::new(config, keys, Arc::new(rooms) as Arc<dyn Rooms>);
        Ok(Self {
            listeners,
            front,
            media,
        })
    }

    /// Where the HTTP port is open.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// Where the metrics port is open.
    #[must_use]
    pub fn metrics_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.metrics_addresses()
    }

    /// Serves until `stop` is ready; then every participant gets its leave, and the media threads end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.listeners.serve(self.front, stop).await;
        let media = self.media;
        // Waits for threads.
        let _ = tokio::task::spawn_blocking(move || media.shutdown()).await;
    }
}

/// What the media plane takes from the configuration.
async fn net_config(config: &Config) -> Result<NetConfig, StartError> {
    let ports = config.rtc.udp_ports();
    let mut node_ips: Vec<_> = config.node_ip()?.into_iter().collect();
    if node_ips.is_empty() && config.rtc.use_external_ip {
        let address = external_ip::discover(&config.rtc.stun_servers).await?;
        tracing::info!(%address, "found the external address");
        node_ips.push(address);
    }
    Ok(NetConfig {
        udp: if ports.first == ports.last {
            UdpPorts::Single(ports.first)
        } else {
            UdpPorts::Range(ports.first..=ports.last)
        },
        tcp_port: (config.rtc.tcp_port != 0).then_some(config.rtc.tcp_port),
        node_ips,
        loopback_candidates: config.rtc.enable_loopback_candidate,
        ..NetConfig::default()
    })
}
