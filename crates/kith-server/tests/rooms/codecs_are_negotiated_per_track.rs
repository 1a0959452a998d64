use kith_net::EventKind;
use kith_proto::livekit::{
    AddTrackRequest, SimulcastCodec, SubscriptionError, VideoQuality, signal_request,
    signal_response::Message,
};
use kith_rtp::{Codec, ExtensionKind, Ssrc};

use crate::support::{Client, World, camera, dual, microphone, sdp, sdp::Section, single};

fn names(section: &kith_sdp::MediaSection) -> Vec<String> {
    section
        .codecs
        .iter()
        .map(|codec| codec.name.to_lowercase())
        .collect()
}

fn with_codec(cid: &str, codec: &str) -> AddTrackRequest {
    let mut request = camera(cid);
    request.simulcast_codecs[0].codec = codec.to_owned();
    request
}

#[tokio::test(start_paused = true)]
async fn the_announced_codec_is_the_only_one_answered() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.connect("bob").await;
    alice.add_track(with_codec("cam", "h264")).await;
    let answer = alice.offer_sections(&[Section::video("cam")]).await;
    assert_eq!(names(&sdp::parse(&answer.sdp).media()[0]), ["h264"]);
    let tracks = bob.tracks_of("alice", 1).await;
    assert_eq!(tracks[0].mime_type, "video/H264");
    // The subscriber is offered that codec first, in the publisher's variant.
    let offer = bob.server_offer().await;
    let section = &sdp::parse(&offer.sdp).media()[1].clone();
    assert_eq!(names(section)[0], "h264");
    assert!(section.codecs[0].fmtp.contains("packetization-mode=1"));
}

#[tokio::test(start_paused = true)]
async fn without_an_announced_codec_the_order_of_the_offer_counts() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.connect("bob").await;
    let mut request = camera("cam");
    request.simulcast_codecs.clear();
    alice.add_track(request).await;
    let answer = alice
        .offer_sections(&[Section::video("cam").codecs(&["VP9", "AV1"])])
        .await;
    assert_eq!(names(&sdp::parse(&answer.sdp).media()[0]), ["vp9", "av1"]);
    assert_eq!(bob.tracks_of("alice", 1).await[0].mime_type, "video/VP9");
}

#[tokio::test(start_paused = true)]
async fn redundant_audio_comes_first_unless_it_is_not_wanted() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    for (identity, disable_red, expected, mime) in [
        ("alice", false, vec!["red", "opus"], "audio/red"),
        ("carol", true, vec!["opus"], "audio/opus"),
    ] {
        let mut client = world.connect(identity).await;
        let mut request = microphone("mic");
        request.disable_red = disable_red;
        client.add_track(request).await;
        let answer = client.offer_sections(&[Section::audio("mic")]).await;
        assert_eq!(names(&sdp::parse(&answer.sdp).media()[0]), expected);
        assert_eq!(bob.tracks_of(identity, 1).await[0].mime_type, mime);
        // Subscribers get both ways of it.
        let offer = bob.answer().await;
        let parsed = sdp::parse(&offer.sdp);
        let section = parsed.media().last().unwrap();
        let mut offered = names(section);
        offered.sort();
        assert_eq!(offered, ["opus", "red"]);
        bob.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_without_the_codec_is_told_and_later_tracks_go_on() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.add_track(with_codec("one", "av1")).await;
    let failed = alice.offer_sections(&[Section::video("one")]).await;
    assert!(!failed.sdp.is_empty());
    for single_pc in [false, true] {
        let mut bob = if single_pc {
            let mut bob = world.join(single("bob1")).await;
            bob.offer_sections(&[
                Section::receive_video().codecs(&["VP8"]),
                Section::receive_audio(),
            ])
            .await;
            bob
        } else {
            let mut bob = world.join(dual("bob2")).await;
            let offer = bob.server_offer().await;
            bob.answer_with(&offer, &["video/VP8", "audio/opus"]).await;
            bob
        };
        let error = bob
            .expect("a subscription error", |message| match message {
                Message::SubscriptionResponse(response) => Some(response.err()),
                _ => None,
            })
            .await;
        assert_eq!(error, SubscriptionError::SeCodecUnsupported);
    }
    assert!(world.media.subscriptions().is_empty());
    // Another track in a codec that it has.
    let mut carol = world.connect("carol").await;
    let track = carol.publish_video().await;
    let mut bob = world.join(single("bob3")).await;
    let answer = bob
        .offer_sections(&[Section::receive_video().codecs(&["VP8"])])
        .await;
    assert_eq!(answer.mid_to_track_id["0"], track.sid);
}

#[tokio::test(start_paused = true)]
async fn the_dependency_descriptor_is_negotiated_on_both_sides() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.add_track(with_codec("cam", "av1")).await;
    alice.offer_sections(&[Section::video("cam")]).await;
    let receives = world.media.receives(alice.publisher());
    assert_eq!(
        receives.extensions.id(ExtensionKind::DependencyDescriptor),
        Some(12)
    );
    let mut bob = world.join(single("bob")).await;
    bob.offer_sections(&[Section::receive_video()]).await;
    let down = world.media.down_track(0);
    assert_eq!(
        down.extensions.id(ExtensionKind::DependencyDescriptor),
        Some(12)
    );
    assert_eq!(down.extensions.id(ExtensionKind::Mid), Some(4));
    assert_eq!(down.codecs[0].codec, Codec::Av1);
    assert!(down.rtx_ssrc.is_some() && down.nack);
    let mut carol = world.join(dual("carol")).await;
    carol.answer().await;
    carol.settle().await;
    let down = world.media.down_track(1);
    assert!(
        down.extensions
            .id(ExtensionKind::DependencyDescriptor)
            .is_some()
    );
}

