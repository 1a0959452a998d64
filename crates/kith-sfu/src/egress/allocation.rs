//! What a subscriber gets of what it wants: the place for bandwidth estimation and allocation.
//!
//! For now everybody gets what was asked for. An allocator that divides a transport's bandwidth among its down-tracks
//! says so with [`super::DownTrack::set_limit`]; this is where the two meet.

use super::LayerTarget;

/// The target to aim at: what the subscriber asked for, within what its bandwidth allows.
pub(super) fn effective(asked: LayerTarget, limit: Option<LayerTarget>) -> LayerTarget {
    let Some(limit) = limit else {
        return asked;
    };
    LayerTarget {
        max_spatial: asked.max_spatial.min(limit.max_spatial),
        max_temporal: asked.max_temporal.min(limit.max_temporal),
        paused: asked.paused || limit.paused,
    }
}
