//! Whatever arrives, from strangers or in the peer's name: the connection comes about and stays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::*;
use kith_transport::{
    DataChannelSpec, DataLabel, Dropped, DtlsRole, FailReason, Protocol, Transmit, TransportEvent,
};
use str0m::config::DtlsVersion;

const SECOND: Duration = Duration::from_secs(1);
const ROLES: [DtlsRole; 2] = [DtlsRole::Client, DtlsRole::Server];
const VERSIONS: [DtlsVersion; 2] = [DtlsVersion::Dtls12, DtlsVersion::Dtls13];

fn to_kith(source: &str, data: Vec<u8>) -> Transmit {
    Transmit {
        proto: Protocol::Udp,
        source: addr(source),
        destination: addr(KITH),
        data,
    }
}

/// What a whole handshake and some data look like on the wire, from another connection.
fn foreign_traffic(role: DtlsRole, version: DtlsVersion) -> Vec<Vec<u8>> {
    let mut world = World::with_str0m(role, version, DataChannelSpec::livekit());
    world.record = true;
    world.connect();
    world.run(SECOND);
    world
        .wire
        .into_iter()
        .map(|transmit| transmit.data)
        .collect()
}

fn mutate(random: &mut Random, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    match random.below(4) {
        0 => {
            let at = random.below(data.len());
            data[at] ^= 1 << random.below(8);
        }
        1 => data.truncate(1 + random.below(data.len())),
        2 => {
            // Keep the record header, scramble the rest.
            let len = data.len();
            if len > 13 {
                let tail = random.bytes(len - 13);
                data[13..].copy_from_slice(&tail);
            }
        }
        _ => data.extend(random.bytes(20)),
    }
    data
}

fn assert_works(world: &mut World) {
    let failed = |event: &TransportEvent| {
        matches!(event, TransportEvent::Failed(_) | TransportEvent::Closed)
    };
    assert!(
        !world.kith().events.iter().any(failed),
        "{:?}",
        world.kith().events
    );
    world.run_until(20 * SECOND, "channels", |world| {
        world.kith().opened(&DataLabel::Reliable) && world.str0m().channel("_reliable").is_some()
    });
    let now = world.now;
    let (down, up) = (
        world.str0m().data.len(),
        world.kith().data(&DataLabel::Reliable).len(),
    );
    let id = world.str0m().channel("_reliable").unwrap();
    world
        .kith()
        .transport
        .send_data(now, &DataLabel::Reliable, b"still here", true)
        .unwrap();
    world.str0m().write(id, true, b"still here");
    world.run_until(10 * SECOND, "data both ways", |world| {
        world.str0m().data.len() > down && world.kith().data(&DataLabel::Reliable).len() > up
    });
}

#[test]
fn strangers_get_no_answer() {
    let mut world = World::with_str0m(
        DtlsRole::Server,
        DtlsVersion::Auto,
        DataChannelSpec::livekit(),
    );
    world.connect();
    assert_works(&mut world);
    world.run(SECOND);
    let foreign = foreign_traffic(DtlsRole::Server, DtlsVersion::Auto);
    let mut random = Random::new(1);
    world.settle();
    for n in 0..20_000usize {
        let source = format!("192.0.2.{}:{}", 1 + n % 200, 1024 + n % 60_000);
        let mut data = match n % 3 {
            0 => foreign[n % foreign.len()].clone(),
            1 => {
                let len = random.below(1500);
                random.bytes(len)
            }
            _ => vec![[0x00, 0x14, 0x16, 0x17, 0x80, 0x90, 0xc0, 0xff][n % 8]; random.below(100)],
        };
        if let Some(first) = data.first_mut().filter(|_| n % 7 == 0) {
            *first = n as u8;
        }
        world.deliver(to_kith(&source, data));
    }
    assert_eq!(world.kith().dropped.len(), 20_000);
    assert!(
        world.kith().transport.poll_transmit().is_none(),
        "nothing is answered"
    );
    assert!(world.kith().transport.poll_event().is_none());
    assert!(
        !world
            .kith()
            .transport
            .is_validated(udp(KITH, "192.0.2.1:1024"))
    );
    assert_works(&mut world);
}

