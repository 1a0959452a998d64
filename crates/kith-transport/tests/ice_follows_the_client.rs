//! Restarts by either side, clients that move, silence, ICE-TCP: media goes where the client is.

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
use is::stun::{StunMessage, TransId};
use kith_transport::{
    CandidateError, DataChannelSpec, DataLabel, Dropped, DtlsRole, FailReason, IceCredentials,
    Path, Protocol, Transmit, Transport, TransportEvent,
};
use str0m::config::DtlsVersion;

const SECOND: Duration = Duration::from_secs(1);
const MOVED: &str = "10.0.0.3:6000";

/// A connectivity check as any client sends it, with attributes that we do not know.
fn check(ours: &IceCredentials, theirs: &str, use_candidate: bool) -> Vec<u8> {
    let username = format!("{}:{theirs}", ours.ufrag());
    let message =
        StunMessage::binding_request(&username, TransId::new(), true, 7, 1_000_000, use_candidate);
    let hmac = |key: &[u8], payloads: &[&[u8]]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        context.sign().as_ref().try_into().unwrap()
    };
    let mut out = vec![0; 500];
    let len = message
        .to_bytes(Some(ours.pwd().as_bytes()), &mut out, hmac)
        .unwrap();
    out.truncate(len);
    out
}

/// Puts comprehension-optional attributes before the integrity and signs again.
fn with_unknown_attributes(ours: &IceCredentials, check: &[u8]) -> Vec<u8> {
    // Without integrity (24) and fingerprint (8).
    let mut out = check[..check.len() - 32].to_vec();
    for kind in [0xC070u16, 0xC071] {
        out.extend(kind.to_be_bytes());
        out.extend([0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
    }
    let len = (out.len() - 20 + 24) as u16;
    out[2..4].copy_from_slice(&len.to_be_bytes());
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        ours.pwd().as_bytes(),
    );
    let tag = aws_lc_rs::hmac::sign(&key, &out);
    out.extend([0, 8, 0, 20]);
    out.extend(tag.as_ref());
    out
}

fn lite_server() -> (World, IceCredentials) {
    let mut world = World::with_str0m(DtlsRole::Server, DtlsVersion::Auto, vec![]);
    let ours = world.kith().transport.local_ice_credentials().clone();
    (world, ours)
}

fn to_kith(proto: Protocol, source: &str, data: Vec<u8>) -> Transmit {
    Transmit {
        proto,
        source: addr(source),
        destination: addr(KITH),
        data,
    }
}

fn answers(world: &mut World) -> Vec<Transmit> {
    std::iter::from_fn(|| world.kith().transport.poll_transmit())
        .filter(|transmit| transmit.data[0] < 4)
        .collect()
}

fn events(world: &mut World) -> Vec<TransportEvent> {
    std::iter::from_fn(|| world.kith().transport.poll_event()).collect()
}

#[test]
fn a_check_is_answered_before_the_description_is_known() {
    let now = Instant::now();
    let kith = Kith::new(now, &CONTEXT, KithOptions::default());
    let ours = kith.transport.local_ice_credentials().clone();
    let mut world = World::new(
        now,
        End::Kith(kith),
        End::Str0m(Str0m::new(now, DtlsVersion::Auto)),
    );
    world.deliver(to_kith(
        Protocol::Udp,
        CLIENT,
        check(&ours, "anybody", false),
    ));
    let sent = answers(&mut world);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].source, sent[0].destination),
        (addr(KITH), addr(CLIENT))
    );
    let answer = StunMessage::parse(&sent[0].data).unwrap();
    assert!(answer.is_successful_binding_response());
    assert_eq!(answer.mapped_address(), Some(addr(CLIENT)));
    assert_eq!(world.kith().transport.selected_path(), None);
}

