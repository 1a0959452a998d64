use kith_proto::livekit::{
    DisconnectReason, SyncState, TrackInfo, TrackPublishedResponse, leave_request::Action,
    participant_info::State, signal_request, signal_response::Message,
};

use crate::support::{World, dual, resuming, sdp, sdp::Section, single};

#[tokio::test(start_paused = true)]
async fn the_response_is_first_and_a_full_snapshot_follows() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let sid = alice.sid();
    alice.publish_audio().await;
    bob.settle().await;
    let offers_before = alice.subscriber();
    alice.vanish();
    let mut back = world.try_join(resuming(dual("alice"), &sid)).await.unwrap();
    let Some(Message::Reconnect(reconnect)) = back.next().await else {
        panic!("ReconnectResponse is first");
    };
    assert_eq!(reconnect.server_info.unwrap().version, "1.14.0");
    let Some(Message::Update(update)) = back.next().await else {
        panic!("the snapshot is next");
    };
    let mut identities: Vec<&str> = update
        .participants
        .iter()
        .map(|p| p.identity.as_str())
        .collect();
    identities.sort_unstable();
    assert_eq!(identities, ["alice", "bob"]);
    assert!(matches!(back.next().await, Some(Message::RoomUpdate(_))));
    // The server offers with new ICE credentials, though nothing else changed.
    let offer = back.server_offer().await;
    assert!(!offer.sdp.is_empty());
    let restarted: Vec<_> = world.media.all(|command| match command {
        kith_net::Command::RestartIce {
            transport,
            local_ice,
        } => {
            assert_eq!(
                sdp::parse(&offer.sdp).media()[0].ice_ufrag.as_deref(),
                Some(local_ice.ufrag())
            );
            Some(*transport)
        }
        _ => None,
    });
    assert_eq!(restarted, [offers_before]);
    // Nobody saw it leave.
    let gone = bob
        .now(|message| match message {
            Message::Update(update) => update
                .participants
                .iter()
                .any(|p| p.state() == State::Disconnected)
                .then_some(()),
            _ => None,
        })
        .await;
    assert!(gone.is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_a_single_connection_the_client_offers_the_restart() {
    let world = World::new();
    let alice = world.connect_single("alice").await;
    let sid = alice.sid();
    alice.vanish();
    let mut back = world
        .try_join(resuming(single("alice"), &sid))
        .await
        .unwrap();
    assert!(matches!(back.next().await, Some(Message::Reconnect(_))));
    back.settle().await;
    back.ice = 99;
    let answer = back.offer_sections(&[]).await;
    assert_eq!(sdp::parse(&answer.sdp).media().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_there_is_sent_to_a_new_one() {
    let world = World::new();
    let alice = world.connect("alice").await;
    for request in [
        resuming(dual("nobody"), "PA_nobody"),
        resuming(dual("alice"), "PA_another"),
        resuming(single("alice"), &alice.sid()),
    ] {
        let mut back = world.try_join(request).await.unwrap();
        let Some(Message::Leave(leave)) = back.next().await else {
            panic!("leave is the first and only message");
        };
        assert_eq!(leave.action(), Action::Reconnect);
        assert_eq!(leave.reason(), DisconnectReason::StateMismatch);
        back.settle().await;
        assert!(back.closed);
    }
}

#[tokio::test(start_paused = true)]
async fn the_former_connection_is_closed_and_requests_on_it_do_not_count() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let sid = alice.sid();
    let mut back = world.try_join(resuming(dual("alice"), &sid)).await.unwrap();
    back.settle().await;
    alice.settle().await;
    assert!(alice.closed);
    alice.vanish();
    back.settle().await;
    back.send(signal_request::Message::Ping(1)).await;
    back.expect("pong", |message| {
        matches!(message, Message::Pong(_)).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tracks_go_on_and_unknown_ones_mean_a_new_session() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let sid = alice.sid();
    let track = alice.publish_audio().await;
    let mut back = world.try_join(resuming(dual("alice"), &sid)).await.unwrap();
    back.settle().await;
    let sync = |track: &str| {
        signal_request::Message::SyncState(SyncState {
            publish_tracks: vec![TrackPublishedResponse {
                cid: "mic".to_owned(),
                track: Some(TrackInfo {
                    sid: track.to_owned(),
                    ..TrackInfo::default()
                }),
            }],
            ..SyncState::default()
        })
    };
    back.send(sync(&track.sid)).await;
    back.settle().await;
    assert!(!back.closed);
    back.ice = 2;
    back.offer_sections(&[Section::audio("mic")]).await;
    assert_eq!(world.media.receives(back.publisher()).sections.len(), 1);
    back.send(sync("TR_forgotten")).await;
    assert_eq!(back.leave_message().await.action(), Action::Reconnect);
}
