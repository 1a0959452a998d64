use bytes::Bytes;
use kith_net::{DataLabel, EventKind};
use kith_proto::{
    Message as _,
    livekit::{DataPacket, UserPacket, data_packet},
};

use crate::support::{Client, World, dual};

fn packet(change: impl FnOnce(&mut DataPacket, &mut UserPacket)) -> Bytes {
    let mut packet = DataPacket::default();
    let mut user = UserPacket {
        payload: Bytes::from_static(b"hello"),
        ..UserPacket::default()
    };
    change(&mut packet, &mut user);
    packet.value = Some(data_packet::Value::User(user));
    packet.encode_to_vec().into()
}

async fn says(world: &World, from: &Client, label: DataLabel, payload: Bytes) {
    world
        .media
        .report(from.publisher(), EventKind::Data { label, payload })
        .await;
}

fn heard(world: &World, client: &Client) -> Vec<DataPacket> {
    world
        .media
        .data_to(client.subscriber())
        .into_iter()
        .map(|(_, payload)| DataPacket::decode(payload).unwrap())
        .collect()
}

/// Three participants, of whom the first may send data.
async fn three(world: &World) -> [Client; 3] {
    let mut alice = world.connect("alice").await;
    alice.offer_sections(&[]).await;
    alice.publisher_connects().await;
    let bob = world.connect("bob").await;
    let carol = world.connect("carol").await;
    [alice, bob, carol]
}

#[tokio::test(start_paused = true)]
async fn a_packet_without_destinations_goes_to_all_others_and_never_back() {
    let world = World::new();
    let [mut alice, bob, carol] = three(&world).await;
    for label in [DataLabel::Reliable, DataLabel::Lossy] {
        world.media.clear_data();
        let payload = packet(|packet, _| packet.participant_identity = "mallory".to_owned());
        says(&world, &alice, label.clone(), payload).await;
        alice.settle().await;
        for client in [&bob, &carol] {
            let heard = heard(&world, client);
            assert_eq!(heard.len(), 1);
            assert_eq!(heard[0].participant_identity, "alice");
            assert_eq!(heard[0].participant_sid, alice.sid());
            let kind = match label {
                DataLabel::Lossy => data_packet::Kind::Lossy,
                _ => data_packet::Kind::Reliable,
            };
            assert_eq!(heard[0].kind(), kind);
        }
        assert!(heard(&world, &alice).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn destinations_are_honoured_in_all_their_forms() {
    let world = World::new();
    let [mut alice, bob, carol] = three(&world).await;
    let bob_sid = bob.sid();
    let ways: [Bytes; 3] = [
        packet(|packet, _| {
            packet.destination_identities = vec!["bob".to_owned(), "alice".to_owned()]
        }),
        packet(|_, user| user.destination_identities = vec!["bob".to_owned()]),
        packet(|_, user| user.destination_sids = vec![bob_sid.clone()]),
    ];
    for (count, payload) in ways.into_iter().enumerate() {
        says(&world, &alice, DataLabel::Reliable, payload).await;
        alice.settle().await;
        assert_eq!(heard(&world, &bob).len(), count + 1);
        assert!(heard(&world, &carol).is_empty());
    }
    // A name that is not there reaches nobody.
    let lost = packet(|packet, _| packet.destination_identities = vec!["nobody".to_owned()]);
    says(&world, &alice, DataLabel::Reliable, lost).await;
    alice.settle().await;
    assert_eq!(heard(&world, &bob).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn sequence_and_unknown_fields_are_kept_and_repetitions_dropped() {
    let world = World::new();
    let [mut alice, bob, _] = three(&world).await;
    let mut payload = packet(|packet, _| packet.sequence = 7).to_vec();
    // Field 200, a text that this build does not know.
    payload.extend_from_slice(&[0xC2, 0x0C, 3, b'n', b'e', b'w']);
    says(&world, &alice, DataLabel::Reliable, payload.clone().into()).await;
    says(&world, &alice, DataLabel::Reliable, payload.into()).await;
    alice.settle().await;
    let raw = world.media.data_to(bob.subscriber());
    assert_eq!(raw.len(), 1);
    assert!(
        raw[0]
            .1
            .windows(6)
            .any(|bytes| bytes == [0xC2, 0x0C, 3, b'n', b'e', b'w'])
    );
    assert_eq!(heard(&world, &bob)[0].sequence, 7);
}

#[tokio::test(start_paused = true)]
async fn packets_of_one_sender_keep_their_order() {
    let world = World::new();
    let [mut alice, bob, _] = three(&world).await;
    for sequence in 1..=100 {
        let payload = packet(|packet, _| packet.sequence = sequence);
        says(&world, &alice, DataLabel::Reliable, payload).await;
    }
    alice.settle().await;
    let sequences: Vec<u32> = heard(&world, &bob)
        .iter()
        .map(|packet| packet.sequence)
        .collect();
    assert_eq!(sequences, (1..=100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_send_data_is_not_heard_and_a_hidden_sender_has_no_name() {
    let world = World::new();
    let bob = world.connect("bob").await;
    for (identity, can_publish_data, hidden) in [("mute", false, false), ("ghost", true, true)] {
        let mut request = dual(identity);
        request.grants.can_publish_data = Some(can_publish_data);
        request.grants.hidden = hidden;
        let mut client = world.join(request).await;
        client.offer_sections(&[]).await;
        says(&world, &client, DataLabel::Reliable, packet(|_, _| {})).await;
        client.settle().await;
        let heard = heard(&world, &bob);
        assert_eq!(heard.len(), usize::from(hidden));
        if hidden {
            assert_eq!(heard[0].participant_identity, "");
            assert_eq!(heard[0].participant_sid, "");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_packet_are_dropped() {
    let world = World::new();
    let [mut alice, bob, _] = three(&world).await;
    says(
        &world,
        &alice,
        DataLabel::Reliable,
        Bytes::from_static(&[0xFF; 9]),
    )
    .await;
    says(&world, &alice, DataLabel::Reliable, packet(|_, _| {})).await;
    alice.settle().await;
    assert_eq!(heard(&world, &bob).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_single_connection_gets_data_on_its_own_channels() {
    let world = World::new();
    let [mut alice, ..] = three(&world).await;
    let dave = world.connect_single("dave").await;
    says(&world, &alice, DataLabel::Reliable, packet(|_, _| {})).await;
    alice.settle().await;
    assert_eq!(world.media.data_to(dave.publisher()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_counts_once_in_a_room() {
    let world = World::new();
    let [mut alice, bob, _] = three(&world).await;
    let once = packet(|_, user| user.nonce = Bytes::from_static(&[9; 16]));
    says(&world, &alice, DataLabel::Reliable, once.clone()).await;
    says(&world, &alice, DataLabel::Reliable, once).await;
    alice.settle().await;
    assert_eq!(heard(&world, &bob).len(), 1);
}