#[test]
fn checks_that_are_not_authentic_are_dropped() {
    let (mut world, ours) = lite_server();
    let theirs = world
        .str0m()
        .description(DtlsRole::Server)
        .ice
        .ufrag()
        .to_owned();
    let good = check(&ours, &theirs, true);
    let other = IceCredentials::new(ours.ufrag(), "x".repeat(32)).unwrap();
    let forged = check(&other, &theirs, true);
    let stranger = check(&ours, "stranger", true);
    let elsewhere = check(&credentials(9), &theirs, true);
    let mut flipped = good.clone();
    flipped[30] ^= 1;
    for data in [
        forged,
        stranger,
        elsewhere,
        flipped,
        good[..good.len() - 4].to_vec(),
        vec![0; 20],
        vec![1],
    ] {
        world.deliver(to_kith(Protocol::Udp, CLIENT, data));
    }
    assert_eq!(world.kith().dropped, [Dropped::Stun; 7]);
    assert!(answers(&mut world).is_empty());
    assert!(!world.kith().transport.is_validated(udp(KITH, CLIENT)));
    world.deliver(to_kith(
        Protocol::Udp,
        CLIENT,
        with_unknown_attributes(&ours, &good),
    ));
    assert_eq!(answers(&mut world).len(), 1);
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH, CLIENT))
    );
}

#[test]
fn the_latest_nomination_wins() {
    let (mut world, ours) = lite_server();
    world.connect();
    let theirs = world
        .str0m()
        .description(DtlsRole::Server)
        .ice
        .ufrag()
        .to_owned();
    world.kith().events.clear();
    // The client has moved: it checks the new path, and nominates it.
    world.deliver(to_kith(Protocol::Udp, MOVED, check(&ours, &theirs, false)));
    assert_eq!(answers(&mut world)[0].destination, addr(MOVED));
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH, CLIENT))
    );
    world.deliver(to_kith(Protocol::Udp, MOVED, check(&ours, &theirs, true)));
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH, MOVED))
    );
    assert_eq!(
        events(&mut world),
        [TransportEvent::PathChanged(udp(KITH, MOVED))]
    );
    // And back.
    world.deliver(to_kith(Protocol::Udp, CLIENT, check(&ours, &theirs, true)));
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH, CLIENT))
    );
}

#[test]
fn a_restart_by_the_client_keeps_media_on_the_old_path_until_the_new_one_is_nominated() {
    let (mut world, first) = lite_server();
    world.str0m().declare_media(100, 200);
    world.connect();
    let now = world.now;
    let mut description = world.str0m().description(DtlsRole::Server);
    let old_remote = description.ice.ufrag().to_owned();
    let second = credentials(50);
    let new_remote = credentials(51);
    description.ice = new_remote.clone();
    let kith = world.kith();
    kith.transport.restart_ice(second.clone());
    kith.transport.set_remote(now, description).unwrap();
    assert!(
        kith.transport.accepts_ufrag(first.ufrag()) && kith.transport.accepts_ufrag(second.ufrag())
    );
    assert_eq!(kith.transport.local_ice_credentials(), &second);
    assert!(kith.transport.media_ready());

    // The old session goes on, and cannot nominate any more once the new one has.
    world.deliver(to_kith(
        Protocol::Udp,
        CLIENT,
        check(&first, &old_remote, true),
    ));
    assert_eq!(answers(&mut world).len(), 1);
    world.deliver(to_kith(
        Protocol::Udp,
        MOVED,
        check(&second, new_remote.ufrag(), false),
    ));
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH, CLIENT))
    );
    world.deliver(to_kith(
        Protocol::Udp,
        MOVED,
        check(&second, new_remote.ufrag(), true),
    ));
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH, MOVED))
    );
    assert!(!world.kith().transport.accepts_ufrag(first.ufrag()));
    answers(&mut world);
    world.deliver(to_kith(
        Protocol::Udp,
        CLIENT,
        check(&first, &old_remote, true),
    ));
    assert!(answers(&mut world).is_empty());
    // What is still under way on the old path is welcome.
    assert!(world.kith().transport.is_validated(udp(KITH, CLIENT)));
}

