use std::collections::BTreeMap;

use bytes::Bytes;
use kith_net::{DataLabel, EventKind};
use kith_proto::livekit::{
    DataTrackInfo, PublishDataTrackRequest, UnpublishDataTrackRequest, UpdateDataSubscription,
    encryption, request_response::Reason, signal_request, signal_response::Message,
    update_data_subscription::Update,
};

use crate::support::{Client, World, dual};

fn publish(handle: u32, name: &str) -> signal_request::Message {
    signal_request::Message::PublishDataTrackRequest(PublishDataTrackRequest {
        pub_handle: handle,
        name: name.to_owned(),
        encryption: encryption::Type::Gcm as i32,
        ..PublishDataTrackRequest::default()
    })
}

async fn published(client: &mut Client) -> DataTrackInfo {
    client
        .expect("a data track", |message| match message {
            Message::PublishDataTrackResponse(response) => response.info.clone(),
            _ => None,
        })
        .await
}

async fn refused(client: &mut Client) -> Reason {
    client
        .expect("a refusal", |message| match message {
            Message::RequestResponse(response) => Some(response.reason()),
            _ => None,
        })
        .await
}

/// Handles by track sid.
async fn handles(client: &mut Client) -> BTreeMap<String, u32> {
    client
        .expect("handles", |message| match message {
            Message::DataTrackSubscriberHandles(handles) => Some(
                handles
                    .sub_handles
                    .iter()
                    .map(|(handle, track)| (track.track_sid.clone(), *handle))
                    .collect(),
            ),
            _ => None,
        })
        .await
}

fn subscribe(sid: &str, subscribe: bool) -> signal_request::Message {
    signal_request::Message::UpdateDataSubscription(UpdateDataSubscription {
        updates: vec![Update {
            track_sid: sid.to_owned(),
            subscribe,
            options: None,
        }],
    })
}

#[tokio::test(start_paused = true)]
async fn a_track_is_told_subscribed_to_and_forwarded_under_the_subscribers_handle() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.connect_manual_data("bob").await;
    alice.offer_sections(&[]).await;
    alice.send(publish(7, "pose")).await;
    let info = published(&mut alice).await;
    assert!(info.sid.starts_with("DTR_"));
    assert_eq!(
        (info.pub_handle, info.encryption()),
        (7, encryption::Type::Gcm)
    );
    let told = bob
        .expect("the data track", |message| match message {
            Message::Update(update) => update
                .participants
                .iter()
                .find(|info| !info.data_tracks.is_empty())
                .map(|info| info.data_tracks.clone()),
            _ => None,
        })
        .await;
    assert_eq!(told, std::slice::from_ref(&info));
    bob.send(subscribe(&info.sid, true)).await;
    let handle = handles(&mut bob).await[&info.sid];
    assert_ne!(handle, 0);
    let packet = Bytes::from_static(&[0x18, 0, 0, 7, 0, 1, 0, 1, 0, 0, 0, 9, b'x']);
    world
        .media
        .report(
            alice.publisher(),
            EventKind::Data {
                label: DataLabel::DataTrack,
                payload: packet,
            },
        )
        .await;
    bob.settle().await;
    let got = world.media.data_to(bob.subscriber());
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].0, DataLabel::DataTrack);
    assert_eq!(got[0].1[2..4], (handle as u16).to_be_bytes());
    assert_eq!(got[0].1[4..], [0, 1, 0, 1, 0, 0, 0, 9, b'x']);
    bob.send(subscribe(&info.sid, false)).await;
    assert!(handles(&mut bob).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_hundred_and_fifty_six_tracks_are_published_at_once() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    let mut bob = world.connect("bob").await;
    for n in 1..=256 {
        alice.send(publish(n, &format!("track {n}"))).await;
    }
    for n in 1..=256 {
        assert_eq!(published(&mut alice).await.pub_handle, n);
    }
    let mut last = handles(&mut bob).await;
    while last.len() < 256 {
        last = handles(&mut bob).await;
    }
    alice
        .send(signal_request::Message::UnpublishDataTrackRequest(
            UnpublishDataTrackRequest { pub_handle: 1 },
        ))
        .await;
    assert_eq!(handles(&mut bob).await.len(), 255);
    alice.leaves().await;
    assert!(handles(&mut bob).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_is_refused_with_its_reason() {
    let world = World::new();
    let mut alice = world.connect("alice").await;
    alice.send(publish(1, "one")).await;
    published(&mut alice).await;
    for (request, reason) in [
        (publish(0, "x"), Reason::InvalidHandle),
        (publish(65_536, "x"), Reason::InvalidHandle),
        (publish(2, ""), Reason::InvalidName),
        (publish(1, "x"), Reason::DuplicateHandle),
        (publish(2, "one"), Reason::DuplicateName),
        (
            signal_request::Message::UnpublishDataTrackRequest(UnpublishDataTrackRequest {
                pub_handle: 9,
            }),
            Reason::NotFound,
        ),
    ] {
        alice.send(request).await;
        assert_eq!(refused(&mut alice).await, reason);
    }
    let mut request = dual("mute");
    request.grants.can_publish_data = Some(false);
    let mut mute = world.join(request).await;
    mute.send(publish(1, "one")).await;
    assert_eq!(refused(&mut mute).await, Reason::NotAllowed);
}
