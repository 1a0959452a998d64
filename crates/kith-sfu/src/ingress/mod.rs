//! The receive side of one transport.
//!
//! - `receiver`: [`TransportReceiver`], what the caller sees; `configure`, `resolve`, `feedback`: its parts.
//! - `bindings`, `section`: which SSRC and payload type is what.
//! - `layer`: one encoding; `sequence`, `compaction`, `nack`, `reception`, `keyframe`, `liveness`, `audio_level`: what is kept
//!   about it.
//! - `transport_feedback`, `round_trip`: what is kept about the transport as a whole.

mod audio_level;
mod bindings;
mod compaction;
mod configure;
mod event;
mod feedback;
mod keyframe;
mod layer;
mod liveness;
mod nack;
mod receiver;
mod reception;
mod resolve;
mod round_trip;
mod section;
mod sequence;
mod stats;
mod transport_feedback;
mod video;

pub use event::IngressEvent;
pub use receiver::TransportReceiver;
pub use stats::LayerStats;
