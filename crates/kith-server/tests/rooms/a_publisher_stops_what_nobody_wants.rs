use std::time::Duration;

use kith_proto::livekit::{
    MuteTrackRequest, SubscribedQualityUpdate, UpdateSubscription, UpdateTrackSettings,
    VideoQuality, signal_request, signal_response::Message,
};

use crate::support::{Client, World, camera, sdp::Section};

fn quality_update(message: &Message) -> Option<SubscribedQualityUpdate> {
    match message {
        Message::SubscribedQualityUpdate(update) => Some(update.clone()),
        _ => None,
    }
}

/// The qualities of the first codec that are enabled in the next update.
async fn enabled(client: &mut Client) -> Vec<VideoQuality> {
    let update = client.expect("a quality update", quality_update).await;
    update.subscribed_codecs[0]
        .qualities
        .iter()
        .filter(|quality| quality.enabled)
        .map(|quality| quality.quality())
        .collect()
}

fn settings(sid: &str, quality: VideoQuality) -> signal_request::Message {
    signal_request::Message::TrackSetting(UpdateTrackSettings {
        track_sids: vec![sid.to_owned()],
        quality: quality as i32,
        ..UpdateTrackSettings::default()
    })
}

const ALL: [VideoQuality; 3] = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];

#[tokio::test(start_paused = true)]
async fn more_is_told_at_once_and_less_after_five_seconds() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let bob = world.connect("bob").await;
    let track = alice.publish_video().await;
    let start = tokio::time::Instant::now();
    assert_eq!(enabled(&mut alice).await, ALL);
    bob.send(settings(&track.sid, VideoQuality::Low)).await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(enabled(&mut alice).await, [VideoQuality::Low]);
    let at_five = start.elapsed();
    assert!(at_five < Duration::from_millis(5100), "{at_five:?}");
    bob.send(settings(&track.sid, VideoQuality::Medium)).await;
    assert_eq!(
        enabled(&mut alice).await,
        [VideoQuality::Low, VideoQuality::Medium]
    );
    assert_eq!(start.elapsed(), at_five);
    // The same again says nothing.
    bob.send(settings(&track.sid, VideoQuality::Medium)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_track_without_subscribers_is_paused_and_wakes_at_once() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_video().await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(enabled(&mut alice).await, []);
    let start = tokio::time::Instant::now();
    let _bob = world.connect("bob").await;
    assert_eq!(enabled(&mut alice).await, ALL);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _ = track;
}

#[tokio::test(start_paused = true)]
async fn the_largest_wish_counts() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let bob = world.connect("bob").await;
    let carol = world.connect("carol").await;
    let track = alice.publish_video().await;
    assert_eq!(enabled(&mut alice).await, ALL);
    bob.send(settings(&track.sid, VideoQuality::Low)).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
    carol
        .send(signal_request::Message::Subscription(UpdateSubscription {
            track_sids: vec![track.sid.clone()],
            subscribe: false,
            participant_tracks: Vec::new(),
        }))
        .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(enabled(&mut alice).await, [VideoQuality::Low]);
}

#[tokio::test(start_paused = true)]
async fn a_single_encoding_is_wanted_as_a_whole() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let bob = world.connect("bob").await;
    let mut request = camera("cam");
    request.layers.truncate(1);
    request.layers[0].quality = VideoQuality::High as i32;
    request.simulcast_codecs[0].layers = request.layers.clone();
    let track = alice.add_track(request).await;
    alice.offer_sections(&[Section::video("cam")]).await;
    assert_eq!(enabled(&mut alice).await, ALL);
    // A low quality of it is still the only encoding, which clients call LOW.
    bob.send(settings(&track.sid, VideoQuality::Low)).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_while_the_track_is_muted() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let bob = world.connect("bob").await;
    let track = alice.publish_video().await;
    assert_eq!(enabled(&mut alice).await, ALL);
    let mute = |muted| {
        signal_request::Message::Mute(MuteTrackRequest {
            sid: track.sid.clone(),
            muted,
        })
    };
    alice.send(mute(true)).await;
    alice.settle().await;
    bob.send(settings(&track.sid, VideoQuality::Low)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(
        alice
            .now(|message| quality_update(&message))
            .await
            .is_empty()
    );
    alice.send(mute(false)).await;
    assert_eq!(enabled(&mut alice).await, [VideoQuality::Low]);
}

#[tokio::test(start_paused = true)]
async fn the_publisher_is_told_once_that_somebody_receives() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_video().await;
    let subscribed = |message: Message| match message {
        Message::TrackSubscribed(subscribed) => Some(subscribed.track_sid),
        _ => None,
    };
    assert!(alice.now(subscribed).await.is_empty());
    let mut bob = world.join(crate::support::dual("bob")).await;
    bob.answer().await;
    assert!(
        alice.now(subscribed).await.is_empty(),
        "not before it is connected"
    );
    bob.subscriber_connects().await;
    assert_eq!(alice.now(subscribed).await, [track.sid]);
    world.connect("carol").await;
    assert!(alice.now(subscribed).await.is_empty());
}