/// A camera in AV1 with a place for VP8 beside it.
fn with_backup() -> AddTrackRequest {
    let mut request = with_codec("cam", "av1");
    request.simulcast_codecs.push(SimulcastCodec {
        codec: "vp8".to_owned(),
        ..SimulcastCodec::default()
    });
    request
}

async fn wanted_codecs(client: &mut Client) -> Vec<(String, bool)> {
    client
        .expect("a quality update", |message| match message {
            Message::SubscribedQualityUpdate(update) => Some(
                update
                    .subscribed_codecs
                    .iter()
                    .map(|codec| {
                        (
                            codec.codec.clone(),
                            codec.qualities.iter().any(|q| q.enabled),
                        )
                    })
                    .collect(),
            ),
            _ => None,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_backup_codec_is_asked_for_when_a_subscriber_needs_it() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let track = alice.add_track(with_backup()).await;
    assert_eq!(track.codecs.len(), 2);
    alice.offer_sections(&[Section::video("cam")]).await;
    let mut bob = world.join(single("bob")).await;
    bob.offer_sections(&[Section::receive_video().codecs(&["VP8"])])
        .await;
    // First as a subscriber whose codecs are not known yet, then with what it can take.
    assert_eq!(
        wanted_codecs(&mut alice).await,
        [("av1".to_owned(), true), ("vp8".to_owned(), false)]
    );
    assert_eq!(
        wanted_codecs(&mut alice).await,
        [("av1".to_owned(), true), ("vp8".to_owned(), true)]
    );
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(
        wanted_codecs(&mut alice).await,
        [("av1".to_owned(), false), ("vp8".to_owned(), true)]
    );
    alice
        .send(signal_request::Message::AddTrack(AddTrackRequest {
            cid: "backup".to_owned(),
            sid: track.sid.clone(),
            simulcast_codecs: vec![SimulcastCodec {
                codec: "vp8".to_owned(),
                cid: "backup".to_owned(),
                layers: vec![kith_proto::livekit::VideoLayer {
                    quality: VideoQuality::High as i32,
                    ..Default::default()
                }],
                ..SimulcastCodec::default()
            }],
            ..camera("backup")
        }))
        .await;
    assert_eq!(alice.published("backup").await.sid, track.sid);
    alice
        .offer_sections(&[Section::video("cam"), Section::video("backup")])
        .await;
    bob.expect("a requirement", |message| {
        matches!(message, Message::MediaSectionsRequirement(_)).then_some(())
    })
    .await;
    let answer = bob
        .offer_sections(&[Section::receive_video().codecs(&["VP8"])])
        .await;
    assert_eq!(answer.mid_to_track_id["0"], track.sid);
    let down = world.media.subscriptions().pop().unwrap();
    assert_eq!(down.down.codecs[0].codec, Codec::Vp8);
    // One track for everybody, with both codecs.
    let tracks = bob.tracks_of("alice", 1).await;
    assert_eq!(tracks[0].codecs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_media_shows_to_be_another_is_told_and_negotiated_anew() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut request = camera("cam");
    request.simulcast_codecs.clear();
    alice.add_track(request).await;
    alice
        .offer_sections(&[Section::video("cam").codecs(&["VP8", "H264"])])
        .await;
    let mut bob = world.connect("bob").await;
    let first = world.media.subscriptions()[0].id;
    let publication = world.media.receives(alice.publisher()).sections[0].publication;
    world
        .media
        .report(
            alice.publisher(),
            EventKind::LayerStarted {
                publication,
                layer: 0,
                codec: Codec::H264,
                ssrc: Ssrc(1),
            },
        )
        .await;
    assert_eq!(bob.tracks_of("alice", 1).await[0].mime_type, "video/H264");
    bob.answer().await;
    bob.settle().await;
    assert_eq!(world.media.unsubscribed(), [first]);
    let down = world.media.down_track(1);
    assert_eq!(down.codecs[0].codec, Codec::H264);
    assert_ne!(down.ssrc, world.media.down_track(0).ssrc);
}

#[tokio::test(start_paused = true)]
async fn av1_layers_go_only_to_who_can_tell_them_apart() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.add_track(with_codec("cam", "av1")).await;
    alice.offer_sections(&[Section::video("cam")]).await;
    let mut bob = world.join(single("bob")).await;
    bob.offer_sections(&[Section::receive_video().without_descriptor()])
        .await;
    assert_eq!(world.media.subscriptions()[0].target.max_spatial, 0);
    let mut carol = world.join(single("carol")).await;
    carol.offer_sections(&[Section::receive_video()]).await;
    assert_eq!(world.media.subscriptions()[1].target.max_spatial, 2);
}
