use kith_proto::livekit::{
    ParticipantTracks, SubscriptionError, UpdateSubscription, signal_request,
    signal_response::Message,
};

use crate::support::{Client, World, dual};

fn errors(message: Message) -> Option<(String, SubscriptionError)> {
    match message {
        Message::SubscriptionResponse(response) => {
            Some((response.track_sid.clone(), response.err()))
        }
        _ => None,
    }
}

async fn wants(client: &Client, subscribe: bool, by_sid: &[&str], by_participant: &[&str]) {
    let sids = |sids: &[&str]| sids.iter().map(|sid| (*sid).to_owned()).collect::<Vec<_>>();
    client
        .send(signal_request::Message::Subscription(UpdateSubscription {
            track_sids: sids(by_sid),
            subscribe,
            participant_tracks: vec![ParticipantTracks {
                participant_sid: String::new(),
                track_sids: sids(by_participant),
            }],
        }))
        .await;
}

async fn manual(world: &World, identity: &str) -> Client {
    let mut request = dual(identity);
    request.auto_subscribe = false;
    let mut client = world.join(request).await;
    client.answer().await;
    client.subscriber_connects().await;
    client.settle().await;
    client
}

#[tokio::test(start_paused = true)]
async fn without_auto_subscribe_nothing_comes_until_it_is_wanted() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let mut bob = manual(&world, "bob").await;
    assert!(world.media.subscriptions().is_empty());
    wants(&bob, true, &[&track.sid], &[&track.sid]).await;
    bob.answer().await;
    wants(&bob, true, &[], &[&track.sid]).await;
    wants(&bob, true, &[&track.sid], &[]).await;
    let more = bob
        .now(|message| matches!(message, Message::Offer(_)).then_some(()))
        .await;
    assert!(more.is_empty());
    assert_eq!(world.media.subscriptions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_stops_the_stream_at_once_and_may_be_taken_back() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let mut bob = world.connect("bob").await;
    let first = world.media.subscriptions()[0].id;
    wants(&bob, false, &[&track.sid], &[&track.sid]).await;
    bob.answer().await;
    assert_eq!(world.media.unsubscribed(), [first]);
    wants(&bob, false, &[&track.sid], &[]).await;
    bob.settle().await;
    assert_eq!(world.media.unsubscribed(), [first]);
    wants(&bob, true, &[&track.sid], &[]).await;
    bob.answer().await;
    bob.settle().await;
    assert_eq!(world.media.subscriptions().len(), 2);
    assert_ne!(
        world.media.down_track(0).ssrc,
        world.media.down_track(1).ssrc
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_of_mind_while_an_offer_is_out_is_followed() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let mut bob = world.join(dual("bob")).await;
    let first = bob.server_offer().await;
    wants(&bob, false, &[&track.sid], &[]).await;
    wants(&bob, true, &[&track.sid], &[]).await;
    bob.answer_with(&first, &crate::support::sdp::ALL_CODECS)
        .await;
    let second = bob.answer().await;
    assert_eq!(second.mid_to_track_id.len(), 1);
    bob.settle().await;
    assert_eq!(world.media.subscriptions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_track_is_an_error_and_a_wish() {
    let world = World::new();
    let mut bob = manual(&world, "bob").await;
    wants(&bob, true, &["TR_nobody"], &["TR_nobody"]).await;
    assert_eq!(
        bob.now(errors).await,
        [("TR_nobody".to_owned(), SubscriptionError::SeTrackNotfound)]
    );
    // Not wanting what does not exist is no error.
    wants(&bob, false, &["TR_other"], &[]).await;
    assert!(bob.now(errors).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_subscribes_to_itself() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    wants(&alice, true, &[&track.sid], &[]).await;
    alice.settle().await;
    assert!(world.media.subscriptions().is_empty());
}
