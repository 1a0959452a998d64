//! Configuration in LiveKit's YAML format.
//!
//! A file that LiveKit takes is taken: known keys of features that Kith does not have yet give a warning. Unknown keys
//! are an error that names the nearest known one.

mod known;
mod model;

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

pub use model::{
    AudioConfig, CodecConfig, Config, EnabledCodecs, LimitConfig, LoggingConfig, PortRange,
    PrometheusConfig, RoomConfig, RtcConfig, Secret, Secrets,
};
use serde::de::DeserializeOwned;

use crate::auth::Keys;

/// Largest configuration or key file, bytes. Real ones have a few kilobytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Shortest secret that is not complained about, bytes (the output size of HMAC-SHA256).
const GOOD_SECRET: usize = 32;

/// Key and secret of development mode, LiveKit's own.
pub const DEV_KEY: (&str, &str) = ("devkey", "secret");

/// Why the configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is larger than any configuration.
    #[error("{0} is larger than {MAX_FILE} bytes")]
    TooLarge(PathBuf),
    /// Everybody may read the secrets.
    #[error("key file {0} may be read by other users: take the permission away (chmod o-rwx)")]
    KeyFileOpen(PathBuf),
    /// Not YAML, or a value of the wrong type.
    #[error("{0}")]
    Yaml(String),
    /// Keys that LiveKit's configuration does not have.
    #[error("{0}")]
    UnknownKeys(String),
    /// A value that makes no sense.
    #[error("`{key}`: {reason}")]
    Invalid {
        /// Path of the key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no API key.
    #[error("one of key-file or keys must be provided (or --dev, which uses devkey: secret)")]
    NoKeys,
}

/// A configuration and what there is to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Lines for the log, worth a warning.
    pub warnings: Vec<String>,
    /// Lines for the log, of little interest.
    pub notes: Vec<String>,
}

