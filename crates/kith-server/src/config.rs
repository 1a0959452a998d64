//! Configuration in LiveKit's YAML format.

mod model;

pub use model::{
    AudioConfig, CodecConfig, Config, EnabledCodecs, LimitConfig, LoggingConfig, PortRange,
    PrometheusConfig, RoomConfig, RtcConfig, Secret, Secrets,
};
