//! The configuration as the rest of the server reads it. Names are those of LiveKit's YAML.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A value that may be `null` in the file, as an empty section (`rtc:`) is: then the default holds.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A number that people write as `1_000_000`, `1e6` or `1000000.0`; LiveKit keeps it as a float.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = u64;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a number that is not negative")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number).map_err(|_| E::custom("a number below 0"))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<u64, E> {
            // The cast saturates.
            if number >= 0.0 {
                Ok(number as u64)
            } else {
                Err(E::custom("a number below 0"))
            }
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// TCP port of HTTP and WebSocket signalling.
    pub port: u16,
    /// Addresses that the HTTP port is opened on; empty: all interfaces.
    #[serde(deserialize_with = "null_as_default")]
    pub bind_addresses: Vec<String>,
    /// API keys and their secrets.
    #[serde(deserialize_with = "null_as_default")]
    pub keys: Secrets,
    /// File with more keys (YAML map); wins over `keys`.
    #[serde(deserialize_with = "null_as_default")]
    pub key_file: String,
    /// Name of the region, told to clients.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// Media transport.
    #[serde(deserialize_with = "null_as_default")]
    pub rtc: RtcConfig,
    /// Rooms.
    #[serde(deserialize_with = "null_as_default")]
    pub room: RoomConfig,
    /// Limits on what clients send.
    #[serde(deserialize_with = "null_as_default")]
    pub limit: LimitConfig,
    /// Speaker detection.
    #[serde(deserialize_with = "null_as_default")]
    pub audio: AudioConfig,
    /// Logs.
    #[serde(deserialize_with = "null_as_default")]
    pub logging: LoggingConfig,
    /// Metrics.
    #[serde(deserialize_with = "null_as_default")]
    pub prometheus: PrometheusConfig,
    /// Development mode: the page hands out tokens, short secrets give no warning.
    pub development: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 7880,
            bind_addresses: Vec::new(),
            keys: Secrets::default(),
            key_file: String::new(),
            region: String::new(),
            rtc: RtcConfig::default(),
            room: RoomConfig::default(),
            limit: LimitConfig::default(),
            audio: AudioConfig::default(),
            logging: LoggingConfig::default(),
            prometheus: PrometheusConfig::default(),
            development: false,
        }
    }
}

/// API keys and secrets. Debug output shows the keys only.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A secret that Debug output does not show.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() {
            "(none)"
        } else {
            "(secret)"
        })
    }
}

/// `rtc`: media transport.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RtcConfig {
    /// UDP port, or range of ports (one per shard), for all clients' media. None: `port_range_start..=port_range_end`.
    pub udp_port: Option<PortRange>,
    /// TCP port for ICE-TCP; 0: off.
    pub tcp_port: u16,
    /// First UDP port when `udp_port` is not set; 0: 50000.
    pub port_range_start: u16,
    /// Last UDP port when `udp_port` is not set; 0: 60000.
    pub port_range_end: u16,
    /// Address to announce instead of the interfaces' own; empty: theirs.
    #[serde(deserialize_with = "null_as_default")]
    pub node_ip: String,
    /// Find the public address with STUN and announce it.
    pub use_external_ip: bool,
    /// STUN servers for `use_external_ip`, `host:port`; empty: public ones.
    #[serde(deserialize_with = "null_as_default")]
    pub stun_servers: Vec<String>,
    /// Announce loopback addresses too.
    pub enable_loopback_candidate: bool,
    /// Answer connectivity checks only. LiveKit's default is false; Kith's ICE is lite unless a client asks otherwise.
    pub use_ice_lite: bool,
    /// Offer ICE-TCP when UDP fails; none: true.
    pub allow_tcp_fallback: Option<bool>,
}

impl Default for RtcConfig {
    fn default() -> Self {
        Self {
            udp_port: None,
            tcp_port: 7881,
            port_range_start: 0,
            port_range_end: 0,
            node_ip: String::new(),
            use_external_ip: false,
            stun_servers: Vec::new(),
            enable_loopback_candidate: false,
            use_ice_lite: false,
            allow_tcp_fallback: None,
        }
    }
}

impl RtcConfig {
    /// The UDP ports for media: `udp_port`, or else the port range with its defaults.
    #[must_use]
    pub fn udp_ports(&self) -> PortRange {
        self.udp_port.unwrap_or(PortRange {
            first: if self.port_range_start == 0 {
                50_000
            } else {
                self.port_range_start
            },
            last: if self.port_range_end == 0 {
                60_000
            } else {
                self.port_range_end
            },
        })
    }
}