#[test]
fn media_and_dtls_wait_for_a_connectivity_check() {
    let mut world = World::with_str0m(DtlsRole::Server, DtlsVersion::Auto, vec![]);
    for data in foreign_traffic(DtlsRole::Server, DtlsVersion::Auto) {
        world.deliver(to_kith(CLIENT, data));
    }
    world.deliver(to_kith(CLIENT, rtp(1, 1, &[0; 40])));
    world.deliver(to_kith(CLIENT, vec![]));
    let expected = [
        Dropped::Stun,
        Dropped::NotValidated,
        Dropped::UnknownProtocol,
    ];
    assert!(
        world
            .kith()
            .dropped
            .iter()
            .all(|dropped| expected.contains(dropped)),
        "{:?}",
        world.kith().dropped
    );
    assert!(world.kith().events.is_empty());
    world.connect();
    assert!(!world.kith().dropped.contains(&Dropped::NotAuthentic));
}

/// Before DTLS has authenticated anybody, somebody who knows the addresses can send in the peer's name.
#[test]
fn a_handshake_survives_noise_in_the_peers_name() {
    for role in ROLES {
        for version in VERSIONS {
            for seed in 0..10 {
                let mut world = World::with_str0m(role, version, DataChannelSpec::livekit());
                world.random = Random::new(seed);
                let mut random = Random::new(seed + 100);
                let until = world.now + 20 * SECOND;
                while !world.kith().saw(&TransportEvent::Connected) {
                    assert!(world.step(until), "{role:?} {version:?} seed {seed}");
                    for _ in 0..5 {
                        let mut noise = random.bytes(60);
                        noise[0] =
                            [0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x20, 0x2f][random.below(9)];
                        if random.below(2) == 0 {
                            noise[1..3].copy_from_slice(&[0xfe, 0xfd]);
                            noise[11..13].copy_from_slice(&47u16.to_be_bytes());
                        }
                        world.deliver(to_kith(CLIENT, noise));
                        world.settle();
                    }
                }
                assert_works(&mut world);
            }
        }
    }
}

/// A forged ClientHello makes us send a cookie to the real client. One that has just asked takes it for its own, and only the client
/// could tell; so the forger of this test is later than that.
#[test]
fn a_server_survives_foreign_client_hellos() {
    for version in VERSIONS {
        let foreign = foreign_traffic(DtlsRole::Server, version);
        let is_hello = |data: &[u8]| data[0] == 0x16 && data.get(13) == Some(&1);
        let hellos: Vec<_> = foreign
            .iter()
            .filter(|data| is_hello(data))
            .cloned()
            .collect();
        assert!(hellos.len() >= 2, "one without and one with a cookie");
        for seed in 0..10 {
            let mut world =
                World::with_str0m(DtlsRole::Server, version, DataChannelSpec::livekit());
            world.record = true;
            let mut random = Random::new(seed);
            let until = world.now + 30 * SECOND;
            let mut forged = 0;
            while !world.kith().saw(&TransportEvent::Connected) {
                assert!(world.step(until), "{version:?} seed {seed}");
                let answered = world
                    .wire
                    .iter()
                    .any(|sent| sent.source == addr(KITH) && sent.data[0] == 0x16);
                for _ in 0..if answered { random.below(6) } else { 0 } {
                    let hello = hellos[random.below(hellos.len())].clone();
                    let hello = if random.below(2) == 0 {
                        hello
                    } else {
                        mutate(&mut random, &hello)
                    };
                    world.deliver(to_kith(CLIENT, hello));
                    world.settle();
                    forged += 1;
                }
            }
            assert!(forged > 5);
            assert_works(&mut world);
        }
    }
}

#[test]
fn an_established_connection_survives_everything_in_the_peers_name() {
    for role in ROLES {
        for version in VERSIONS {
            let mut world = World::with_str0m(role, version, DataChannelSpec::livekit());
            world.record = true;
            world.connect();
            assert_works(&mut world);
            let genuine: Vec<_> = std::mem::take(&mut world.wire)
                .into_iter()
                .map(|transmit| transmit.data)
                .collect();
            let foreign = foreign_traffic(role, version);
            let mut random = Random::new(3);
            for n in 0..5_000 {
                let from = if n % 2 == 0 { &genuine } else { &foreign };
                let data = from[random.below(from.len())].clone();
                let data = if n % 5 == 0 {
                    data
                } else {
                    mutate(&mut random, &data)
                };
                world.deliver(to_kith(CLIENT, data));
                if n % 100 == 0 {
                    world.run(Duration::from_millis(20));
                }
            }
            assert_works(&mut world);
        }
    }
}

