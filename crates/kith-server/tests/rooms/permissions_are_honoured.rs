use kith_proto::livekit::{
    SubscriptionPermission, TrackPermission, TrackSource, request_response::Reason, signal_request,
    signal_response::Message,
};
use kith_sdp::Direction;

use crate::support::{World, camera, dual, microphone, sdp, sdp::Section};

#[tokio::test(start_paused = true)]
async fn only_allowed_sources_are_published() {
    let world = World::new();
    let mut request = dual("alice");
    request.grants.can_publish_sources = vec![TrackSource::Microphone];
    let mut alice = world.join(request).await;
    alice.add_track(microphone("mic")).await;
    alice
        .send(signal_request::Message::AddTrack(camera("cam")))
        .await;
    let reason = alice
        .expect("a refusal", |message| match message {
            Message::RequestResponse(response) => Some(response.reason()),
            _ => None,
        })
        .await;
    assert_eq!(reason, Reason::NotAllowed);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_publish_is_not_received() {
    let world = World::new();
    let mut request = dual("alice");
    request.grants.can_publish = Some(false);
    let mut alice = world.join(request).await;
    assert!(!alice.joined.fast_publish);
    let answer = alice.offer_sections(&[Section::audio("mic")]).await;
    assert_eq!(
        sdp::parse(&answer.sdp).media()[0].direction,
        Direction::Inactive
    );
    assert!(world.media.receives(alice.publisher()).sections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_subscribe_gets_nothing() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.publish_audio().await;
    let mut request = dual("bob");
    request.grants.can_subscribe = Some(false);
    let mut bob = world.join(request).await;
    bob.offer_sections(&[]).await;
    bob.settle().await;
    assert!(world.media.subscriptions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hidden_participant_is_seen_by_itself_only() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut request = dual("ghost");
    request.grants.hidden = true;
    let mut ghost = world.join(request).await;
    ghost.answer().await;
    ghost.subscriber_connects().await;
    ghost.update_of("ghost").await;
    ghost.leaves().await;
    ghost.leave_message().await;
    let seen = alice
        .now(|message| match message {
            Message::Update(update) => update
                .participants
                .iter()
                .any(|p| p.identity == "ghost")
                .then_some(()),
            _ => None,
        })
        .await;
    assert!(seen.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_publisher_chooses_its_audience() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let mut bob = world.connect("bob").await;
    let mut carol = world.connect("carol").await;
    assert_eq!(world.media.subscriptions().len(), 2);
    alice
        .send(signal_request::Message::SubscriptionPermission(
            SubscriptionPermission {
                all_participants: false,
                track_permissions: vec![TrackPermission {
                    participant_identity: "carol".to_owned(),
                    all_tracks: true,
                    ..TrackPermission::default()
                }],
            },
        ))
        .await;
    let allowed = |message: &Message| match message {
        Message::SubscriptionPermissionUpdate(update) => {
            Some((update.track_sid.clone(), update.allowed))
        }
        _ => None,
    };
    assert_eq!(
        bob.expect("a permission", allowed).await,
        (track.sid.clone(), false)
    );
    bob.settle().await;
    assert_eq!(world.media.unsubscribed().len(), 1);
    assert!(carol.now(|message| allowed(&message)).await.is_empty());
    // And opens it again; bob has not answered the offer in between.
    alice
        .send(signal_request::Message::SubscriptionPermission(
            SubscriptionPermission {
                all_participants: true,
                track_permissions: Vec::new(),
            },
        ))
        .await;
    assert_eq!(bob.expect("a permission", allowed).await, (track.sid, true));
}
