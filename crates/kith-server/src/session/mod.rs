//! One participant's session: its signalling connection, permissions, subscriptions and peer connections.
//!
//! A session decides nothing about others; that is what [`crate::room`] does, which owns all sessions of a room.

pub(crate) mod participant;
pub(crate) mod permission;
pub(crate) mod signal;
pub(crate) mod subscription;
