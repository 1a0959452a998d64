//! Data channels under loss, in bursts, with readers that stop: everything reliable arrives, in order; nothing grows without bound.

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
use kith_transport::{
    DataChannelSpec, DataLabel, DtlsRole, SendDataError, Transport, TransportEvent,
};
use str0m::config::DtlsVersion;

const SECOND: Duration = Duration::from_secs(1);

fn with_channels(role: DtlsRole) -> World {
    let mut world = World::with_str0m(role, DtlsVersion::Auto, DataChannelSpec::livekit());
    world.connect();
    world.run_until(10 * SECOND, "channels", |world| {
        world.kith().opened(&DataLabel::DataTrack)
            && world.kith().opened(&DataLabel::Lossy)
            && world.kith().opened(&DataLabel::Reliable)
    });
    world
}

fn message(number: usize, len: usize) -> Vec<u8> {
    let mut message = vec![number as u8; len];
    message[..8].copy_from_slice(&(number as u64).to_be_bytes());
    message
}

/// Hands `count` messages to the server's channel as it takes them, and returns how often it refused.
fn push(world: &mut World, label: &DataLabel, count: usize, len: usize, within: Duration) -> usize {
    let (mut sent, mut refusals, mut blocked) = (0, 0, false);
    world.run_until(within, "all handed over", |world| {
        let now = world.now;
        let kith = world.kith();
        if blocked {
            let low = TransportEvent::BufferedLow {
                label: label.clone(),
            };
            let Some(at) = kith.events.iter().position(|event| *event == low) else {
                return false;
            };
            kith.events.remove(at);
            blocked = false;
        }
        while sent < count && !blocked {
            match kith
                .transport
                .send_data(now, label, &message(sent, len), true)
            {
                Ok(()) => sent += 1,
                Err(SendDataError::Full) => {
                    refusals += 1;
                    blocked = true;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(kith.transport.buffered_amount(label) <= Transport::MAX_BUFFERED_RELIABLE);
        sent == count
    });
    refusals
}

#[test]
fn a_thousand_messages_of_ten_kilobytes_pass_quickly() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut world = with_channels(role);
        world.latency = Duration::from_micros(50);
        let (virtual_start, real_start) = (world.now, Instant::now());
        let refusals = push(&mut world, &DataLabel::Reliable, 1000, 10_000, 10 * SECOND);
        assert!(refusals > 0, "10 MB do not fit the buffer at once");
        world.run_until(10 * SECOND, "arrival", |world| {
            world.str0m().data.len() == 1000
        });
        println!(
            "{role:?}: down {:?} virtual, {:?} real",
            world.now - virtual_start,
            real_start.elapsed()
        );
        assert!(world.now - virtual_start < SECOND);
        for (number, (_, data)) in world.str0m().data.iter().enumerate() {
            assert_eq!(*data, message(number, 10_000));
        }

        let (virtual_start, real_start) = (world.now, Instant::now());
        let id = world.str0m().channel("_reliable").unwrap();
        let mut sent = 0;
        world.run_until(20 * SECOND, "arrival", |world| {
            while sent < 1000 && world.str0m().write(id, true, &message(sent, 10_000)) {
                sent += 1;
            }
            world.kith().data(&DataLabel::Reliable).len() == 1000
        });
        println!(
            "{role:?}: up {:?} virtual, {:?} real",
            world.now - virtual_start,
            real_start.elapsed()
        );
        assert!(world.now - virtual_start < SECOND);
    }
}

/// The receiver's socket buffer on loopback, and an ordinary line with an ordinary router.
#[test]
fn a_full_queue_on_the_way_does_not_stall_the_channel() {
    let lines = [
        (
            "loopback",
            1e9,
            212_992.0,
            Duration::from_micros(50),
            SECOND,
        ),
        (
            "50 Mbit/s",
            6.25e6,
            128_000.0,
            Duration::from_millis(20),
            6 * SECOND,
        ),
        (
            "10 Mbit/s",
            1.25e6,
            64_000.0,
            Duration::from_millis(40),
            20 * SECOND,
        ),
    ];
    for (line, rate, queue, latency, within) in lines {
        let mut world = with_channels(DtlsRole::Server);
        world.latency = latency;
        world.bottleneck = Some((rate, queue));
        let (start, real) = (world.now, Instant::now());
        push(&mut world, &DataLabel::Reliable, 1000, 10_000, 4 * within);
        world.run_until(4 * within, "arrival", |world| {
            world.str0m().data.len() == 1000
        });
        println!(
            "{line}: 10 MB in {:?} virtual, {:?} real",
            world.now - start,
            real.elapsed()
        );
        assert!(
            world.now - start < within,
            "{line} took {:?}",
            world.now - start
        );
    }
}

#[test]
fn bursts_arrive_in_order_under_loss() {
    for seed in 0..4 {
        let mut world = with_channels(if seed % 2 == 0 {
            DtlsRole::Client
        } else {
            DtlsRole::Server
        });
        world.random = Random::new(seed);
        world.loss = 0.05;
        let id = world.str0m().channel("_reliable").unwrap();
        push(&mut world, &DataLabel::Reliable, 128, 4096, 60 * SECOND);
        let mut sent = 0;
        world.run_until(60 * SECOND, "arrival both ways", |world| {
            while sent < 64 && world.str0m().write(id, true, &message(sent, 4096)) {
                sent += 1;
            }
            world.str0m().data.len() == 128 && world.kith().data(&DataLabel::Reliable).len() == 64
        });
        assert!(
            world
                .str0m()
                .data
                .iter()
                .enumerate()
                .all(|(number, (_, data))| *data == message(number, 4096))
        );
        assert!(
            world
                .kith()
                .data(&DataLabel::Reliable)
                .iter()
                .enumerate()
                .all(|(number, data)| *data == message(number, 4096))
        );
    }
}

#[test]
fn the_longest_message_passes_and_a_longer_one_is_refused() {
    let mut world = with_channels(DtlsRole::Server);
    let longest = message(1, Transport::MAX_MESSAGE_SIZE as usize);
    for label in [DataLabel::Reliable, DataLabel::Lossy] {
        let now = world.now;
        world
            .kith()
            .transport
            .send_data(now, &label, &longest, true)
            .unwrap();
        let id = world.str0m().channel(label.as_str()).unwrap();
        world.str0m().write(id, true, &longest);
        world.run(SECOND);
        assert_eq!(world.kith().data(&label), [&longest[..]]);
        assert!(
            world.str0m().data.contains(&(id, longest.clone())),
            "{label}"
        );
    }
    let now = world.now;
    let error =
        world
            .kith()
            .transport
            .send_data(now, &DataLabel::Reliable, &message(1, 65_537), true);
    assert_eq!(
        error,
        Err(SendDataError::TooLong {
            len: 65_537,
            max: 65_536
        })
    );
    let mut description = world.str0m().description(DtlsRole::Server);
    description.max_message_size = 1000;
    world.kith().transport.set_remote(now, description).unwrap();
    let error =
        world
            .kith()
            .transport
            .send_data(now, &DataLabel::Reliable, &message(1, 1001), true);
    assert_eq!(
        error,
        Err(SendDataError::TooLong {
            len: 1001,
            max: 1000
        })
    );
}

#[test]
fn lossy_messages_are_lost_and_hold_up_nothing() {
    let mut world = with_channels(DtlsRole::Server);
    world.random = Random::new(7);
    world.loss = 0.2;
    let start = world.now;
    for number in 0..500 {
        let now = world.now;
        world
            .kith()
            .transport
            .send_data(now, &DataLabel::Lossy, &message(number, 200), true)
            .unwrap();
        world.run(Duration::from_millis(10));
    }
    world.run(SECOND);
    let arrived = world.str0m().data.len();
    assert!((300..500).contains(&arrived), "{arrived} of 500 arrived");
    assert!(world.now - start < 8 * SECOND);
    assert_eq!(world.kith().transport.buffered_amount(&DataLabel::Lossy), 0);
}

#[test]
fn a_full_lossy_channel_refuses_and_then_takes_again() {
    let mut world = with_channels(DtlsRole::Server);
    world.latency = Duration::from_millis(100);
    let now = world.now;
    let kith = world.kith();
    let mut taken = 0;
    while kith
        .transport
        .send_data(now, &DataLabel::DataTrack, &[0; 1000], true)
        .is_ok()
    {
        taken += 1;
        assert!(taken < 1000);
    }
    assert_eq!(taken, Transport::MAX_BUFFERED_LOSSY / 1000);
    // What opened the channel may not be acknowledged yet.
    assert!(
        (taken * 1000..taken * 1000 + 50)
            .contains(&kith.transport.buffered_amount(&DataLabel::DataTrack))
    );
    let low = TransportEvent::BufferedLow {
        label: DataLabel::DataTrack,
    };
    world.run_until(20 * SECOND, "room", |world| world.kith().saw(&low));
    let now = world.now;
    assert_eq!(
        world
            .kith()
            .transport
            .send_data(now, &DataLabel::DataTrack, &[0; 1000], true),
        Ok(())
    );
}

#[test]
fn a_paused_reader_stops_the_sender_and_goes_on_where_it_stopped() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut world = with_channels(role);
        let id = world.str0m().channel("_reliable").unwrap();
        world
            .kith()
            .transport
            .pause_reading(&DataLabel::Reliable)
            .unwrap();
        let mut sent = 0;
        for _ in 0..200 {
            while sent < 400 && world.str0m().write(id, true, &message(sent, 10_000)) {
                sent += 1;
            }
            world.run(Duration::from_millis(50));
        }
        assert_eq!(world.kith().data(&DataLabel::Reliable).len(), 0);
        let mut buffered = 0;
        if let Some(mut channel) = world.str0m().rtc.channel(id) {
            buffered = channel.buffered_amount();
        }
        let held = sent * 10_000 - buffered;
        assert!(
            (100_000..300_000).contains(&held),
            "{held} bytes of {sent} messages are held on our side"
        );

        let now = world.now;
        world
            .kith()
            .transport
            .resume_reading(now, &DataLabel::Reliable);
        // The peer fills the window again at once; how fast it goes on from there is its congestion control's choice, which has seen
        // nothing but losses for a while.
        world.run(Duration::from_millis(100));
        assert!(world.kith().data(&DataLabel::Reliable).len() > held / 10_000);
        world.run_until(5 * SECOND, "the rest", |world| {
            while sent < 400 && world.str0m().write(id, true, &message(sent, 10_000)) {
                sent += 1;
            }
            world.kith().data(&DataLabel::Reliable).len() == 400
        });
        assert!(
            world
                .kith()
                .data(&DataLabel::Reliable)
                .iter()
                .enumerate()
                .all(|(number, data)| *data == message(number, 10_000))
        );
    }
}

