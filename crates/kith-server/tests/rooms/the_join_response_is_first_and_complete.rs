use kith_proto::livekit::{participant_info::State, signal_response::Message};

use crate::support::{World, dual, single};

#[tokio::test(start_paused = true)]
async fn every_field_that_sdks_need_is_there() {
    let world = World::new();
    let mut alice = world.try_join(dual("alice")).await.unwrap();
    alice.read_join().await;
    let join = &alice.joined;
    let room = join.room.as_ref().unwrap();
    assert!(room.sid.starts_with("RM_"));
    assert_eq!(room.name, "room");
    assert_eq!(room.num_participants, 1);
    let own = join.participant.as_ref().unwrap();
    assert!(own.sid.starts_with("PA_"));
    assert_eq!(own.identity, "alice");
    assert_eq!(own.state(), State::Joining);
    assert_eq!(own.client_protocol, 2);
    let permission = own.permission.as_ref().unwrap();
    assert!(permission.can_publish && permission.can_subscribe && permission.can_publish_data);
    assert_eq!(join.server_version, "1.14.0");
    assert_eq!(join.server_info.as_ref().unwrap().version, "1.14.0");
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert!(!join.sif_trailer.is_empty());
    assert!(join.fast_publish && join.subscriber_primary);
    let mimes: Vec<&str> = join
        .enabled_publish_codecs
        .iter()
        .map(|codec| codec.mime.as_str())
        .collect();
    assert_eq!(mimes[..2], ["video/VP8", "video/H264"]);
    assert!(mimes.contains(&"audio/red") && !mimes.contains(&"video/rtx"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_follows_at_once() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    let token = alice
        .expect("a refresh token", |message| match message {
            Message::RefreshToken(token) => Some(token.clone()),
            _ => None,
        })
        .await;
    assert_eq!(token.split('.').count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_subscriber_is_primary_only_where_a_subscriber_connection_comes_up() {
    let world = World::new();
    let mut request = dual("deaf");
    request.grants.can_subscribe = Some(false);
    let mut deaf = world.join(request).await;
    assert!(!deaf.joined.subscriber_primary);
    let offers = deaf
        .now(|message| matches!(message, Message::Offer(_)).then_some(()))
        .await;
    assert!(offers.is_empty());
    assert!(!world.join(single("one")).await.joined.subscriber_primary);
}

#[tokio::test(start_paused = true)]
async fn others_are_listed_with_their_tracks_and_hidden_ones_are_not() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let mut request = dual("ghost");
    request.grants.hidden = true;
    let _ghost = world.join(request).await;
    let bob = world.join(dual("bob")).await;
    let others = &bob.joined.other_participants;
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].identity, "alice");
    assert_eq!(others[0].tracks[0].sid, track.sid);
    assert!(others[0].is_publisher);
}
