//! Data channels: both directions, many at once, messages before the channel opens, a control plane that does not keep up.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Client, Setup, connect, plane, run, run_for, some_range};
use kith_net::{Command, DataChannelSpec, DataLabel, EventKind, ShardId};

fn data(client: &Client, wanted: &DataLabel) -> Vec<Bytes> {
    let payload = |event: &EventKind| match event {
        EventKind::Data { label, payload } if label == wanted => Some(payload.clone()),
        _ => None,
    };
    client.seen.iter().filter_map(payload).collect()
}

#[test]
fn messages_go_both_ways() {
    let plane = plane(2, some_range());
    let setup = Setup {
        client_channels: vec!["_reliable", "_lossy", "custom"],
        ..Setup::default()
    };
    let mut a = Client::with(&plane, ShardId(0), setup.clone());
    let setup = Setup {
        data_channels: DataChannelSpec::livekit(),
        ..setup
    };
    let mut b = Client::with(
        &plane,
        ShardId(1),
        Setup {
            client_channels: vec![],
            ..setup
        },
    );
    // Sent before anything is open: waits.
    let all: Arc<[_]> = [a.transport, b.transport].into();
    plane
        .send(Command::SendDataMany {
            transports: all,
            label: DataLabel::Reliable,
            payload: Bytes::from_static(b"early"),
        })
        .unwrap();
    connect(&mut [&mut a, &mut b]);
    run(
        &mut [&mut a, &mut b],
        "channels open and the early message arrives",
        |clients| {
            clients
                .iter()
                .all(|client| client.open_channels.len() >= 3 && client.messages == [b"early"])
        },
    );
    for (client, label) in [(&mut a, "custom"), (&mut b, "_data_track")] {
        assert!(client.send_message(label, b"one"));
        assert!(client.send_message("_reliable", b"two"));
    }
    run(&mut [&mut a, &mut b], "messages arrive", |clients| {
        data(clients[0], &DataLabel::from("custom")) == [&b"one"[..]]
            && data(clients[0], &DataLabel::Reliable) == [&b"two"[..]]
            && data(clients[1], &DataLabel::DataTrack) == [&b"one"[..]]
            && data(clients[1], &DataLabel::Reliable) == [&b"two"[..]]
    });
    plane.shutdown();
}

#[test]
fn a_slow_control_plane_slows_the_sender_down_and_loses_nothing() {
    const MESSAGES: usize = 600;
    let plane = plane(1, some_range());
    let setup = Setup {
        sink: 4,
        client_channels: vec!["_reliable"],
        ..Setup::default()
    };
    let mut client = Client::with(&plane, ShardId(0), setup);
    connect(&mut [&mut client]);
    run(&mut [&mut client], "the channel opens", |clients| {
        !clients[0].open_channels.is_empty()
    });
    // The client's events are not taken, while it sends as much as it can.
    let mut sink = std::mem::replace(&mut client.events, tokio::sync::mpsc::channel(1).1);
    let mut sent = 0;
    let mut stalled = 0;
    while sent < MESSAGES && stalled < 1000 {
        let mut message = vec![0; 10_000];
        message[..8].copy_from_slice(&(sent as u64).to_be_bytes());
        if client.send_message("_reliable", &message) {
            sent += 1;
            stalled = 0;
        } else {
            stalled += 1;
        }
        run_for(&mut [&mut client], Duration::from_micros(100));
    }
    assert!(
        sent < MESSAGES,
        "six megabytes do not fit into windows and buffers"
    );
    std::mem::swap(&mut sink, &mut client.events);
    run(
        &mut [&mut client],
        "everything arrives in order",
        |clients| {
            while sent < MESSAGES {
                let mut message = vec![0; 10_000];
                message[..8].copy_from_slice(&(sent as u64).to_be_bytes());
                if !clients[0].send_message("_reliable", &message) {
                    break;
                }
                sent += 1;
            }
            data(clients[0], &DataLabel::Reliable).len() == MESSAGES
        },
    );
    for (index, payload) in data(&client, &DataLabel::Reliable).iter().enumerate() {
        assert_eq!(payload[..8], (index as u64).to_be_bytes());
    }
    plane.shutdown();
}

#[test]
fn a_peer_that_takes_too_little_is_reported() {
    const MESSAGE: usize = 60_000;
    let plane = plane(1, some_range());
    let setup = Setup {
        client_channels: vec!["_reliable"],
        ..Setup::default()
    };
    let mut client = Client::with(&plane, ShardId(0), setup);
    connect(&mut [&mut client]);
    run(&mut [&mut client], "the channel opens", |clients| {
        clients[0].saw(|event| matches!(event, EventKind::DataChannelOpen { .. }))
    });
    // More than all buffers together, at once.
    for _ in 0..200 {
        plane
            .send(Command::SendData {
                transport: client.transport,
                label: DataLabel::Reliable,
                payload: Bytes::from(vec![1; MESSAGE]),
            })
            .unwrap();
    }
    let dropped = |client: &Client| {
        let dropped = client.seen.iter().map(|event| match event {
            EventKind::DataDropped { messages, .. } => *messages as usize,
            _ => 0,
        });
        dropped.sum::<usize>()
    };
    run(
        &mut [&mut client],
        "every message is delivered or reported",
        |clients| clients[0].messages.len() + dropped(clients[0]) == 200,
    );
    assert!(
        dropped(&client) > 50 && client.messages.len() > 50,
        "{} dropped",
        dropped(&client)
    );
    plane.shutdown();
}
