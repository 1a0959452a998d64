//! Both DTLS roles, both DTLS versions, lite and full ICE, with str0m and with ourselves on the other end: media and data flow.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use kith_transport::{DataChannelSpec, DataLabel, DtlsRole, Protocol, Transmit, TransportEvent};
use str0m::config::DtlsVersion;

const ROLES: [DtlsRole; 2] = [DtlsRole::Client, DtlsRole::Server];
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn str0m_connects_and_exchanges_media() {
    for role in ROLES {
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13, DtlsVersion::Auto] {
            let mut world = World::with_str0m(role, version, vec![]);
            world.str0m().declare_media(100, 200);
            world.connect();
            assert!(
                world.elapsed() < SECOND,
                "{role:?} {version:?} took {:?}",
                world.elapsed()
            );
            let kith = world.kith();
            assert!(kith.saw(&TransportEvent::IceConnected));
            assert!(kith.transport.media_ready());
            assert_eq!(kith.transport.selected_path(), Some(udp(KITH, CLIENT)));

            let now = world.now;
            for seq in 0..50u16 {
                let protected = world.kith().send_rtp(&rtp(200, seq, b"from kith"), 0);
                world.send(Transmit {
                    proto: Protocol::Udp,
                    source: addr(KITH),
                    destination: addr(CLIENT),
                    data: protected,
                });
                let write = str0m::rtp::RtpWrite::new(
                    96.into(),
                    u64::from(seq).into(),
                    1,
                    now,
                    b"from str0m".to_vec(),
                );
                world
                    .str0m()
                    .rtc
                    .direct_api()
                    .stream_tx(&100.into())
                    .unwrap()
                    .write_rtp(write);
            }
            world.run(8 * SECOND);
            assert_eq!(
                world.str0m().rtp,
                vec![b"from kith".to_vec(); 50],
                "{role:?} {version:?}"
            );
            assert_eq!(
                world
                    .kith()
                    .rtp
                    .iter()
                    .filter(|packet| packet.ends_with(b"from str0m"))
                    .count(),
                50,
                "{role:?} {version:?}"
            );
            assert!(
                !world.kith().rtcp.is_empty(),
                "{role:?} {version:?}: sender reports"
            );
            assert_eq!(world.kith().dropped, vec![], "{role:?} {version:?}");
        }
    }
}

#[test]
fn channels_of_the_client_carry_data_both_ways() {
    for role in ROLES {
        let mut world = World::with_str0m(role, DtlsVersion::Auto, vec![]);
        let reliable = world.str0m().open("_reliable", true, None);
        let lossy = world.str0m().open("_lossy", false, Some(1));
        let other = world.str0m().open("chat", true, None);
        world.connect();
        world.run_until(5 * SECOND, "channels", |world| {
            world.str0m().channels.len() == 3 && world.kith().opened(&other_label("chat"))
        });
        for (id, text) in [(reliable, "r"), (lossy, "l"), (other, "o")] {
            assert!(world.str0m().write(id, true, text.as_bytes()));
        }
        let now = world.now;
        for label in [DataLabel::Reliable, DataLabel::Lossy, other_label("chat")] {
            world
                .kith()
                .transport
                .send_data(now, &label, label.as_str().as_bytes(), true)
                .unwrap();
        }
        world
            .kith()
            .transport
            .send_data(now, &DataLabel::Reliable, b"", true)
            .unwrap();
        world.run(SECOND);
        assert_eq!(world.kith().data(&DataLabel::Reliable), [b"r"]);
        assert_eq!(world.kith().data(&DataLabel::Lossy), [b"l"]);
        assert_eq!(world.kith().data(&other_label("chat")), [b"o"]);
        let mut data = world.str0m().data.clone();
        data.sort_by_key(|(id, _)| {
            [reliable, lossy, other]
                .iter()
                .position(|known| known == id)
        });
        let expected = [
            (reliable, &b"_reliable"[..]),
            (reliable, b""),
            (lossy, b"_lossy"),
            (other, b"chat"),
        ];
        assert_eq!(data, expected.map(|(id, data)| (id, data.to_vec())));

        world.str0m().rtc.direct_api().close_data_channel(other);
        world.run(SECOND);
        assert!(world.kith().saw(&TransportEvent::DataChannelClosed {
            label: other_label("chat")
        }));
        let gone = world
            .kith()
            .transport
            .send_data(now, &other_label("chat"), b"x", true);
        assert_eq!(gone, Err(kith_transport::SendDataError::NotOpen));
    }
}

