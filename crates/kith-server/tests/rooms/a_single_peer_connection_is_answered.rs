use kith_proto::livekit::{
    MediaSectionsRequirement, SessionDescription, signal_request, signal_response::Message,
};
use kith_sdp::Direction;

use crate::support::{Client, World, camera, microphone, sdp, sdp::Section, single};

fn requirement(message: &Message) -> Option<MediaSectionsRequirement> {
    match message {
        Message::MediaSectionsRequirement(requirement) => Some(*requirement),
        _ => None,
    }
}

async fn asked(client: &mut Client) -> (u32, u32) {
    let requirement = client.expect("a requirement", requirement).await;
    (requirement.num_audios, requirement.num_videos)
}

fn three_and_three() -> Vec<Section> {
    let mut sections = vec![Section::receive_audio(); 3];
    sections.extend(vec![Section::receive_video(); 3]);
    sections
}

#[tokio::test(start_paused = true)]
async fn the_offer_in_the_join_request_is_answered_after_the_join_with_its_id() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.publish_video().await;
    for id in [0, 1, 77] {
        let mut request = single(&format!("bob{id}"));
        request.publisher_offer = Some(SessionDescription {
            r#type: "offer".to_owned(),
            sdp: sdp::offer(&three_and_three(), 5),
            id,
            mid_to_track_id: Default::default(),
        });
        let start = tokio::time::Instant::now();
        let mut bob = world.join(request).await;
        let answer = bob.server_answer().await;
        assert_eq!((answer.id, answer.r#type.as_str()), (id, "answer"));
        let parsed = sdp::parse(&answer.sdp);
        assert_eq!(parsed.media().len(), 7);
        // The camera sits in the first video section, at once; the others stay free.
        assert_eq!(answer.mid_to_track_id.len(), 1);
        assert_eq!(answer.mid_to_track_id["3"], track.sid);
        assert_eq!(parsed.media()[3].direction, Direction::SendOnly);
        assert_eq!(
            parsed.media()[3].msid().unwrap().stream,
            format!("{}|{}", alice.sid(), track.sid)
        );
        assert!(!parsed.media()[3].ssrcs.is_empty());
        assert_eq!(parsed.media()[0].direction, Direction::Inactive);
        assert_eq!(start.elapsed(), std::time::Duration::ZERO);
        let down = world.media.subscriptions().pop().unwrap();
        assert_eq!(down.transport, bob.publisher());
        assert_eq!(down.down.mid, "3");
        let offers = bob
            .now(|message| matches!(message, Message::Offer(_)).then_some(()))
            .await;
        assert!(offers.is_empty(), "the server never offers here");
    }
}

#[tokio::test(start_paused = true)]
async fn a_track_that_fits_into_a_free_section_asks_for_an_offer_only() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(single("bob")).await;
    bob.offer_sections(&three_and_three()).await;
    bob.settle().await;
    let track = alice.publish_audio().await;
    assert_eq!(asked(&mut bob).await, (0, 0));
    let answer = bob.offer_sections(&three_and_three()).await;
    assert_eq!(answer.mid_to_track_id["0"], track.sid);
}

#[tokio::test(start_paused = true)]
async fn missing_sections_are_asked_for_once() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(single("bob")).await;
    bob.offer_sections(&[]).await;
    bob.settle().await;
    let mic = alice.publish_audio().await;
    assert_eq!(asked(&mut bob).await, (1, 0));
    alice.add_track(camera("cam")).await;
    alice
        .offer_sections(&[Section::audio("mic"), Section::video("cam")])
        .await;
    assert_eq!(asked(&mut bob).await, (0, 1));
    // The client's answer to the first request, which crossed the second.
    let answer = bob.offer_sections(&[Section::receive_audio()]).await;
    assert_eq!(answer.mid_to_track_id.len(), 1);
    assert!(answer.mid_to_track_id.values().any(|sid| *sid == mic.sid));
    let answer = bob
        .offer_sections(&[Section::receive_audio(), Section::receive_video()])
        .await;
    assert_eq!(answer.mid_to_track_id.len(), 2, "the map is full each time");
    let more = bob.now(|message| requirement(&message)).await;
    assert!(
        more.iter()
            .all(|more| (more.num_audios, more.num_videos) == (0, 0))
    );
}

#[tokio::test(start_paused = true)]
async fn an_ended_track_frees_its_section_for_the_next() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(single("bob")).await;
    alice.publish_audio().await;
    bob.offer_sections(&three_and_three()).await;
    bob.settle().await;
    let before = world.media.down_track(0).ssrc;
    alice
        .offer_sections(&[Section::audio("mic").direction("inactive")])
        .await;
    assert_eq!(asked(&mut bob).await, (0, 0));
    let answer = bob.offer_sections(&three_and_three()).await;
    assert!(answer.mid_to_track_id.is_empty());
    assert_eq!(
        sdp::parse(&answer.sdp).media()[0].direction,
        Direction::Inactive
    );
    let next = alice.add_track(microphone("mic2")).await;
    alice
        .offer_sections(&[
            Section::audio("mic").direction("inactive"),
            Section::audio("mic2"),
        ])
        .await;
    assert_eq!(asked(&mut bob).await, (0, 0));
    let answer = bob.offer_sections(&three_and_three()).await;
    assert_eq!(answer.mid_to_track_id["0"], next.sid);
    assert_ne!(world.media.down_track(1).ssrc, before);
}

#[tokio::test(start_paused = true)]
async fn a_section_that_the_client_published_in_is_not_used_for_others() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.join(single("bob")).await;
    bob.add_track(microphone("mic")).await;
    bob.offer_sections(&[Section::audio("mic")]).await;
    // FFI clients offer a section that they stopped sending in as `recvonly`.
    bob.offer_sections(&[Section::audio("mic").direction("recvonly")])
        .await;
    bob.settle().await;
    alice.publish_audio().await;
    assert_eq!(asked(&mut bob).await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn publishing_and_subscribing_share_the_connection() {
    let world = World::new();
    let mut alice = world.join(single("alice")).await;
    let mut bob = world.join(single("bob")).await;
    let mut request = three_and_three();
    request.push(Section::audio("mic"));
    let mic = alice.add_track(microphone("mic")).await;
    alice.offer_sections(&request).await;
    let answer = bob.offer_sections(&three_and_three()).await;
    assert_eq!(answer.mid_to_track_id["0"], mic.sid);
    let receives = world.media.receives(alice.publisher());
    assert_eq!(receives.sections.len(), 1);
    assert_eq!(receives.sections[0].mid, "6");
    assert!(receives.sections[0].measure_audio_level);
    assert_eq!(
        world.media.subscriptions()[0].publication,
        receives.sections[0].publication
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_becomes_active_with_its_only_connection() {
    let world = World::new();
    let mut alice = world.join(single("alice")).await;
    alice.send(signal_request::Message::Ping(1)).await;
    alice.offer_sections(&[]).await;
    alice.publisher_connects().await;
    alice
        .state_of(
            "alice",
            kith_proto::livekit::participant_info::State::Active,
        )
        .await;
}