#[test]
fn restarts_by_either_side_between_two_of_ours() {
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
        world.introduce_ours(DtlsRole::Server);
        world.connect();
        world.run(2 * SECOND);
        for round in 0..3u8 {
            let now = world.now;
            let (server, client) = world.ours();
            // The client's address changes with the first restart.
            let address = if round == 0 { CLIENT } else { MOVED };
            server.transport.restart_ice(credentials(100 + round));
            client.transport.restart_ice(credentials(200 + round));
            client
                .transport
                .add_local_candidate(Protocol::Udp, addr(address))
                .unwrap();
            client
                .transport
                .add_remote_candidate(&candidate(KITH))
                .unwrap();
            server
                .transport
                .add_remote_candidate(&format!("a={}", candidate(address)))
                .unwrap();
            let for_server = description(&client.transport, &OTHER_CONTEXT, DtlsRole::Server);
            let for_client = description(&server.transport, &CONTEXT, DtlsRole::Client);
            server.transport.set_remote(now, for_server).unwrap();
            client.transport.set_remote(now, for_client).unwrap();
            assert!(server.transport.media_ready() && client.transport.media_ready());
            server
                .transport
                .send_data(now, &DataLabel::Reliable, &[round], true)
                .unwrap();
            world.run(20 * SECOND);
            let (server, client) = world.ours();
            assert!(
                !server.saw(&TransportEvent::IceDisconnected)
                    && !client.saw(&TransportEvent::IceDisconnected),
                "lite {lite}"
            );
            assert!(server.transport.media_ready() && client.transport.media_ready());
            assert_eq!(
                client.data(&DataLabel::Reliable).len(),
                usize::from(round) + 1,
                "lite {lite}"
            );
            assert!(
                server
                    .transport
                    .accepts_ufrag(credentials(100 + round).ufrag())
            );
        }
    }
}

#[test]
fn silence_disconnects_and_then_fails_unless_the_client_returns() {
    let (mut world, _) = lite_server();
    world.connect();
    world.run(30 * SECOND);
    assert!(!world.kith().saw(&TransportEvent::IceDisconnected));
    world.cut = Box::new(|_| true);
    let gone = world.now;
    world.run_until(20 * SECOND, "disconnection", |world| {
        world.kith().saw(&TransportEvent::IceDisconnected)
    });
    let silence = world.now - gone;
    assert!(
        silence > 6 * SECOND && silence <= 10 * SECOND,
        "{silence:?}"
    );
    assert_eq!(world.kith().transport.selected_path(), None);
    assert!(!world.kith().transport.media_ready());
    world.kith().events.clear();
    world.cut = Box::new(|_| false);
    world.run_until(10 * SECOND, "return", |world| {
        world.kith().saw(&TransportEvent::IceConnected)
    });
    assert!(world.kith().transport.media_ready());
    world.str0m().alive = false;
    world.run_until(45 * SECOND, "failure", |world| {
        world
            .kith()
            .saw(&TransportEvent::Failed(FailReason::IceTimeout))
    });
    assert_eq!(world.kith().transport.poll_timeout(), None);
}

#[test]
fn media_alone_keeps_a_lite_end_connected() {
    let (mut world, _) = lite_server();
    world.str0m().declare_media(100, 200);
    world.connect();
    // Checks no longer get through, media does.
    world.cut = Box::new(|transmit| transmit.data[0] < 4 && transmit.destination == addr(KITH));
    for seq in 0..120u64 {
        let now = world.now;
        let write = str0m::rtp::RtpWrite::new(96.into(), seq.into(), 1, now, b"alive".to_vec());
        if world.str0m().rtc.is_alive()
            && let Some(stream) = world.str0m().rtc.direct_api().stream_tx(&100.into())
        {
            stream.write_rtp(write);
        }
        world.run(Duration::from_millis(100));
    }
    assert!(!world.kith().saw(&TransportEvent::IceDisconnected));
}

