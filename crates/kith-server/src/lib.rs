//! The control plane: HTTP and WebSocket signalling, tokens, configuration, rooms and sessions.
//!
//! Requests travel one way: `http` checks the token ([`auth`]) and the join parameters ([`join`]), opens a
//! [`signal::SignalChannel`] and hands it to the rooms. Media never enters this crate; rooms command the shards of
//! `kith-net`.

pub mod auth;
pub mod config;
mod external_ip;
pub mod http;
pub mod join;
mod negotiation;
pub mod room;
pub mod server;
mod session;
pub mod signal;
