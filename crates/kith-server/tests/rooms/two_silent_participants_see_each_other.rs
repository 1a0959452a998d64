use kith_proto::livekit::participant_info::State;

use crate::support::{World, dual};

#[tokio::test(start_paused = true)]
async fn who_joins_in_the_same_instant_is_seen_without_any_wait() {
    let world = World::new();
    let start = tokio::time::Instant::now();
    let (alice, bob) = tokio::join!(world.try_join(dual("alice")), world.try_join(dual("bob")));
    let (mut alice, mut bob) = (alice.unwrap(), bob.unwrap());
    alice.read_join().await;
    bob.read_join().await;
    let knows = |client: &crate::support::Client, identity: &str| {
        client
            .joined
            .other_participants
            .iter()
            .any(|other| other.identity == identity)
    };
    if !knows(&alice, "bob") {
        alice.state_of("bob", State::Joined).await;
    }
    if !knows(&bob, "alice") {
        bob.state_of("alice", State::Joined).await;
    }
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn states_and_versions_only_grow() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(dual("bob")).await;
    let joined = alice.state_of("bob", State::Joined).await;
    bob.answer().await;
    bob.subscriber_connects().await;
    let active = alice.state_of("bob", State::Active).await;
    assert!(active.version > joined.version);
    let own = bob.state_of("bob", State::Active).await;
    assert_eq!(own.version, active.version);
    bob.leaves().await;
    let gone = alice.state_of("bob", State::Disconnected).await;
    assert!(gone.version > active.version);
    assert_eq!(gone.sid, joined.sid);
}
