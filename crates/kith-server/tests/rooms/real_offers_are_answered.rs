use kith_proto::livekit::SessionDescription;
use kith_sdp::{Direction, MediaKind};

use crate::support::{World, camera, dual, microphone, sdp, single};

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/sdp/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_join_offers_of_todays_clients_get_a_track_at_once() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_video().await;
    for name in [
        "livekit-client-2.23.0_chromium156_single-pc_join.sdp",
        "python-1.2.1_single-pc_join.sdp",
        "rtc-node-1.1.0_single-pc_join.sdp",
    ] {
        let mut request = single(name);
        request.publisher_offer = Some(SessionDescription {
            r#type: "offer".to_owned(),
            sdp: fixture(name),
            id: 1,
            mid_to_track_id: Default::default(),
        });
        let mut bob = world.join(request).await;
        let answer = bob.server_answer().await;
        let parsed = sdp::parse(&answer.sdp);
        assert_eq!(parsed.media().len(), 7, "{name}");
        assert_eq!(answer.mid_to_track_id["3"], track.sid);
        assert_eq!(parsed.media()[6].kind, MediaKind::Application);
        assert!(!answer.sdp.contains("sctp-init") && !answer.sdp.contains("goog-sped"));
    }
}

#[tokio::test(start_paused = true)]
async fn offers_without_media_and_with_data_only_are_answered() {
    let world = World::new();
    let mut alice = world.join(single("alice")).await;
    alice
        .offer_text(
            1,
            &fixture("livekit-client-2.16.1_single-pc_no-media-lines.sdp"),
        )
        .await;
    let answer = alice.server_answer().await;
    assert_eq!((answer.id, answer.r#type.as_str()), (1, "answer"));
    assert!(sdp::parse(&answer.sdp).media().is_empty());
    alice
        .offer_text(
            2,
            &fixture("livekit-client-2.17.0_single-pc_application-only.sdp"),
        )
        .await;
    let answer = alice.server_answer().await;
    assert_eq!(answer.id, 2);
    assert_eq!(sdp::parse(&answer.sdp).media().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn chromium_publishes_simulcast() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    alice
        .add_track(microphone("b5d5e4f4-e468-46b0-b2ae-1e58c1689e7d"))
        .await;
    alice
        .add_track(camera("ad150e89-d177-457b-9693-c2e92d22049d"))
        .await;
    alice
        .offer_text(1, &fixture("chromium156_simulcast3_datachannels.sdp"))
        .await;
    let answer = alice.server_answer().await;
    let parsed = sdp::parse(&answer.sdp);
    assert_eq!(parsed.media()[0].direction, Direction::RecvOnly);
    assert_eq!(parsed.media()[1].simulcast_recv, ["q", "h", "f"]);
    assert_eq!(parsed.media()[2].direction, Direction::Inactive);
    let receives = world.media.receives(alice.publisher());
    assert_eq!(receives.sections.len(), 2);
    assert_eq!(receives.sections[1].layers.len(), 3);
    assert_eq!(bob.tracks_of("alice", 2).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn firefox_gets_full_ice() {
    let world = World::new();
    let mut request = dual("fox");
    request.client_info.browser = "Firefox".to_owned();
    let mut fox = world.join(request).await;
    let offer = fox.server_offer().await;
    assert!(!sdp::parse(&offer.sdp).ice_lite());
    let transport = &world.media.transports()[0];
    assert!(!transport.ice_lite && transport.controlling);
    fox.offer_text(1, &fixture("firefox153_datachannels.sdp"))
        .await;
    fox.server_answer().await;
    assert!(!world.media.transports()[1].controlling);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_cannot_be_read_means_a_new_session() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice.offer_text(1, "not sdp").await;
    let leave = alice.leave_message().await;
    assert_eq!(
        leave.action(),
        kith_proto::livekit::leave_request::Action::Reconnect
    );
}
