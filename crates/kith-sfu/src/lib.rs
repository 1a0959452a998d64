//! The media core of Kith, without I/O: what happens to a packet between the transport that received it and the
//! transports that send it on.
//!
//! What this crate is: the receive side of a transport ([`TransportReceiver`]: which publication and layer a packet
//! belongs to, loss and its repair, feedback to the publisher, key-frame requests, liveness, audio levels) and the send
//! side of publications and subscriptions ([`egress`]). What it is not: sockets, threads, timers, encryption, SDP, rooms.
//! Time is an argument, output is polled or written into buffers that the caller passes in, and nothing on a packet's
//! way allocates in steady state.
//!
//! A packet's way: `kith-net` decrypts it, [`TransportReceiver::handle_rtp`] turns it into a [`ReceivedPacket`], each
//! shard with subscribers stores it once and every subscription decides what to do with it.

pub mod egress;
pub mod ids;
pub mod ingress;
pub mod packet;
pub mod spec;

pub use egress::*;
pub use ids::PublicationId;
pub use ingress::{IngressEvent, LayerStats, TransportReceiver};
pub use packet::{ReceivedPacket, SenderReportInfo};
pub use spec::{
    AudioLevelConfig, LayerSpec, PliThrottle, ReceiveCodec, ReceiveSection, ReceiveSpec,
};
