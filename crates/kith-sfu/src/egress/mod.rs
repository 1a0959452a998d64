//! The send side of publications and subscriptions.
//!
//! A [`TrackHub`] is one shard's copy of a publication: the bytes of recent packets, stored once per layer, and what was
//! read from them. A [`DownTrack`] is one subscriber's copy of it: it decides which packets the subscriber gets
//! ([`DownTrack::forward`]), writes them with the subscriber's numbers ([`DownTrack::write`]) and answers NACKs from the
//! hub's history. Deciding and writing are apart so that a shard can stamp and seal between them, and so that a
//! retransmission is the same small value as a first transmission.
//!
//! **What a subscriber gets is one stream**: sequence numbers, timestamps and picture ids go on without a seam over
//! layer switches, pauses, restarts of the publisher and codec changes.

mod allocation;
mod descriptor;
mod down_track;
mod feedback;
mod header;
mod history;
mod hub;
mod keyframes;
mod outgoing;
mod places;
mod red;
mod select;
mod sequencer;
mod spec;
mod stored;
mod timeline;
mod wire;

pub use down_track::DownTrack;
pub use hub::{PacketRef, TrackHub};
pub use kith_rtp::ext::PlayoutDelay;
pub use kith_rtp::rtcp::ReportBlock;
pub use outgoing::{MAX_OUTGOING, Outgoing, Outgoings, SendStamp, Written};
pub use spec::{DownTrackSpec, DownTrackStats, HubSpec, LayerTarget, SendCodec};