#[test]
fn a_paused_channel_does_not_stop_the_others() {
    let mut world = with_channels(DtlsRole::Server);
    world
        .kith()
        .transport
        .pause_reading(&DataLabel::Reliable)
        .unwrap();
    let (reliable, lossy) = (
        world.str0m().channel("_reliable").unwrap(),
        world.str0m().channel("_lossy").unwrap(),
    );
    for number in 0..10 {
        world.str0m().write(reliable, true, &message(number, 1000));
        world.str0m().write(lossy, true, &message(number, 1000));
    }
    world.run(SECOND);
    assert_eq!(world.kith().data(&DataLabel::Lossy).len(), 10);
    assert_eq!(world.kith().data(&DataLabel::Reliable).len(), 0);
    let now = world.now;
    world
        .kith()
        .transport
        .resume_reading(now, &DataLabel::Reliable);
    world.settle();
    assert_eq!(world.kith().data(&DataLabel::Reliable).len(), 10);
}

#[test]
fn data_outlives_an_outage() {
    let mut world = with_channels(DtlsRole::Server);
    let now = world.now;
    world.cut = Box::new(|_| true);
    for number in 0..20 {
        world
            .kith()
            .transport
            .send_data(now, &DataLabel::Reliable, &message(number, 3000), true)
            .unwrap();
    }
    world.run(8 * SECOND);
    world.cut = Box::new(|_| false);
    let back = world.now;
    world.run_until(10 * SECOND, "arrival", |world| {
        world.str0m().data.len() == 20
    });
    assert!(world.now - back < 4 * SECOND, "{:?}", world.now - back);
}

#[test]
fn too_many_channels_are_refused_one_by_one() {
    let mut world = World::with_str0m(DtlsRole::Server, DtlsVersion::Auto, vec![]);
    for number in 0..Transport::MAX_DATA_CHANNELS + 10 {
        world.str0m().open(&format!("channel {number}"), true, None);
    }
    world.connect();
    world.run(5 * SECOND);
    let opened = world
        .kith()
        .events
        .iter()
        .filter(|event| matches!(event, TransportEvent::DataChannelOpen { .. }))
        .count();
    assert_eq!(opened, Transport::MAX_DATA_CHANNELS);
    assert_eq!(world.str0m().closed.len(), 10);
}
