//! Which of a publisher's layers a subscriber is to get: from a quality, from the size at which it shows the track, and
//! from a frame rate.

use kith_proto::livekit::{UpdateTrackSettings, VideoLayer, VideoQuality};

/// Spatial layers that the protocol can name (LOW, MEDIUM, HIGH).
pub(crate) const MAX_LAYERS: usize = 3;

/// The highest temporal layer of the scalability modes in use (L?T4 does not exist in browsers).
const MAX_TEMPORAL: u8 = 3;

/// A layer that is this much smaller than asked for still counts as large enough: a window of 192 lines is served by 180.
const SIZE_TOLERANCE: f32 = 0.9;

/// Frame rate that is assumed of the full stream, in frames per second: publishers do not declare it.
const ASSUMED_FPS: f32 = 30.0;

/// Temporal layers that are assumed of a stream; each halves the frame rate.
const ASSUMED_TEMPORAL_LAYERS: u8 = 3;

/// Lines of the low and the medium layer of a publisher that declares none.
const DEFAULT_LINES: [u32; 2] = [180, 360];

/// What a subscriber asked for with `UpdateTrackSettings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrackSettings {
    /// Hidden: nothing is sent.
    pub(crate) disabled: bool,
    /// Counts while no size is given.
    pub(crate) quality: VideoQuality,
    /// Size in pixels at which the track is shown; 0 when not given.
    pub(crate) width: u32,
    /// See `width`.
    pub(crate) height: u32,
    /// Frames per second that suffice; 0 for all.
    pub(crate) fps: u32,
}

impl TrackSettings {
    /// What counts until the subscriber says something: everything, or little for a client that will tell sizes.
    pub(crate) const fn initial(adaptive_stream: bool) -> Self {
        TrackSettings {
            disabled: false,
            quality: if adaptive_stream {
                VideoQuality::Low
            } else {
                VideoQuality::High
            },
            width: 0,
            height: 0,
            fps: 0,
        }
    }

    /// Reads a request. An unknown quality counts as HIGH.
    pub(crate) fn from_request(request: &UpdateTrackSettings) -> Self {
        TrackSettings {
            disabled: request.disabled,
            quality: VideoQuality::try_from(request.quality).unwrap_or(VideoQuality::High),
            width: request.width,
            height: request.height,
            fps: request.fps,
        }
    }
}

/// The highest layers that a subscriber wants; `None` for a hidden track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Index of the spatial layer, 0 is the smallest.
    pub(crate) spatial: u8,
    /// Index of the temporal layer, 0 is the slowest.
    pub(crate) temporal: u8,
}

/// Puts a publisher's layers into order, low to high, and bounds their number.
pub(crate) fn sorted(layers: &[VideoLayer]) -> Vec<VideoLayer> {
    let mut layers: Vec<VideoLayer> = layers
        .iter()
        .filter(|layer| layer.quality != VideoQuality::Off as i32)
        .take(MAX_LAYERS)
        .cloned()
        .collect();
    layers.sort_by_key(|layer| layer.quality);
    layers
}

/// Which layers of `layers` (low to high) of a track of `width` × `height` serve `settings`.
pub(crate) fn wanted(
    settings: &TrackSettings,
    layers: &[VideoLayer],
    width: u32,
    height: u32,
) -> Option<Wanted> {
    if settings.disabled {
        return None;
    }
    let spatial = if settings.width > 0 || settings.height > 0 {
        by_size(settings, layers, width, height)
    } else if settings.quality == VideoQuality::Off {
        return None;
    } else {
        by_quality(settings.quality, layers)
    };
    Some(Wanted {
        spatial,
        temporal: by_fps(settings.fps),
    })
}

/// The highest layer that is not above `quality`, or else the lowest there is.
fn by_quality(quality: VideoQuality, layers: &[VideoLayer]) -> u8 {
    if layers.is_empty() {
        return quality as u8;
    }
    let not_above = layers
        .iter()
        .filter(|layer| layer.quality <= quality as i32)
        .count();
    index(not_above.saturating_sub(1))
}

/// The smallest layer that is large enough, or else the largest. Landscape pictures are compared by height, portrait ones
/// by width.
fn by_size(settings: &TrackSettings, layers: &[VideoLayer], width: u32, height: u32) -> u8 {
    let portrait = width < height;
    let asked = match (settings.width, settings.height) {
        (asked, 0) if !portrait => scale(asked, height, width),
        (0, asked) if portrait => scale(asked, width, height),
        (asked, _) if portrait => asked,
        (_, asked) => asked,
    };
    let enough = |lines: u32| lines as f32 >= asked as f32 * SIZE_TOLERANCE;
    let lines = |layer: &VideoLayer| {
        if portrait { layer.width } else { layer.height }
    };
    if layers.iter().all(|layer| lines(layer) == 0) {
        let first = DEFAULT_LINES.iter().position(|lines| enough(*lines));
        let top = match layers.len() {
            0 => MAX_LAYERS - 1,
            declared => declared - 1,
        };
        return index(first.unwrap_or(top).min(top));
    }
    let first = layers.iter().position(|layer| enough(lines(layer)));
    index(first.unwrap_or(layers.len().saturating_sub(1)))
}

