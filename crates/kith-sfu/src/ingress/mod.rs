//! The receive side of one transport.

mod event;
mod receiver;
mod stats;

pub use event::IngressEvent;
pub use receiver::TransportReceiver;
pub use stats::LayerStats;