#[test]
fn nobody_comes() {
    let (mut world, _) = lite_server();
    world.str0m().alive = false;
    world.run(59 * SECOND);
    assert!(world.kith().events.is_empty());
    world.run(2 * SECOND);
    assert!(
        world
            .kith()
            .saw(&TransportEvent::Failed(FailReason::IceTimeout))
    );

    // A transport that waits for its description waits for as long as it takes.
    let now = Instant::now();
    let mut kith = Kith::new(now, &CONTEXT, KithOptions::default());
    assert_eq!(kith.transport.poll_timeout(), None);
    kith.transport.handle_timeout(now + 1000 * SECOND);
    assert_eq!(kith.transport.poll_event(), None);
}

#[test]
fn a_closed_tcp_connection_is_forgotten_at_once() {
    let (mut world, ours) = lite_server();
    let theirs = world
        .str0m()
        .description(DtlsRole::Server)
        .ice
        .ufrag()
        .to_owned();
    let tcp = Path {
        proto: Protocol::Tcp,
        local: addr(KITH),
        remote: addr(CLIENT),
    };
    world.deliver(to_kith(Protocol::Tcp, CLIENT, check(&ours, &theirs, true)));
    assert_eq!(answers(&mut world)[0].proto, Protocol::Tcp);
    assert_eq!(world.kith().transport.selected_path(), Some(tcp));
    assert!(
        !world.kith().transport.is_validated(udp(KITH, CLIENT)),
        "another 5-tuple, though the addresses are the same"
    );
    events(&mut world);
    let now = world.now;
    world.kith().transport.remove_path(now, tcp);
    assert_eq!(events(&mut world), [TransportEvent::IceDisconnected]);
    assert_eq!(world.kith().transport.selected_path(), None);
    assert!(!world.kith().transport.is_validated(tcp));
    // The client connects anew.
    world.deliver(to_kith(Protocol::Tcp, MOVED, check(&ours, &theirs, true)));
    let moved = Path {
        remote: addr(MOVED),
        ..tcp
    };
    assert_eq!(
        events(&mut world),
        [
            TransportEvent::PathChanged(moved),
            TransportEvent::IceConnected
        ]
    );
}

