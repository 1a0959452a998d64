use std::time::Duration;

use kith_net::EventKind;
use kith_proto::livekit::{
    SpeakerInfo, TrackSource, UpdateSubscription, signal_request, signal_response::Message,
};

use crate::support::{Client, World, dual, microphone, sdp::Section};

fn speakers(message: &Message) -> Option<Vec<SpeakerInfo>> {
    match message {
        Message::SpeakersChanged(changed) => Some(changed.speakers.clone()),
        _ => None,
    }
}

async fn speaks(world: &World, client: &Client, level: f32) {
    let publisher = client.publisher();
    let publication = world.media.receives(publisher).sections[0].publication;
    world
        .media
        .report(
            publisher,
            EventKind::AudioLevel {
                publication,
                level,
                active: level > 0.0,
            },
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_speaker_is_told_to_itself_and_to_who_hears_it() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let mut bob = world.connect("bob").await;
    let mut carol = world.connect("carol").await;
    carol
        .send(signal_request::Message::Subscription(UpdateSubscription {
            track_sids: vec![track.sid],
            subscribe: false,
            participant_tracks: Vec::new(),
        }))
        .await;
    carol.settle().await;
    speaks(&world, &alice, 0.3).await;
    for client in [&mut alice, &mut bob] {
        let told = client.expect("speakers", speakers).await;
        assert_eq!(told.len(), 1);
        assert!(told[0].sid.starts_with("PA_"));
        assert!(told[0].active);
        assert_eq!(told[0].level, 0.375);
    }
    assert!(carol.now(|message| speakers(&message)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_at_most_every_400_ms() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.publish_audio().await;
    let mut bob = world.connect("bob").await;
    speaks(&world, &alice, 0.3).await;
    bob.expect("speakers", speakers).await;
    let start = tokio::time::Instant::now();
    speaks(&world, &alice, 0.9).await;
    speaks(&world, &alice, 0.0).await;
    assert!(bob.now(|message| speakers(&message)).await.is_empty());
    let told = bob.expect("speakers", speakers).await;
    assert!(start.elapsed() >= Duration::from_millis(399));
    assert_eq!((told[0].active, told[0].level), (false, 0.0));
}

#[tokio::test(start_paused = true)]
async fn only_microphones_count() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut request = microphone("music");
    request.source = TrackSource::ScreenShareAudio as i32;
    alice.add_track(request).await;
    alice.offer_sections(&[Section::audio("music")]).await;
    assert!(!world.media.receives(alice.publisher()).sections[0].measure_audio_level);
    speaks(&world, &alice, 0.8).await;
    assert!(alice.now(|message| speakers(&message)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_starts_to_listen_hears_who_speaks() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.publish_audio().await;
    speaks(&world, &alice, 0.5).await;
    alice.expect("speakers", speakers).await;
    let mut bob = world.join(dual("bob")).await;
    bob.answer().await;
    let told = bob.expect("speakers", speakers).await;
    assert_eq!(told[0].level, 0.5);
}
