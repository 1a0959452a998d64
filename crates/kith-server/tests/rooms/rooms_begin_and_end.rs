use std::time::Duration;

use kith_proto::livekit::{
    DisconnectReason, RoomConfiguration, participant_info, signal_response::Message,
};
use kith_server::signal::{JoinError, Rooms as _};

use crate::support::{World, dual};

#[tokio::test(start_paused = true)]
async fn a_room_ends_after_its_departure_timeout_and_comes_back_with_a_new_sid() {
    let world = World::with(|settings| settings.departure_timeout = 20);
    let mut alice = world.join(dual("alice")).await;
    let first = alice.joined.room.clone().unwrap().sid;
    alice.leaves().await;
    alice.leave_message().await;
    tokio::time::sleep(Duration::from_secs(19)).await;
    let mut alice = world.join(dual("alice")).await;
    assert_eq!(alice.joined.room.clone().unwrap().sid, first);
    tokio::time::sleep(Duration::from_secs(30)).await;
    alice.leaves().await;
    alice.leave_message().await;
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(world.rooms.names().is_empty());
    let alice = world.join(dual("alice")).await;
    assert_ne!(alice.joined.room.clone().unwrap().sid, first);
}

#[tokio::test(start_paused = true)]
async fn an_agent_does_not_keep_a_room_open() {
    let world = World::with(|settings| settings.departure_timeout = 2);
    let alice = world.connect("alice").await;
    let mut request = dual("agent");
    request.kind = participant_info::Kind::Agent;
    let mut agent = world.join(request).await;
    alice.leaves().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let leave = agent.leave_message().await;
    assert_eq!(leave.reason(), DisconnectReason::RoomClosed);
    assert!(world.rooms.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_room_refuses_new_people_but_not_old_ones_or_agents() {
    let world = World::with(|settings| settings.max_participants = 1);
    let _alice = world.join(dual("alice")).await;
    assert_eq!(
        world.try_join(dual("bob")).await.map(|_| ()),
        Err(JoinError::RoomFull(1))
    );
    let mut request = dual("agent");
    request.grants.agent = true;
    world.join(request).await;
    world.join(dual("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn without_auto_create_only_who_may_creates_rooms() {
    let world = World::with(|settings| settings.auto_create = false);
    let request = dual("alice");
    assert_eq!(
        world.rooms.check(&request).await,
        Err(JoinError::RoomNotFound)
    );
    assert_eq!(
        world.try_join(request).await.map(|_| ()),
        Err(JoinError::RoomNotFound)
    );
    let mut request = dual("alice");
    request.grants.room_create = true;
    world.join(request).await;
    assert_eq!(world.rooms.check(&dual("bob")).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_token_that_makes_a_room_configures_it() {
    let world = World::new();
    let mut request = dual("alice");
    request.room_config = Some(RoomConfiguration {
        max_participants: 7,
        empty_timeout: 60,
        metadata: "hello".to_owned(),
        ..RoomConfiguration::default()
    });
    let alice = world.join(request).await;
    let room = alice.joined.room.clone().unwrap();
    assert_eq!((room.max_participants, room.empty_timeout), (7, 60));
    assert_eq!(room.metadata, "hello");
    assert_eq!(room.departure_timeout, 20);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_everybody() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    world.rooms.shutdown().await;
    assert_eq!(
        alice.leave_message().await.reason(),
        DisconnectReason::ServerShutdown
    );
    alice.settle().await;
    assert!(alice.closed);
    assert_eq!(
        world.try_join(dual("bob")).await.map(|_| ()),
        Err(JoinError::ShuttingDown)
    );
}

#[tokio::test(start_paused = true)]
async fn counts_are_told_within_five_seconds_and_recording_at_once() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let _bob = world.connect("bob").await;
    let room = |message: Message| match message {
        Message::RoomUpdate(update) => update.room,
        _ => None,
    };
    tokio::time::sleep(Duration::from_secs(6)).await;
    let told = alice.now(room).await;
    assert_eq!(told.last().unwrap().num_participants, 2);
    let mut request = dual("recorder");
    request.grants.recorder = true;
    request.grants.hidden = true;
    let recorder = world.join(request).await;
    assert!(alice.now(room).await.last().unwrap().active_recording);
    recorder.leaves().await;
    assert!(!alice.now(room).await.last().unwrap().active_recording);
}

#[tokio::test(start_paused = true)]
async fn a_large_room_collects_joins_of_those_who_publish_nothing() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut others = Vec::new();
    for n in 0..98 {
        others.push(world.join(dual(&format!("p{n}"))).await);
    }
    alice.settle().await;
    for n in 0..20 {
        others.push(world.join(dual(&format!("late{n}"))).await);
    }
    let updates = |message: Message| match message {
        Message::Update(update) => Some(update.participants.len()),
        _ => None,
    };
    assert!(alice.now(updates).await.is_empty());
    tokio::time::sleep(Duration::from_millis(501)).await;
    assert_eq!(alice.now(updates).await, [20]);
}
