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

mod down_track;
mod hub;
mod outgoing;
mod spec;

pub use down_track::DownTrack;
pub use hub::{PacketRef, TrackHub};
pub use outgoing::{MAX_OUTGOING, Outgoing, Outgoings, SendStamp, Written};
pub use spec::{
    DownTrackSpec, DownTrackStats, HubSpec, LayerTarget, PlayoutDelay, ReceptionReport, SendCodec,
};
