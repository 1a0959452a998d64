//! Command line and environment: LiveKit's names where the same thing is meant.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use kith_server::{
    auth::Keys,
    config::{Config, PortRange, Secrets, parse_keys},
};

/// LiveKit-compatible realtime server.
#[derive(Debug, Parser)]
#[command(name = "kith", version, about)]
pub(crate) struct Arguments {
    /// Try it at once: key `devkey`, secret `secret`, one UDP port (7882), debug logs, a page that needs no token.
    #[arg(long)]
    dev: bool,
    /// Configuration file, in LiveKit's YAML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Configuration as text; wins over the file.
    #[arg(
        long,
        value_name = "YAML",
        env = "LIVEKIT_CONFIG",
        hide_env_values = true
    )]
    config_body: Option<String>,
    /// API keys: lines of `key: secret`.
    #[arg(
        long,
        value_name = "KEYS",
        env = "LIVEKIT_KEYS",
        hide_env_values = true
    )]
    keys: Option<String>,
    /// File with API keys, YAML.
    #[arg(long, value_name = "FILE", env = "LIVEKIT_KEY_FILE")]
    key_file: Option<String>,
    /// Address to listen on; may be given several times.
    #[arg(long, value_name = "IP")]
    bind: Vec<String>,
    /// TCP port of HTTP and WebSocket signalling.
    #[arg(long, env = "LIVEKIT_PORT")]
    port: Option<u16>,
    /// Address to announce to clients.
    #[arg(long, value_name = "IP", env = "NODE_IP")]
    node_ip: Option<IpAddr>,
    /// UDP port for media, or a range (first-last).
    #[arg(long, value_name = "PORTS", env = "UDP_PORT")]
    udp_port: Option<PortRange>,
    /// Name of the region, told to clients.
    #[arg(long, env = "LIVEKIT_REGION")]
    region: Option<String>,
}

/// What the server starts with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) warnings: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Arguments {
    /// Reads the configuration and lays the arguments over it.
    pub(crate) fn setup(&self) -> anyhow::Result<Setup> {
        let loaded = match (&self.config_body, &self.config) {
            (Some(text), _) if !text.trim().is_empty() => {
                Config::parse(text).context("in the configuration text")?
            }
            (_, Some(path)) => {
                Config::load(path).with_context(|| format!("in {}", path.display()))?
            }
            _ => Config::parse("")?,
        };
        let (mut config, mut warnings) = (loaded.config, loaded.warnings);
        if let Some(keys) = self.keys.as_deref().filter(|keys| !keys.trim().is_empty()) {
            config.keys = Secrets(parse_keys(keys).context("in --keys")?);
            // Keys that were given by hand are meant.
            config.key_file.clear();
        }
        if let Some(file) = &self.key_file {
            config.key_file.clone_from(file);
        }
        if !self.bind.is_empty() {
            config.bind_addresses.clone_from(&self.bind);
        }
        if let Some(port) = self.port {
            config.port = port;
        }
        if let Some(address) = self.node_ip {
            config.rtc.node_ip = address.to_string();
        }
        if let Some(ports) = self.udp_port {
            config.rtc.udp_port = Some(ports);
        }
        if let Some(region) = &self.region {
            config.region.clone_from(region);
        }
        if self.dev || config.development {
            config.make_dev();
        }
        let keys = config.api_keys(&mut warnings)?;
        Ok(Setup {
            config,
            keys,
            warnings,
            notes: loaded.notes,
        })
    }
}