/// `value * numerator / denominator`; a track of unknown size is taken as 16:9.
fn scale(value: u32, numerator: u32, denominator: u32) -> u32 {
    let (numerator, denominator) = match (numerator, denominator) {
        (0, _) | (_, 0) => (9, 16),
        known => known,
    };
    (u64::from(value) * u64::from(numerator) / u64::from(denominator))
        .try_into()
        .unwrap_or(u32::MAX)
}

/// The lowest temporal layer that reaches `fps`.
fn by_fps(fps: u32) -> u8 {
    if fps == 0 {
        return MAX_TEMPORAL;
    }
    (0..ASSUMED_TEMPORAL_LAYERS - 1)
        .find(|layer| {
            let halvings = ASSUMED_TEMPORAL_LAYERS - 1 - layer;
            ASSUMED_FPS / f32::from(1_u8 << halvings) >= fps as f32 * SIZE_TOLERANCE
        })
        .unwrap_or(MAX_TEMPORAL)
}

fn index(index: usize) -> u8 {
    u8::try_from(index.min(MAX_LAYERS - 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(qualities: &[(VideoQuality, u32, u32)]) -> Vec<VideoLayer> {
        qualities
            .iter()
            .map(|(quality, width, height)| VideoLayer {
                quality: *quality as i32,
                width: *width,
                height: *height,
                ..VideoLayer::default()
            })
            .collect()
    }

    fn three() -> Vec<VideoLayer> {
        layers(&[
            (VideoQuality::Low, 320, 180),
            (VideoQuality::Medium, 640, 360),
            (VideoQuality::High, 1280, 720),
        ])
    }

    fn spatial(settings: TrackSettings, layers: &[VideoLayer]) -> Option<u8> {
        wanted(&settings, layers, 1280, 720).map(|wanted| wanted.spatial)
    }

    fn quality(quality: VideoQuality) -> TrackSettings {
        TrackSettings {
            quality,
            ..TrackSettings::initial(false)
        }
    }

    fn size(width: u32, height: u32) -> TrackSettings {
        TrackSettings {
            width,
            height,
            ..TrackSettings::initial(true)
        }
    }

    #[test]
    fn a_quality_names_the_highest_layer_not_above_it() {
        let low_and_high = layers(&[(VideoQuality::Low, 0, 0), (VideoQuality::High, 0, 0)]);
        let only_high = layers(&[(VideoQuality::High, 0, 0)]);
        assert_eq!(spatial(quality(VideoQuality::Medium), &three()), Some(1));
        assert_eq!(
            spatial(quality(VideoQuality::Medium), &low_and_high),
            Some(0)
        );
        assert_eq!(spatial(quality(VideoQuality::High), &low_and_high), Some(1));
        assert_eq!(spatial(quality(VideoQuality::Low), &only_high), Some(0));
        assert_eq!(spatial(quality(VideoQuality::Off), &three()), None);
    }

    #[test]
    fn a_size_names_the_smallest_layer_that_is_nearly_large_enough() {
        assert_eq!(spatial(size(320, 195), &three()), Some(0));
        assert_eq!(spatial(size(320, 205), &three()), Some(1));
        assert_eq!(spatial(size(4000, 4000), &three()), Some(2));
        assert_eq!(spatial(size(320, 0), &three()), Some(0));
        assert_eq!(spatial(size(700, 0), &three()), Some(1));
    }

    #[test]
    fn a_portrait_track_is_compared_by_width() {
        let portrait = layers(&[
            (VideoQuality::Low, 180, 320),
            (VideoQuality::Medium, 360, 640),
            (VideoQuality::High, 720, 1280),
        ]);
        let wanted = wanted(&size(300, 100), &portrait, 720, 1280);
        assert_eq!(wanted.map(|wanted| wanted.spatial), Some(1));
    }

    #[test]
    fn a_publisher_without_layers_has_the_usual_sizes() {
        assert_eq!(spatial(size(320, 180), &[]), Some(0));
        assert_eq!(spatial(size(640, 360), &[]), Some(1));
        assert_eq!(spatial(size(1280, 720), &[]), Some(2));
    }

    #[test]
    fn a_hidden_track_gets_nothing_and_a_low_frame_rate_a_low_temporal_layer() {
        let hidden = TrackSettings {
            disabled: true,
            ..size(640, 360)
        };
        assert_eq!(spatial(hidden, &three()), None);
        assert_eq!(by_fps(0), MAX_TEMPORAL);
        assert_eq!(by_fps(7), 0);
        assert_eq!(by_fps(15), 1);
        assert_eq!(by_fps(30), MAX_TEMPORAL);
    }

    #[test]
    fn layers_are_sorted_and_bounded() {
        let mut many = three();
        many.reverse();
        many.extend(three());
        let sorted = sorted(&many);
        assert_eq!(sorted.len(), MAX_LAYERS);
        assert!(sorted.is_sorted_by_key(|layer| layer.quality));
    }
}
