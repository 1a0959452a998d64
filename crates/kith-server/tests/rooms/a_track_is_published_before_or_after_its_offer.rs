use kith_proto::livekit::{
    AddTrackRequest, MuteTrackRequest, SimulcastCodec, TrackType, UpdateLocalAudioTrack,
    encryption, request_response::Reason, signal_request, signal_response::Message,
};
use kith_sdp::Direction;

use crate::support::{Client, World, camera, dual, microphone, sdp, sdp::Section, single};

async fn refusal(client: &mut Client) -> Reason {
    client
        .expect("a RequestResponse", |message| match message {
            Message::RequestResponse(response) => Some(response.reason()),
            _ => None,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn the_announcement_is_answered_at_once_and_completely() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    let mut request = camera("cam");
    request.encryption = encryption::Type::Gcm as i32;
    let track = alice.add_track(request).await;
    assert!(track.sid.starts_with("TR_VC"));
    assert_eq!(track.encryption(), encryption::Type::Gcm);
    assert_eq!(track.mime_type, "video/VP8");
    assert_eq!(track.stream, "camera");
    assert!(track.simulcast);
    assert_eq!(track.layers.len(), 3);
    assert_eq!(track.codecs[0].cid, "cam");
    assert_eq!((track.width, track.height), (1280, 720));
    let mic = alice.add_track(microphone("mic")).await;
    assert!(mic.sid.starts_with("TR_AM"));
}

#[tokio::test(start_paused = true)]
async fn others_hear_of_it_when_a_section_carries_it() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let track = alice.add_track(camera("cam")).await;
    let told = bob
        .now(|message| match message {
            Message::Update(update) => update
                .participants
                .iter()
                .any(|p| !p.tracks.is_empty())
                .then_some(()),
            _ => None,
        })
        .await;
    assert!(told.is_empty());
    alice
        .offer_sections(&[Section::video("cam").rids(&["q", "h", "f"])])
        .await;
    let tracks = bob.tracks_of("alice", 1).await;
    assert_eq!(tracks[0].sid, track.sid);
    assert_eq!(tracks[0].mid, "0");
    assert_eq!(tracks[0].mime_type, "video/VP8");
    let section = &world.media.receives(alice.publisher()).sections[0];
    let rids: Vec<_> = section
        .layers
        .iter()
        .map(|layer| layer.rid.clone().unwrap())
        .collect();
    assert_eq!(rids, ["q", "h", "f"]);
}

#[tokio::test(start_paused = true)]
async fn an_offer_may_come_before_the_announcement() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let answer = alice.offer_sections(&[Section::video("cam")]).await;
    assert_eq!(
        sdp::parse(&answer.sdp).media()[0].direction,
        Direction::RecvOnly
    );
    assert!(world.media.receives(alice.publisher()).sections.is_empty());
    let track = alice.add_track(camera("cam")).await;
    assert_eq!(bob.tracks_of("alice", 1).await[0].sid, track.sid);
    assert_eq!(world.media.receives(alice.publisher()).sections.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_name_in_the_offer_finds_the_only_track_of_its_kind() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let mic = alice.add_track(microphone("mic")).await;
    let cam = alice.add_track(camera("cam")).await;
    alice
        .offer_sections(&[Section::video("renamed"), Section::audio("mic")])
        .await;
    let tracks = bob.tracks_of("alice", 2).await;
    let mid = |sid: &str| {
        tracks
            .iter()
            .find(|track| track.sid == sid)
            .unwrap()
            .mid
            .clone()
    };
    assert_eq!(mid(&mic.sid), "1");
    assert_eq!(mid(&cam.sid), "0");
}

#[tokio::test(start_paused = true)]
async fn two_tracks_are_told_apart_by_their_cids() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let first = alice.add_track(camera("one")).await;
    let second = alice.add_track(camera("two")).await;
    alice
        .offer_sections(&[Section::video("two"), Section::video("one")])
        .await;
    let tracks = bob.tracks_of("alice", 2).await;
    let mid = |sid: &str| {
        tracks
            .iter()
            .find(|track| track.sid == sid)
            .unwrap()
            .mid
            .clone()
    };
    assert_eq!(mid(&second.sid), "0");
    assert_eq!(mid(&first.sid), "1");
}

#[tokio::test(start_paused = true)]
async fn tracks_of_the_join_request_are_published() {
    let world = World::new();
    let mut request = single("alice");
    request.add_track_requests = vec![microphone("mic"), camera("cam")];
    let mut alice = world.join(request).await;
    alice.published("mic").await;
    alice.published("cam").await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_section_ends_its_track() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    alice.publish_audio().await;
    bob.tracks_of("alice", 1).await;
    alice
        .offer_sections(&[Section::audio("mic").direction("inactive")])
        .await;
    bob.tracks_of("alice", 0).await;
    assert!(world.media.receives(alice.publisher()).sections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cid_in_use_waits_until_it_is_free() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let first = alice.publish_audio().await;
    alice
        .send(signal_request::Message::AddTrack(microphone("mic")))
        .await;
    assert_eq!(refusal(&mut alice).await, Reason::Queued);
    alice
        .offer_sections(&[Section::audio("mic").direction("inactive")])
        .await;
    let second = alice.published("mic").await;
    assert_ne!(first.sid, second.sid);
}

#[tokio::test(start_paused = true)]
async fn mute_is_told_and_an_unknown_track_refused() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    bob.tracks_of("alice", 1).await;
    let mute = |sid: &str| {
        signal_request::Message::Mute(MuteTrackRequest {
            sid: sid.to_owned(),
            muted: true,
        })
    };
    alice.send(mute(&track.sid)).await;
    assert!(bob.tracks_of("alice", 1).await[0].muted);
    alice.send(mute("TR_nobody")).await;
    assert_eq!(refusal(&mut alice).await, Reason::NotFound);
    // Nobody mutes another's track.
    bob.send(mute(&track.sid)).await;
    assert_eq!(refusal(&mut bob).await, Reason::NotFound);
}

#[tokio::test(start_paused = true)]
async fn features_of_an_audio_track_are_replaced_and_told() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut alice = world.connect("alice").await;
    let track = alice.publish_audio().await;
    bob.tracks_of("alice", 1).await;
    alice
        .send(signal_request::Message::UpdateAudioTrack(
            UpdateLocalAudioTrack {
                track_sid: track.sid,
                features: vec![3, 4],
            },
        ))
        .await;
    assert_eq!(bob.tracks_of("alice", 1).await[0].audio_features, [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_is_refused() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice
        .send(signal_request::Message::AddTrack(AddTrackRequest {
            cid: "data".to_owned(),
            r#type: TrackType::Data as i32,
            ..AddTrackRequest::default()
        }))
        .await;
    assert_eq!(refusal(&mut alice).await, Reason::UnsupportedType);
    alice
        .send(signal_request::Message::AddTrack(AddTrackRequest {
            sid: "TR_nobody".to_owned(),
            simulcast_codecs: vec![SimulcastCodec::default()],
            ..camera("cam")
        }))
        .await;
    assert_eq!(refusal(&mut alice).await, Reason::NotFound);
}
