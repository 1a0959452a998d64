//! The shard's own way to the kernel, which kith-net does not show.
#![allow(dead_code, reason = "shared with kith-net; the benchmark only sends")]

#[path = "../../crates/kith-net/src/socket/outbox.rs"]
pub(crate) mod outbox;
#[path = "../../crates/kith-net/src/socket/sys.rs"]
mod sys;
