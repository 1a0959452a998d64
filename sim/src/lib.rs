//! A whole node with its clients on virtual time: one seed is one run.
//!
//! What this crate is: a [`World`] of [`client::Client`]s (str0m), a [`network::Network`] with loss, delay, reordering and bottlenecks,
//! and a [`node::Node`] that drives `kith-transport` and `kith-sfu` as a shard of `kith-net` does. No sockets, no threads, no sleeping:
//! minutes pass in seconds, and what failed once fails again with the same seed.
//! What it is not: `kith-net` itself (its sockets, rings and timers have tests of their own), signalling, or a benchmark.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "everything here is for tests: a panic is a failed test"
)]

pub mod client;
pub mod media;
pub mod network;
pub mod node;
pub mod random;
pub mod viewer;
pub mod world;

pub use world::{World, seeds};