#[test]
fn our_channels_open_at_the_client() {
    for role in ROLES {
        let mut world = World::with_str0m(role, DtlsVersion::Auto, DataChannelSpec::livekit());
        world.connect();
        world.run_until(5 * SECOND, "channels", |world| {
            DataChannelSpec::livekit()
                .iter()
                .all(|spec| world.kith().opened(&spec.label))
                && world.str0m().channels.len() == 3
        });
        let now = world.now;
        for spec in DataChannelSpec::livekit() {
            world
                .kith()
                .transport
                .send_data(now, &spec.label, spec.label.as_str().as_bytes(), true)
                .unwrap();
        }
        world.run(SECOND);
        let str0m = world.str0m();
        for (id, data) in str0m.data.clone() {
            assert_eq!(str0m.channel(std::str::from_utf8(&data).unwrap()), Some(id));
            let config = str0m.rtc.channel(id).unwrap().config().unwrap().clone();
            assert_eq!(config.ordered, data == b"_reliable");
            str0m.write(id, true, &data);
        }
        assert_eq!(str0m.data.len(), 3);
        world.run(SECOND);
        for spec in DataChannelSpec::livekit() {
            assert_eq!(
                world.kith().data(&spec.label),
                [spec.label.as_str().as_bytes()]
            );
        }
    }
}

#[test]
fn lite_and_full_and_full_and_full_connect() {
    for role in ROLES {
        for lite in [true, false] {
            let now = Instant::now();
            let server = Kith::new(
                now,
                &CONTEXT,
                KithOptions {
                    ice_lite: lite,
                    channels: DataChannelSpec::livekit(),
                    ..Default::default()
                },
            );
            let client = Kith::new(
                now,
                &OTHER_CONTEXT,
                KithOptions {
                    ice_lite: false,
                    controlling: true,
                    seed: 2,
                    channels: vec![],
                },
            );
            let mut world = World::new(now, End::Kith(server), End::Kith(client));
            world.introduce_ours(role);
            world.connect();
            world.run_until(5 * SECOND, "channels", |world| {
                let (server, client) = world.ours();
                server.opened(&DataLabel::Reliable) && client.opened(&DataLabel::DataTrack)
            });
            let now = world.now;
            let (server, client) = world.ours();
            assert_eq!(server.transport.selected_path(), Some(udp(KITH, CLIENT)));
            assert_eq!(client.transport.selected_path(), Some(udp(CLIENT, KITH)));
            server
                .transport
                .send_data(now, &DataLabel::Reliable, b"down", true)
                .unwrap();
            client
                .transport
                .send_data(now, &DataLabel::Reliable, b"up", false)
                .unwrap();
            let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
            let protected = client.send_rtcp(&report);
            world.send(Transmit {
                proto: Protocol::Udp,
                source: addr(CLIENT),
                destination: addr(KITH),
                data: protected,
            });
            world.run(SECOND);
            let (server, client) = world.ours();
            assert_eq!(client.data(&DataLabel::Reliable), [b"down"]);
            assert_eq!(server.data(&DataLabel::Reliable), [b"up"]);
            assert_eq!(server.rtcp, [report]);
        }
    }
}

#[test]
fn two_full_ends_that_both_want_control_agree() {
    let now = Instant::now();
    let server = Kith::new(
        now,
        &CONTEXT,
        KithOptions {
            ice_lite: false,
            controlling: true,
            ..Default::default()
        },
    );
    let client = Kith::new(
        now,
        &OTHER_CONTEXT,
        KithOptions {
            ice_lite: false,
            controlling: true,
            seed: 2,
            channels: vec![],
        },
    );
    let mut world = World::new(now, End::Kith(server), End::Kith(client));
    world.introduce_ours(DtlsRole::Server);
    world.connect();
}

#[test]
fn a_lite_end_tells_a_client_that_waits_to_take_control() {
    let mut world = World::with_str0m(DtlsRole::Server, DtlsVersion::Auto, vec![]);
    world.str0m().rtc.direct_api().set_ice_controlling(false);
    world.connect();
}

#[test]
fn connecting_survives_heavy_loss() {
    for seed in 0..20 {
        let role = ROLES[seed as usize % 2];
        let mut world = World::with_str0m(role, DtlsVersion::Auto, DataChannelSpec::livekit());
        world.random = Random::new(seed);
        world.loss = 0.25;
        world.connect();
        world.run_until(60 * SECOND, "channels", |world| {
            DataChannelSpec::livekit()
                .iter()
                .all(|spec| world.kith().opened(&spec.label))
        });
    }
}

#[test]
fn a_peer_that_waits_for_our_sctp_is_asked() {
    let now = Instant::now();
    let mut kith = Kith::new(
        now,
        &CONTEXT,
        KithOptions {
            channels: DataChannelSpec::livekit(),
            ..Default::default()
        },
    );
    let mut client = Str0m::new(now, DtlsVersion::Auto);
    introduce(now, &mut kith, &mut client, DtlsRole::Server, false);
    let mut world = World::new(now, End::Kith(kith), End::Str0m(client));
    world.connect();
    world.run_until(5 * SECOND, "channels", |world| {
        world.kith().opened(&DataLabel::Reliable)
    });
}
