use std::time::Duration;

use kith_net::{Command, EventKind, FailReason};
use kith_proto::livekit::{
    DisconnectReason, SimulateScenario, leave_request::Action, participant_info::State,
    signal_request, simulate_scenario,
};

use crate::support::{World, dual};

fn closed(world: &World) -> usize {
    world
        .media
        .all(|command| matches!(command, Command::CloseTransport { .. }).then_some(()))
        .len()
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_answered_and_told_at_once() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    alice.publish_audio().await;
    bob.tracks_of("alice", 1).await;
    let start = tokio::time::Instant::now();
    alice.leaves().await;
    let leave = alice.leave_message().await;
    assert_eq!(leave.reason(), DisconnectReason::ClientInitiated);
    assert_eq!(leave.action(), Action::Disconnect);
    let gone = bob.state_of("alice", State::Disconnected).await;
    assert_eq!(gone.disconnect_reason(), DisconnectReason::ClientInitiated);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(closed(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_socket_lost_before_media_is_connected_ends_the_session() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let alice = world.join(dual("alice")).await;
    bob.state_of("alice", State::Joined).await;
    alice.vanish();
    let gone = bob.state_of("alice", State::Disconnected).await;
    assert_eq!(gone.disconnect_reason(), DisconnectReason::SignalClose);
    assert_eq!(closed(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_lost_while_media_flows_does_not() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let alice = world.connect("alice").await;
    bob.state_of("alice", State::Active).await;
    let subscriber = alice.subscriber();
    alice.vanish();
    tokio::time::sleep(Duration::from_secs(60)).await;
    bob.settle().await;
    assert_eq!(closed(&world), 0);
    // Without connectivity too it is given up.
    world
        .media
        .report(subscriber, EventKind::IceDisconnected)
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world
        .media
        .report(subscriber, EventKind::IceConnected)
        .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(closed(&world), 0);
    world
        .media
        .report(subscriber, EventKind::IceDisconnected)
        .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let gone = bob.state_of("alice", State::Disconnected).await;
    assert_eq!(
        gone.disconnect_reason(),
        DisconnectReason::ConnectionTimeout
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_transport_sends_the_client_to_a_new_session() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    world
        .media
        .report(
            alice.subscriber(),
            EventKind::Failed {
                reason: FailReason::IceTimeout,
            },
        )
        .await;
    let leave = alice.leave_message().await;
    assert_eq!(leave.action(), Action::Reconnect);
    assert!(leave.can_reconnect);
    bob.state_of("alice", State::Disconnected).await;
}

#[tokio::test(start_paused = true)]
async fn media_that_never_connects_ends_the_session_after_a_minute() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice.answer().await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(closed(&world), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let leave = alice.leave_message().await;
    assert_eq!(leave.reason(), DisconnectReason::JoinFailure);
    assert_eq!(closed(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_gone() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let alice = world.join(dual("alice")).await;
    for _ in 0..kith_server::signal::RESPONSE_QUEUE + 10 {
        alice.try_send(signal_request::Message::Ping(1)).await;
        tokio::task::yield_now().await;
    }
    bob.state_of("alice", State::Disconnected).await;
}

#[tokio::test(start_paused = true)]
async fn the_scenarios_of_test_suites_end_sessions_as_asked() {
    let world = World::new();
    for (scenario, action) in [
        (
            simulate_scenario::Scenario::ServerLeave(true),
            Some(Action::Disconnect),
        ),
        (
            simulate_scenario::Scenario::LeaveRequestFullReconnect(true),
            Some(Action::Reconnect),
        ),
        (simulate_scenario::Scenario::NodeFailure(true), None),
    ] {
        let mut alice = world.connect("alice").await;
        alice
            .send(signal_request::Message::Simulate(SimulateScenario {
                scenario: Some(scenario),
            }))
            .await;
        if let Some(action) = action {
            assert_eq!(alice.leave_message().await.action(), action);
        }
        alice.settle().await;
        assert!(alice.closed);
    }
}