/// An inclusive range of ports: `7882` or `50000-50010`. Neither end is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port, at least `first`.
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a port nor a range of ports (first-last)");
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first == 0 || last < first {
            Err(wrong())
        } else {
            Ok(Self { first, last })
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(formatter, "{}", self.first)
        } else {
            write!(formatter, "{}-{}", self.first, self.last)
        }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = PortRange;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a port or a range of ports (first-last)")
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<PortRange, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_i64<E: de::Error>(self, port: i64) -> Result<PortRange, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PortRange, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// `room`: how rooms begin, end, and what may be published in them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoomConfig {
    /// Joining creates the room.
    pub auto_create: bool,
    /// Codecs that may be published.
    #[serde(deserialize_with = "null_as_default")]
    pub enabled_codecs: EnabledCodecs,
    /// Participants per room; 0: no limit.
    pub max_participants: u32,
    /// Seconds that a room lives that nobody joined.
    pub empty_timeout: u32,
    /// Seconds that a room lives after the last participant left.
    pub departure_timeout: u32,
    /// The API may unmute tracks.
    pub enable_remote_unmute: bool,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            auto_create: true,
            enabled_codecs: EnabledCodecs::default(),
            max_participants: 0,
            empty_timeout: 300,
            departure_timeout: 20,
            enable_remote_unmute: false,
        }
    }
}

/// `room.enabled_codecs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EnabledCodecs(pub Vec<CodecConfig>);

impl EnabledCodecs {
    /// Whether a MIME type (in any case) is enabled.
    #[must_use]
    pub fn contains(&self, mime: &str) -> bool {
        self.0
            .iter()
            .any(|codec| codec.mime.eq_ignore_ascii_case(mime))
    }
}

impl Default for EnabledCodecs {
    fn default() -> Self {
        let mimes = [
            "audio/PCMU",
            "audio/PCMA",
            "audio/opus",
            "audio/red",
            "video/VP8",
            "video/H264",
            "video/VP9",
            "video/AV1",
            "video/H265",
            "video/rtx",
        ];
        Self(
            mimes
                .iter()
                .map(|&mime| CodecConfig {
                    mime: mime.to_owned(),
                    fmtp_line: String::new(),
                })
                .collect(),
        )
    }
}

/// One codec of `room.enabled_codecs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CodecConfig {
    /// MIME type, as `video/VP8`.
    pub mime: String,
    /// Format parameters that the codec must have; empty: any.
    #[serde(default, deserialize_with = "null_as_default")]
    pub fmtp_line: String,
}

/// `limit`: how much clients may send. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LimitConfig {
    /// Tracks on this node; 0: no limit.
    pub num_tracks: u32,
    /// Bytes per second of this node; 0: no limit.
    #[serde(deserialize_with = "whole_number")]
    pub bytes_per_sec: u64,
    /// Video tracks that one participant may be subscribed to; 0: no limit.
    pub subscription_limit_video: u32,
    /// Audio tracks that one participant may be subscribed to; 0: no limit.
    pub subscription_limit_audio: u32,
    /// Metadata of a room or participant; 0: no limit.
    pub max_metadata_size: u32,
    /// Keys and values of a participant's attributes together; 0: no limit.
    pub max_attributes_size: u32,
    /// Room name; 0: no limit.
    pub max_room_name_length: u32,
    /// Participant identity; 0: no limit.
    pub max_participant_identity_length: u32,
    /// Participant name; 0: no limit.
    pub max_participant_name_length: u32,
    /// One message on the signalling socket, after inflation; 0: no limit but the server's own (64 MiB).
    pub signal_message_size_limit: u32,
    /// Body of an API request; 0: no limit.
    pub max_api_request_body_size: u64,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            num_tracks: 0,
            bytes_per_sec: 0,
            subscription_limit_video: 0,
            subscription_limit_audio: 0,
            max_metadata_size: 524_288,
            max_attributes_size: 65_536,
            max_room_name_length: 256,
            max_participant_identity_length: 256,
            max_participant_name_length: 256,
            signal_message_size_limit: 2 * 1024 * 1024,
            max_api_request_body_size: 10 * 1024 * 1024,
        }
    }
}

/// `audio`: speaker detection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AudioConfig {
    /// Level that counts as speaking, −dBov (0 loudest, 127 silent): levels up to this one count.
    pub active_level: u8,
    /// Percent of an interval that must be active.
    pub min_percentile: u8,
    /// Milliseconds between updates.
    pub update_interval: u32,
    /// Intervals that the level is smoothed over.
    pub smooth_intervals: u32,
    /// Send RED to subscribers that take it, even for Opus publishers.
    pub active_red_encoding: bool,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            active_level: 35,
            min_percentile: 40,
            update_interval: 400,
            smooth_intervals: 2,
            active_red_encoding: false,
        }
    }
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LoggingConfig {
    /// Lines of JSON instead of text.
    pub json: bool,
    /// debug, info, warn or error.
    pub level: String,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            json: false,
            level: "info".to_owned(),
        }
    }
}

/// `prometheus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PrometheusConfig {
    /// Port of the metrics; 0: none.
    pub port: u16,
    /// User for basic authentication; set both or none.
    #[serde(deserialize_with = "null_as_default")]
    pub username: String,
    /// Password for basic authentication.
    #[serde(deserialize_with = "null_as_default")]
    pub password: Secret,
}