impl Config {
    /// Reads a configuration file.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        Self::parse(&read(path)?)
    }

    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> Result<Loaded, ConfigError> {
        let value: serde_json::Value = yaml(text)?;
        if value.is_null() {
            return Ok(Loaded {
                config: Self::default(),
                warnings: Vec::new(),
                notes: Vec::new(),
            });
        }
        let report = known::check_keys(&value);
        if !report.unknown.is_empty() {
            let lines: Vec<String> = report.unknown.iter().map(explain_unknown).collect();
            return Err(ConfigError::UnknownKeys(lines.join("\n")));
        }
        let mut config: Self = yaml(text)?;
        config.take_old_names(&value);
        let mut warnings: Vec<String> = report
            .later
            .iter()
            .map(|key| format!("`{key}` is not supported yet and has no effect"))
            .collect();
        let notes = report
            .no_effect
            .iter()
            .map(|key| format!("`{key}` has no meaning here"))
            .collect();
        config.check(&mut warnings)?;
        Ok(Loaded {
            config,
            warnings,
            notes,
        })
    }

    /// Defaults of development mode, where the file says nothing: one UDP port, loopback, everything logged.
    pub fn make_dev(&mut self) {
        let untouched = Self::default();
        self.development = true;
        if self.rtc.udp_port.is_none()
            && self.rtc.port_range_start == 0
            && self.rtc.port_range_end == 0
        {
            self.rtc.udp_port = Some(PortRange {
                first: 7882,
                last: 7882,
            });
        }
        self.rtc.enable_loopback_candidate = true;
        if self.logging == untouched.logging {
            "debug".clone_into(&mut self.logging.level);
        }
        if self.keys.0.is_empty() && self.key_file.is_empty() {
            self.keys
                .0
                .insert(DEV_KEY.0.to_owned(), DEV_KEY.1.to_owned());
        }
        if self.bind_addresses.is_empty() {
            self.bind_addresses = vec![
                Ipv4Addr::LOCALHOST.to_string(),
                Ipv6Addr::LOCALHOST.to_string(),
            ];
        }
    }

    /// The API keys: of the key file if there is one, else those of the configuration. Adds warnings about weak ones.
    pub fn api_keys(&self, warnings: &mut Vec<String>) -> Result<Keys, ConfigError> {
        let secrets = if self.key_file.is_empty() {
            self.keys.0.clone()
        } else {
            let path = Path::new(&self.key_file);
            refuse_open_file(path)?;
            parse_keys(&read(path)?)?
        };
        check_secrets(&secrets)?;
        if secrets.is_empty() {
            return Err(ConfigError::NoKeys);
        }
        if !self.development {
            for (key, _) in secrets
                .iter()
                .filter(|(_, secret)| secret.len() < GOOD_SECRET)
            {
                warnings.push(format!(
                    "the secret of API key {key} is shorter than {GOOD_SECRET} bytes: easy to guess"
                ));
            }
        }
        Ok(Keys::new(secrets))
    }

    /// Where the HTTP port is opened. Empty `bind_addresses`: `[::]`, which takes IPv4 too.
    pub fn listen_addresses(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        if self.bind_addresses.is_empty() {
            return Ok(vec![(Ipv6Addr::UNSPECIFIED, self.port).into()]);
        }
        let mut addresses = Vec::new();
        for text in &self.bind_addresses {
            match text.trim_start_matches('[').trim_end_matches(']') {
                "" => addresses.push((Ipv6Addr::UNSPECIFIED, self.port).into()),
                "localhost" => {
                    addresses.push((Ipv4Addr::LOCALHOST, self.port).into());
                    addresses.push((Ipv6Addr::LOCALHOST, self.port).into());
                }
                bare => {
                    let address: IpAddr = bare.parse().map_err(|_| {
                        invalid("bind_addresses", format!("`{text}` is no IP address"))
                    })?;
                    addresses.push((address, self.port).into());
                }
            }
        }
        addresses.dedup();
        Ok(addresses)
    }

    /// `rtc.node_ip` as an address.
    pub fn node_ip(&self) -> Result<Option<IpAddr>, ConfigError> {
        match self.rtc.node_ip.as_str() {
            "" => Ok(None),
            text => Ok(Some(text.parse().map_err(|_| {
                invalid("rtc.node_ip", format!("`{text}` is no IP address"))
            })?)),
        }
    }

    /// Keys that LiveKit renamed.
    fn take_old_names(&mut self, file: &serde_json::Value) {
        let port = file
            .get("prometheus_port")
            .and_then(serde_json::Value::as_u64);
        if let Some(port) = port.and_then(|port| u16::try_from(port).ok())
            && self.prometheus.port == 0
        {
            self.prometheus.port = port;
        }
        if let Some(level) = file.get("log_level").and_then(serde_json::Value::as_str)
            && file.pointer("/logging/level").is_none()
        {
            level.clone_into(&mut self.logging.level);
        }
    }

    fn check(&mut self, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        self.listen_addresses()?;
        self.node_ip()?;
        check_secrets(&self.keys.0)?;
        let ports = self.rtc.udp_ports();
        if ports.last < ports.first {
            return Err(invalid(
                "rtc.port_range_end",
                format!("{} is below the start {}", ports.last, ports.first),
            ));
        }
        if self.prometheus.username.is_empty() != self.prometheus.password.0.is_empty() {
            return Err(invalid(
                "prometheus",
                "set both username and password, or none".to_owned(),
            ));
        }
        if self.audio.active_level > 127 {
            return Err(invalid(
                "audio.active_level",
                "must be 0 to 127 (-dBov)".to_owned(),
            ));
        }
        if self.audio.min_percentile > 100 {
            return Err(invalid(
                "audio.min_percentile",
                "must be 0 to 100".to_owned(),
            ));
        }
        if self.audio.update_interval < MIN_AUDIO_INTERVAL_MS {
            return Err(invalid(
                "audio.update_interval",
                format!("must be at least {MIN_AUDIO_INTERVAL_MS} ms"),
            ));
        }
        if !LOG_LEVELS.contains(&self.logging.level.as_str()) {
            return Err(invalid(
                "logging.level",
                format!(
                    "`{}` is none of {}",
                    self.logging.level,
                    LOG_LEVELS.join(", ")
                ),
            ));
        }
        let known = EnabledCodecs::default();
        for codec in self
            .room
            .enabled_codecs
            .0
            .iter()
            .filter(|codec| !known.contains(&codec.mime))
        {
            // `audio/rtx` does not exist, but LiveKit's own sample has had both.
            if !codec.mime.eq_ignore_ascii_case("audio/rtx") {
                warnings.push(format!(
                    "`room.enabled_codecs`: {} is no codec that can be forwarded",
                    codec.mime
                ));
            }
        }
        Ok(())
    }
}

/// Below this, speaker updates cost more than they tell.
const MIN_AUDIO_INTERVAL_MS: u32 = 20;

const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Reads API keys as `--keys` and key files have them: lines of `key: secret`.
pub fn parse_keys(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    yaml(text).map_err(|_| {
        invalid(
            "keys",
            "expected lines of `key: secret`, with a space after the colon".to_owned(),
        )
    })
}

fn check_secrets(secrets: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    match secrets
        .iter()
        .find(|(key, secret)| key.is_empty() || secret.is_empty())
    {
        Some((key, _)) => Err(invalid(
            "keys",
            format!("key `{key}` has no name or no secret"),
        )),
        None => Ok(()),
    }
}

fn invalid(key: &'static str, reason: String) -> ConfigError {
    ConfigError::Invalid { key, reason }
}

fn explain_unknown(key: &known::UnknownKey) -> String {
    match &key.nearest {
        Some(nearest) => format!("unknown key `{}`; did you mean `{nearest}`?", key.path),
        None => format!("unknown key `{}`", key.path),
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let wrap = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(wrap)?.len() > MAX_FILE {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    fs::read_to_string(path).map_err(wrap)
}

#[cfg(unix)]
fn refuse_open_file(path: &Path) -> Result<(), ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(ConfigError::KeyFileOpen(path.to_owned()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_open_file(_path: &Path) -> Result<(), ConfigError> {
    Ok(())
}

/// The only place that knows the YAML library. Messages name line and column but show no line: it may hold a secret.
fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| ConfigError::Yaml(error.to_string()))
}
