//! Dynacast: telling a publisher which of its layers somebody wants, so that it stops encoding the others.
//!
//! More is told at once, since a person waits for the picture. Less is told after [`DOWNGRADE_DELAY`], since people hide
//! and show windows. Nothing is told twice.

use std::time::Duration;

use kith_proto::livekit::{
    SubscribedCodec, SubscribedQuality, SubscribedQualityUpdate, VideoQuality,
};
use kith_rtp::Codec;
use smallvec::SmallVec;

/// How long a layer must be unwanted before the publisher is told to stop it (LiveKit's `video.dynacast_pause_delay`).
pub(crate) const DOWNGRADE_DELAY: Duration = Duration::from_secs(5);

/// What is wanted of one codec of a track: the highest spatial layer, `None` for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// The codec.
    pub(crate) codec: Codec,
    /// The highest quality that the publisher must send, in its own names.
    pub(crate) quality: Option<VideoQuality>,
}

/// Demands on every codec of a track, the first codec first. Two codecs are usual, one the rule.
pub(crate) type Demands = SmallVec<[Demand; 2]>;

/// The publisher's name for the layer with index `spatial` of `layer_count`: `q`, `h` and `f` are LOW, MEDIUM and HIGH
/// from below, and who needs the topmost layer needs all there is (a single encoding has no name of its own).
pub(crate) fn quality_of_layer(spatial: u8, layer_count: usize) -> VideoQuality {
    if usize::from(spatial) + 1 >= layer_count {
        return VideoQuality::High;
    }
    match spatial {
        0 => VideoQuality::Low,
        1 => VideoQuality::Medium,
        _ => VideoQuality::High,
    }
}

/// What the publisher of one video track has been told.
#[derive(Debug, Default)]
pub(crate) struct Dynacast {
    /// `None` before the first message: the publisher then sends all layers of its first codec.
    told: Option<Demands>,
}

/// What to do about a change of demand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The publisher already knows.
    None,
    /// Tell it this now.
    Tell(Demands),
    /// Look again after [`DOWNGRADE_DELAY`].
    Later,
}

impl Dynacast {
    /// Compares what is wanted with what was told. `settled` says that the downgrade delay has passed.
    pub(crate) fn update(&mut self, wanted: Demands, settled: bool) -> Change {
        let Some(told) = &self.told else {
            // The first message is an upgrade as soon as anything is wanted.
            if settled || wanted.iter().any(|demand| demand.quality.is_some()) {
                self.told = Some(wanted.clone());
                return Change::Tell(wanted);
            }
            return Change::Later;
        };
        if *told == wanted {
            return Change::None;
        }
        if settled {
            self.told = Some(wanted.clone());
            return Change::Tell(wanted);
        }
        // What rises is told now, together with what was told before for all that falls.
        let raised: Demands = wanted
            .iter()
            .map(|demand| {
                let before = told
                    .iter()
                    .find(|told| told.codec == demand.codec)
                    .and_then(|told| told.quality);
                Demand {
                    codec: demand.codec,
                    quality: demand.quality.max(before),
                }
            })
            .collect();
        if raised == *told {
            return Change::Later;
        }
        self.told = Some(raised.clone());
        if raised == wanted {
            Change::Tell(raised)
        } else {
            // The caller arms the delay for every `Tell` whose demand is not the wanted one.
            Change::Tell(raised)
        }
    }

    /// Whether the publisher has been told exactly `wanted`.
    pub(crate) fn is_settled_on(&self, wanted: &Demands) -> bool {
        self.told.as_ref() == Some(wanted)
    }

    /// Forgets what was told: the publisher starts anew (resume, unmute).
    pub(crate) fn reset(&mut self) {
        self.told = None;
    }
}

/// The message that tells `demands` about the track `track_sid`.
pub(crate) fn message(track_sid: &str, demands: &Demands) -> SubscribedQualityUpdate {
    let qualities = |wanted: Option<VideoQuality>| {
        [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High]
            .into_iter()
            .map(|quality| SubscribedQuality {
                quality: quality as i32,
                enabled: wanted.is_some_and(|wanted| quality <= wanted),
            })
            .collect::<Vec<_>>()
    };
    SubscribedQualityUpdate {
        track_sid: track_sid.to_owned(),
        subscribed_qualities: demands
            .first()
            .map(|demand| qualities(demand.quality))
            .unwrap_or_default(),
        subscribed_codecs: demands
            .iter()
            .map(|demand| SubscribedCodec {
                codec: demand.codec.encoding_name().to_ascii_lowercase(),
                qualities: qualities(demand.quality),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn vp8(quality: Option<VideoQuality>) -> Demands {
        smallvec![Demand {
            codec: Codec::Vp8,
            quality
        }]
    }

    #[test]
    fn more_is_told_at_once_and_less_only_after_the_delay() {
        let mut dynacast = Dynacast::default();
        let low = vp8(Some(VideoQuality::Low));
        let high = vp8(Some(VideoQuality::High));
        assert_eq!(
            dynacast.update(low.clone(), false),
            Change::Tell(low.clone())
        );
        assert_eq!(
            dynacast.update(high.clone(), false),
            Change::Tell(high.clone())
        );
        assert_eq!(dynacast.update(low.clone(), false), Change::Later);
        assert_eq!(dynacast.update(high.clone(), false), Change::None);
        assert_eq!(
            dynacast.update(low.clone(), true),
            Change::Tell(low.clone())
        );
        assert_eq!(dynacast.update(low, true), Change::None);
    }

    #[test]
    fn a_track_that_nobody_wants_is_left_alone_until_the_delay_has_passed() {
        let mut dynacast = Dynacast::default();
        assert_eq!(dynacast.update(vp8(None), false), Change::Later);
        assert_eq!(dynacast.update(vp8(None), true), Change::Tell(vp8(None)));
    }

    #[test]
    fn when_one_codec_rises_and_another_falls_only_the_rise_is_told() {
        let demands = |vp9, vp8| -> Demands {
            smallvec![
                Demand {
                    codec: Codec::Vp9,
                    quality: vp9
                },
                Demand {
                    codec: Codec::Vp8,
                    quality: vp8
                }
            ]
        };
        let mut dynacast = Dynacast::default();
        let (low, high) = (Some(VideoQuality::Low), Some(VideoQuality::High));
        dynacast.update(demands(high, None), false);
        let wanted = demands(low, low);
        assert_eq!(
            dynacast.update(wanted.clone(), false),
            Change::Tell(demands(high, low))
        );
        assert!(!dynacast.is_settled_on(&wanted));
        assert_eq!(dynacast.update(wanted.clone(), true), Change::Tell(wanted));
    }

    #[test]
    fn every_quality_up_to_the_wanted_one_is_enabled() {
        let message = message("TR_1", &vp8(Some(VideoQuality::Medium)));
        let codec = &message.subscribed_codecs[0];
        assert_eq!(codec.codec, "vp8");
        let enabled: Vec<_> = codec.qualities.iter().map(|q| q.enabled).collect();
        assert_eq!(enabled, [true, true, false]);
    }

    #[test]
    fn who_needs_the_topmost_layer_needs_every_quality() {
        assert_eq!(quality_of_layer(0, 1), VideoQuality::High);
        assert_eq!(quality_of_layer(0, 2), VideoQuality::Low);
        assert_eq!(quality_of_layer(1, 2), VideoQuality::High);
        assert_eq!(quality_of_layer(1, 3), VideoQuality::Medium);
    }
}
