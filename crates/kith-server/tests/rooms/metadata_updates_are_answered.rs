use std::collections::BTreeMap;

use kith_proto::livekit::{
    Ping, SimulateScenario, UpdateParticipantMetadata, request_response::Reason, signal_request,
    signal_response::Message, simulate_scenario,
};

use crate::support::{Client, World, dual};

async fn answered(client: &mut Client) -> (u32, Reason) {
    client
        .expect("a RequestResponse", |message| match message {
            Message::RequestResponse(response) => Some((response.request_id, response.reason())),
            _ => None,
        })
        .await
}

fn update(
    request_id: u32,
    change: impl FnOnce(&mut UpdateParticipantMetadata),
) -> signal_request::Message {
    let mut update = UpdateParticipantMetadata {
        request_id,
        ..UpdateParticipantMetadata::default()
    };
    change(&mut update);
    signal_request::Message::UpdateMetadata(update)
}

async fn allowed(world: &World) -> Client {
    let mut request = dual("alice");
    request.grants.can_update_own_metadata = Some(true);
    request.attributes = BTreeMap::from([("old".to_owned(), "1".to_owned())]);
    world.join(request).await
}

#[tokio::test(start_paused = true)]
async fn success_is_answered_and_told_with_a_higher_version() {
    let world = World::new();
    let mut bob = world.join(dual("bob")).await;
    let mut alice = allowed(&world).await;
    let before = bob.update_of("alice").await;
    alice
        .send(update(5, |update| {
            update.name = "Alice".to_owned();
            update.metadata = "m".to_owned();
            update.attributes = BTreeMap::from([
                ("old".to_owned(), String::new()),
                ("new".to_owned(), "2".to_owned()),
            ]);
        }))
        .await;
    assert_eq!(answered(&mut alice).await, (5, Reason::Ok));
    let after = bob.update_of("alice").await;
    assert_eq!(
        (after.name.as_str(), after.metadata.as_str()),
        ("Alice", "m")
    );
    assert_eq!(
        after.attributes,
        BTreeMap::from([("new".to_owned(), "2".to_owned())])
    );
    assert!(after.version > before.version);
    // Empty texts change nothing.
    alice.send(update(6, |_| {})).await;
    assert_eq!(answered(&mut alice).await, (6, Reason::Ok));
}

#[tokio::test(start_paused = true)]
async fn without_the_grant_or_above_the_limits_it_is_refused() {
    let world = World::with(|settings| {
        settings.max_metadata_size = 10;
        settings.max_name_length = 10;
        settings.max_attributes_size = 10;
    });
    let mut bob = world.join(dual("bob")).await;
    bob.send(update(1, |update| update.name = "Bob".to_owned()))
        .await;
    assert_eq!(answered(&mut bob).await, (1, Reason::NotAllowed));
    let mut alice = allowed(&world).await;
    let long = "x".repeat(11);
    alice
        .send(update(2, |update| update.name.clone_from(&long)))
        .await;
    alice
        .send(update(3, |update| update.metadata.clone_from(&long)))
        .await;
    alice
        .send(update(4, |update| {
            update.attributes = BTreeMap::from([("key".to_owned(), long.clone())]);
        }))
        .await;
    for id in 2..=4 {
        assert_eq!(answered(&mut alice).await, (id, Reason::LimitExceeded));
    }
}

#[tokio::test(start_paused = true)]
async fn both_pings_are_answered() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice.send(signal_request::Message::Ping(1)).await;
    alice
        .send(signal_request::Message::PingReq(Ping {
            timestamp: 12345,
            rtt: 0,
        }))
        .await;
    alice
        .expect("pong", |message| {
            matches!(message, Message::Pong(_)).then_some(())
        })
        .await;
    let last = alice
        .expect("pong_resp", |message| match message {
            Message::PongResp(pong) => Some(pong.last_ping_timestamp),
            _ => None,
        })
        .await;
    assert_eq!(last, 12345);
}

#[tokio::test(start_paused = true)]
async fn requests_without_meaning_change_nothing() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    for request in [
        signal_request::Message::Simulate(SimulateScenario { scenario: None }),
        signal_request::Message::Simulate(SimulateScenario {
            scenario: Some(simulate_scenario::Scenario::SubscriberBandwidth(0)),
        }),
        signal_request::Message::UpdateLayers(Default::default()),
        signal_request::Message::UpdateDataSubscription(Default::default()),
        signal_request::Message::Answer(Default::default()),
        signal_request::Message::TrackSetting(Default::default()),
        signal_request::Message::StoreDataBlobRequest(Default::default()),
        signal_request::Message::UnpublishDataTrackRequest(Default::default()),
        signal_request::Message::SyncState(Default::default()),
    ] {
        alice.send(request).await;
    }
    alice.settle().await;
    assert!(!alice.closed || alice.log.iter().any(|m| matches!(m, Message::Leave(_))));
}
