//! One client publishes VP8 and Opus, two subscribe, one of them on another shard; over a port per shard, over one shared port, over
//! IPv6 and over ICE-TCP.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::Duration;

use common::{Client, OPUS, Over, VP8, connect, plane, run, run_for, some_range, stats, vp8};
use kith_net::{EventKind, ShardId, UdpPorts};
use kith_rtp::MediaKind;

const AUDIO: u32 = 1000;
const VIDEO: u32 = 2000;
const FRAMES: u64 = 60;

fn exchange(udp: UdpPorts, publisher_over: Over, subscriber_over: Over) {
    let plane = plane(2, udp);
    let mut publisher = Client::new(&plane, ShardId(0), publisher_over);
    let mut near = Client::new(&plane, ShardId(0), subscriber_over);
    let mut far = Client::new(&plane, ShardId(1), subscriber_over);
    let (audio, video) = publisher.publish(AUDIO, VIDEO);
    let mut subscriptions = Vec::new();
    for client in [&mut near, &mut far] {
        subscriptions.push(client.subscribe(audio, MediaKind::Audio, 3000));
        subscriptions.push(client.subscribe(video, MediaKind::Video, 4000));
    }
    connect(&mut [&mut publisher, &mut near, &mut far]);

    for frame in 0..FRAMES {
        let time = frame as u32 * 3000;
        publisher.write(
            AUDIO,
            OPUS,
            100 + frame,
            frame as u32 * 960,
            false,
            &[frame as u8; 80],
        );
        for part in 0..3 {
            let payload = vp8(frame as u16, part == 0, frame == 0, 900);
            publisher.write(
                VIDEO,
                VP8,
                500 + frame * 3 + part,
                time,
                part == 2,
                &payload,
            );
        }
        run_for(
            &mut [&mut publisher, &mut near, &mut far],
            Duration::from_millis(10),
        );
    }
    run(
        &mut [&mut publisher, &mut near, &mut far],
        "everything arrives",
        |clients| {
            clients[1..].iter().all(|client| {
                client.received(3000).len() == FRAMES as usize
                    && client.received(4000).len() == FRAMES as usize * 3
            })
        },
    );

    for client in [&near, &far] {
        let audio = client.received(3000);
        let first = *audio[0].seq_no;
        for (index, packet) in audio.iter().enumerate() {
            assert_eq!(*packet.seq_no, first + index as u64);
            assert_eq!(*packet.payload, [index as u8; 80]);
        }
        let mut video = client.received(4000);
        video.sort_by_key(|packet| *packet.seq_no);
        for (index, packet) in video.iter().enumerate() {
            assert_eq!(*packet.seq_no, *video[0].seq_no + index as u64);
            assert_eq!(packet.payload.len(), 900);
            assert_eq!(packet.payload[899], (index / 3) as u8);
            assert_eq!(packet.header.marker, index % 3 == 2);
        }
        assert!(client.saw(|event| matches!(event, EventKind::SubscriptionStarted { subscription } if subscriptions.contains(subscription))));
    }
    assert!(publisher.saw(|event| matches!(event, EventKind::LayerStarted { publication, .. } if *publication == video)));
    assert!(publisher.saw(|event| *event
        == EventKind::VideoSize {
            publication: video,
            layer: 0,
            width: 640,
            height: 360
        }));
    let stats = stats(&plane);
    assert_eq!(stats.len(), 2);
    let forwarded: u64 = stats.iter().map(|shard| shard.forwarded).sum();
    assert_eq!(forwarded, 2 * FRAMES * 4);
    assert!(
        stats
            .iter()
            .all(|shard| shard.ring_drops + shard.pending_drops + shard.send_drops == 0),
        "{stats:?}"
    );
    plane.shutdown();
}

#[test]
fn with_a_port_per_shard() {
    exchange(some_range(), Over::Udp, Over::Udp);
}

#[test]
fn with_one_port_for_all_shards() {
    exchange(UdpPorts::Single(0), Over::Udp, Over::Udp);
}

#[test]
fn over_ipv6() {
    exchange(UdpPorts::Single(0), Over::Udp6, Over::Udp6);
}

#[test]
fn published_over_tcp() {
    exchange(UdpPorts::Single(0), Over::Tcp, Over::Udp);
}

#[test]
fn subscribed_over_tcp() {
    exchange(UdpPorts::Single(0), Over::Udp, Over::Tcp);
}