#[test]
fn everything_works_over_ipv6() {
    let now = Instant::now();
    let server = Kith::new(
        now,
        &CONTEXT,
        KithOptions {
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
    world.introduce_ours_at(DtlsRole::Server, KITH_V6, CLIENT_V6);
    world.connect();
    world.run_until(SECOND, "channels", |world| {
        world.kith().opened(&DataLabel::Reliable)
    });
    assert_eq!(
        world.kith().transport.selected_path(),
        Some(udp(KITH_V6, CLIENT_V6))
    );
}

#[test]
fn everything_works_over_tcp() {
    // A full end of ours opens no TCP connection, so the network between the two turns UDP into TCP: the server sees TCP only.
    let mut world = World::of_ours(DtlsRole::Server, DataChannelSpec::livekit(), vec![]);
    world.over_tcp = true;
    world.connect();
    world.run_until(SECOND, "channels", |world| {
        world.kith().opened(&DataLabel::Reliable)
    });
    let tcp = Path {
        proto: Protocol::Tcp,
        local: addr(KITH),
        remote: addr(CLIENT),
    };
    assert_eq!(world.kith().transport.selected_path(), Some(tcp));
}

#[test]
fn candidates_are_looked_at() {
    let now = Instant::now();
    for ice_lite in [true, false] {
        let mut transport = Kith::new(
            now,
            &CONTEXT,
            KithOptions {
                ice_lite,
                ..Default::default()
            },
        )
        .transport;
        let mut add = |line: &str| transport.add_remote_candidate(line);
        assert_eq!(add(&candidate(CLIENT)), Ok(()));
        assert_eq!(
            add(
                " a=candidate:1 1 UDP 1 10.0.0.9 9 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag abcd network-cost 999\r\n"
            ),
            Ok(())
        );
        assert_eq!(
            add("candidate:1 1 tcp 1518280447 10.0.0.9 9 typ host tcptype active"),
            Ok(())
        );
        assert_eq!(
            add("candidate:1 1 udp 1 4f1c-ab.local 5000 typ host"),
            Err(CandidateError::MdnsName)
        );
        for bad in [
            "",
            "candidate:",
            "candidate:1 1 udp x 10.0.0.9 9 typ host",
            "candidate:1 1 udp 1 10.0.0.9 9",
            "nonsense 1 2 3 4 5",
        ] {
            assert_eq!(add(bad), Err(CandidateError::Syntax), "{bad}");
        }
        for bad in ["224.0.0.1", "0.0.0.0", "ff02::1", "::"] {
            assert_eq!(
                add(&format!("candidate:1 1 udp 1 {bad} 5000 typ host")),
                Err(CandidateError::Address),
                "{bad}"
            );
        }
        for port in 0..200u16 {
            let result = add(&candidate(&format!("10.0.1.1:{}", 1000 + port)));
            if !ice_lite && port > 70 {
                assert_eq!(result, Err(CandidateError::TooMany(64)));
            }
        }
        assert_eq!(
            transport.add_local_candidate(Protocol::Udp, addr("0.0.0.0:7882")),
            Err(CandidateError::Address)
        );
    }
}

#[test]
fn long_ufrags_do_not_hurt_full_ice() {
    let now = Instant::now();
    for ice_lite in [true, false] {
        let mut transport = Kith::new(
            now,
            &CONTEXT,
            KithOptions {
                ice_lite,
                ..Default::default()
            },
        )
        .transport;
        transport
            .add_local_candidate(Protocol::Udp, addr(KITH))
            .unwrap();
        transport.add_remote_candidate(&candidate(CLIENT)).unwrap();
        let mut remote = description(&transport, &OTHER_CONTEXT, DtlsRole::Server);
        remote.ice = IceCredentials::new("u".repeat(256), "p".repeat(256)).unwrap();
        assert_eq!(transport.set_remote(now, remote).is_ok(), ice_lite);
        transport.handle_timeout(now + SECOND);
        while transport.poll_transmit().is_some() {}
    }
}

#[test]
fn a_flood_of_checks_from_many_addresses_is_bounded() {
    for ice_lite in [true, false] {
        let now = Instant::now();
        let kith = Kith::new(
            now,
            &CONTEXT,
            KithOptions {
                ice_lite,
                ..Default::default()
            },
        );
        let ours = kith.transport.local_ice_credentials().clone();
        let mut world = World::new(
            now,
            End::Kith(kith),
            End::Str0m(Str0m::new(now, DtlsVersion::Auto)),
        );
        introduce_kith_only(&mut world);
        for n in 0..2000u32 {
            let source = format!("10.1.{}.{}:{}", n / 250, n % 250, 1024 + n);
            world.deliver(to_kith(
                Protocol::Udp,
                &source,
                check(&ours, "them1234", n % 2 == 0),
            ));
            while world.kith().transport.poll_transmit().is_some() {}
            events(&mut world);
        }
        let valid = (0..2000u32)
            .filter(|n| {
                let source = format!("10.1.{}.{}:{}", n / 250, n % 250, 1024 + n);
                world.kith().transport.is_validated(udp(KITH, &source))
            })
            .count();
        assert!(valid <= 32, "{valid}");
    }
}

fn introduce_kith_only(world: &mut World) {
    let now = world.now;
    let kith = world.kith();
    let mut remote = description(&kith.transport, &OTHER_CONTEXT, DtlsRole::Server);
    remote.ice = IceCredentials::new("them1234", "p".repeat(30)).unwrap();
    kith.transport
        .add_local_candidate(Protocol::Udp, addr(KITH))
        .unwrap();
    kith.transport.set_remote(now, remote).unwrap();
}

#[test]
fn transports_are_small_before_they_connect() {
    // A server holds thousands that never see a packet; what is big is boxed.
    assert!(
        std::mem::size_of::<Transport>() < 4096,
        "{}",
        std::mem::size_of::<Transport>()
    );
}
