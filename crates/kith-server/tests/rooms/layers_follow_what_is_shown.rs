use kith_net::LayerTarget;
use kith_proto::livekit::{UpdateTrackSettings, VideoQuality, signal_request};

use crate::support::{World, dual};

fn shown(sid: &str, change: impl FnOnce(&mut UpdateTrackSettings)) -> signal_request::Message {
    let mut settings = UpdateTrackSettings {
        track_sids: vec![sid.to_owned()],
        ..UpdateTrackSettings::default()
    };
    change(&mut settings);
    signal_request::Message::TrackSetting(settings)
}

#[tokio::test(start_paused = true)]
async fn size_quality_rate_and_hiding_choose_the_layers() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_video().await;
    let mut bob = world.connect("bob").await;
    assert_eq!(world.media.subscriptions()[0].target, LayerTarget::ALL);
    let id = world.media.subscriptions()[0].id;
    type Change = Box<dyn FnOnce(&mut UpdateTrackSettings)>;
    let cases: [(Change, LayerTarget); 4] = [
        (
            Box::new(|settings| (settings.width, settings.height) = (320, 180)),
            LayerTarget {
                max_spatial: 0,
                ..LayerTarget::ALL
            },
        ),
        (
            Box::new(|settings| settings.quality = VideoQuality::Medium as i32),
            LayerTarget {
                max_spatial: 1,
                ..LayerTarget::ALL
            },
        ),
        (
            Box::new(|settings| {
                settings.quality = VideoQuality::High as i32;
                settings.fps = 15;
            }),
            LayerTarget {
                max_temporal: 1,
                ..LayerTarget::ALL
            },
        ),
        (
            Box::new(|settings| settings.disabled = true),
            LayerTarget {
                paused: true,
                ..LayerTarget::ALL
            },
        ),
    ];
    for (change, target) in cases {
        bob.send(shown(&track.sid, change)).await;
        bob.settle().await;
        assert_eq!(world.media.targets().pop(), Some((id, target)));
    }
    let before = world.media.targets().len();
    bob.send(shown(&track.sid, |settings| settings.disabled = true))
        .await;
    bob.settle().await;
    assert_eq!(world.media.targets().len(), before, "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn settings_may_come_before_the_subscription() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_video().await;
    let mut bob = world.join(dual("bob")).await;
    bob.send(shown(&track.sid, |settings| settings.disabled = true))
        .await;
    bob.answer().await;
    bob.settle().await;
    assert!(world.media.subscriptions()[0].target.paused);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_will_tell_sizes_starts_low() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.publish_video().await;
    let mut request = dual("bob");
    request.adaptive_stream = true;
    let mut bob = world.join(request).await;
    bob.answer().await;
    bob.settle().await;
    assert_eq!(world.media.subscriptions()[0].target.max_spatial, 0);
}
