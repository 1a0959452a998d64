use kith_proto::livekit::signal_response::Message;
use kith_sdp::{Direction, MediaKind};

use crate::support::{World, camera, dual, microphone, sdp, sdp::Section};

#[tokio::test(start_paused = true)]
async fn the_first_offer_comes_with_the_join_and_has_data_channels_only() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    let offer = alice.server_offer().await;
    assert_eq!(offer.r#type, "offer");
    assert!(offer.id > 0);
    let parsed = sdp::parse(&offer.sdp);
    assert_eq!(parsed.media().len(), 1);
    assert_eq!(parsed.media()[0].kind, MediaKind::Application);
    let transports = world.media.transports();
    let labels: Vec<&str> = transports[0]
        .data_channels
        .iter()
        .map(|channel| channel.label.as_str())
        .collect();
    assert_eq!(labels, ["_reliable", "_lossy", "_data_track"]);
    assert!(transports[0].ice_lite && !transports[0].controlling);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_already_is_in_the_first_offer() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    let start = tokio::time::Instant::now();
    let mut bob = world.join(dual("bob")).await;
    let offer = bob.answer().await;
    let parsed = sdp::parse(&offer.sdp);
    assert_eq!(parsed.media().len(), 2);
    let msid = parsed.media()[1].msid().unwrap();
    assert_eq!(msid.stream, format!("{}|{}", alice.sid(), track.sid));
    assert_eq!(msid.track, track.sid);
    assert_eq!(offer.mid_to_track_id["1"], track.sid);
    bob.settle().await;
    let subscriptions = world.media.subscriptions();
    assert_eq!(subscriptions.len(), 1);
    assert_eq!(subscriptions[0].transport, bob.subscriber());
    assert_eq!(subscriptions[0].down.mid, "1");
    assert_eq!(subscriptions[0].down.cname, alice.sid());
    // Nothing waited for a timer.
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_track_that_comes_while_an_offer_is_out_waits_for_the_answer() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(dual("bob")).await;
    let first = bob.server_offer().await;
    alice.publish_audio().await;
    let more = bob
        .now(|message| matches!(message, Message::Offer(_)).then_some(()))
        .await;
    assert!(more.is_empty());
    bob.answer_with(&first, &sdp::ALL_CODECS).await;
    let second = bob.server_offer().await;
    assert_eq!(second.id, first.id + 1);
    assert_eq!(sdp::parse(&second.sdp).media().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_offer_is_not_looked_at_and_the_id_0_counts() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(dual("bob")).await;
    let mut offer = bob.server_offer().await;
    alice.publish_audio().await;
    offer.id += 1000;
    bob.answer_with(&offer, &sdp::ALL_CODECS).await;
    assert!(
        bob.now(|message| matches!(message, Message::Offer(_)).then_some(()))
            .await
            .is_empty()
    );
    offer.id = 0;
    bob.answer_with(&offer, &sdp::ALL_CODECS).await;
    bob.server_offer().await;
}

#[tokio::test(start_paused = true)]
async fn a_free_section_is_used_again_with_another_stream() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.connect("bob").await;
    let first = alice.publish_audio().await;
    bob.answer().await;
    bob.settle().await;
    let ssrc = world.media.down_track(0).ssrc;
    // The first microphone ends, a second one begins.
    alice
        .offer_sections(&[Section::audio("mic").direction("inactive")])
        .await;
    let offer = bob.answer().await;
    let parsed = sdp::parse(&offer.sdp);
    assert_eq!(parsed.media()[1].direction, Direction::Inactive);
    assert!(offer.mid_to_track_id.is_empty());
    assert_eq!(world.media.unsubscribed().len(), 1);
    let second = alice.add_track(microphone("mic2")).await;
    alice
        .offer_sections(&[
            Section::audio("mic").direction("inactive"),
            Section::audio("mic2"),
        ])
        .await;
    let offer = bob.answer().await;
    let parsed = sdp::parse(&offer.sdp);
    assert_eq!(parsed.media().len(), 2);
    assert_eq!(parsed.media()[1].msid().unwrap().track, second.sid);
    assert_ne!(first.sid, second.sid);
    bob.settle().await;
    assert_ne!(world.media.down_track(1).ssrc, ssrc);
}

#[tokio::test(start_paused = true)]
async fn tracks_of_one_instant_come_in_one_offer() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.connect("bob").await;
    alice.add_track(microphone("mic")).await;
    alice.add_track(camera("cam")).await;
    alice
        .offer_sections(&[
            Section::audio("mic"),
            Section::video("cam").rids(&["q", "h", "f"]),
        ])
        .await;
    let offer = bob.answer().await;
    assert_eq!(sdp::parse(&offer.sdp).media().len(), 3);
    let update = bob
        .log
        .iter()
        .position(|message| {
            matches!(message, Message::Update(update) if update.participants.iter().any(|info| info.tracks.len() == 2))
        })
        .expect("the tracks are told");
    let offered = bob
        .log
        .iter()
        .rposition(|message| matches!(message, Message::Offer(_)))
        .unwrap();
    assert!(
        update < offered,
        "the participant is told before its tracks are offered"
    );
}