#[test]
fn replayed_media_is_dropped() {
    let mut world = World::with_str0m(DtlsRole::Server, DtlsVersion::Auto, vec![]);
    world.str0m().declare_media(100, 200);
    world.connect();
    world.record = true;
    let now = world.now;
    for seq in 0..20u64 {
        let write = str0m::rtp::RtpWrite::new(96.into(), seq.into(), 1, now, b"once".to_vec());
        world
            .str0m()
            .rtc
            .direct_api()
            .stream_tx(&100.into())
            .unwrap()
            .write_rtp(write);
    }
    world.run(8 * SECOND);
    let packets: Vec<_> = world
        .wire
        .iter()
        .filter(|t| t.destination == addr(KITH) && (128..192).contains(&t.data[0]))
        .cloned()
        .collect();
    let (rtp, rtcp) = (world.kith().rtp.len(), world.kith().rtcp.len());
    assert!(rtp >= 20 && rtcp >= 1);
    world.kith().dropped.clear();
    for packet in &packets {
        world.deliver(packet.clone());
    }
    // After some silence later rollover counters are tried as well, under which an old packet is not authentic.
    let expected = [Dropped::Replayed, Dropped::NotAuthentic];
    assert!(
        world
            .kith()
            .dropped
            .iter()
            .all(|dropped| expected.contains(dropped))
    );
    assert_eq!(world.kith().dropped.len(), packets.len());
    assert_eq!(
        (world.kith().rtp.len(), world.kith().rtcp.len()),
        (rtp, rtcp)
    );

    // Authentic media from an address that has not passed a check is not even looked at.
    let mut stray = packets[0].clone();
    stray.source = addr("10.0.0.2:9");
    world.kith().dropped.clear();
    world.deliver(stray);
    assert_eq!(world.kith().dropped, [Dropped::NotValidated]);
}

#[test]
fn a_wrong_fingerprint_ends_the_connection_before_anything_is_believed() {
    for role in ROLES {
        for version in VERSIONS {
            let mut world = World::with_str0m(role, version, DataChannelSpec::livekit());
            let mut description = world.str0m().description(role);
            description.fingerprint.0[7] ^= 1;
            let now = world.now;
            // It can still be corrected while DTLS has not begun, which for a server is at once: so make a new one.
            let mut kith = Kith::new(
                now,
                &CONTEXT,
                KithOptions {
                    channels: DataChannelSpec::livekit(),
                    ..Default::default()
                },
            );
            kith.transport.set_remote(now, description).unwrap();
            world.ends[0] = End::Kith(kith);
            world.run(5 * SECOND);
            let kith = world.kith();
            assert!(
                kith.saw(&TransportEvent::Failed(FailReason::FingerprintMismatch)),
                "{role:?} {version:?} {:?}",
                kith.events
            );
            assert!(!kith.saw(&TransportEvent::Connected));
            assert!(!kith.transport.media_ready());
            assert_eq!(kith.transport.selected_path(), None);
            let mut buf = [0x80; 100];
            assert!(kith.transport.seal_rtp(0, &mut buf, 60).is_err());
        }
    }
}

#[test]
fn the_fingerprint_and_the_role_cannot_change_later() {
    let mut world = World::with_str0m(DtlsRole::Server, DtlsVersion::Auto, vec![]);
    world.connect();
    let now = world.now;
    let good = world.str0m().description(DtlsRole::Server);
    let mut bad = good.clone();
    bad.fingerprint.0[0] ^= 1;
    assert!(world.kith().transport.set_remote(now, bad).is_err());
    let swapped = world.str0m().description(DtlsRole::Client);
    assert!(world.kith().transport.set_remote(now, swapped).is_err());
    world.kith().transport.set_remote(now, good).unwrap();
}

#[test]
fn goodbye_is_heard_and_said() {
    let mut world = World::of_ours(DtlsRole::Server, vec![], vec![]);
    world.connect();
    let now = world.now;
    let (server, _) = world.ours();
    server.transport.close(now);
    assert!(!server.transport.media_ready());
    world.run(SECOND);
    let (server, client) = world.ours();
    assert!(client.saw(&TransportEvent::Closed));
    assert!(!client.transport.media_ready());
    assert!(!server.saw(&TransportEvent::Closed));
    assert_eq!(server.transport.poll_timeout(), None);
    assert!(!server.transport.accepts_ufrag(credentials(1).ufrag()));
}
