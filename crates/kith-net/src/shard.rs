//! One thread of the media plane.

use tokio::sync::oneshot;

use crate::api::{Command, ShardStats};

/// What a shard is told, by the control plane or by another shard.
#[derive(Debug)]
pub(crate) enum Message {
    Command(Command),
    ReadStats(oneshot::Sender<ShardStats>),
    Shutdown,
}
