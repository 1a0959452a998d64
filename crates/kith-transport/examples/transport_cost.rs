//! What a packet and a connection cost on this machine: `cargo run --release -p kith-transport --example transport_cost`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement, not part of the server"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use kith_transport::srtp::{MAX_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender};
use kith_transport::{
    Datagram, DtlsRole, IceCredentials, Input, Protocol, RemoteDescription, Transport,
    TransportConfig, TransportContext, TransportEvent,
};

const ROUNDS: u32 = 200_000;

fn rtp(seq: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x5a; len + MAX_OVERHEAD];
    let header = [
        0x90,
        96,
        (seq >> 8) as u8,
        seq as u8,
        0,
        0,
        0,
        1,
        1,
        2,
        3,
        4,
        0xbe,
        0xde,
        0,
        1,
        0x10,
        1,
        0,
        0,
    ];
    packet.splice(..header.len(), header);
    packet
}

/// Nanoseconds per round, the best of five.
fn measure(mut round: impl FnMut(u32)) -> f64 {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(&mut round);
            start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
        })
        .fold(f64::MAX, f64::min)
}

fn srtp() {
    println!(
        "{:>22} {:>6} {:>8} {:>8}",
        "profile", "bytes", "seal ns", "open ns"
    );
    for profile in [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmHmacSha1_80,
    ] {
        let (key, salt) = (vec![7; profile.key_len()], vec![9; profile.salt_len()]);
        let sender = SrtpSender::new(profile, &key, &salt).unwrap();
        for len in [100, 1200] {
            let mut buf = rtp(0, len);
            let seal = measure(|n| {
                buf.get_mut(2..4)
                    .unwrap()
                    .copy_from_slice(&(n as u16).to_be_bytes());
                black_box(sender.seal_rtp(n >> 16, &mut buf, len).unwrap());
            });

            let mut receiver = SrtpReceiver::new(profile, &key, &salt).unwrap();
            let now = Instant::now();
            let mut index = 0u32;
            let open = (0..5)
                .map(|_| {
                    let mut packets: Vec<Vec<u8>> = (0..20_000)
                        .map(|_| {
                            index += 1;
                            let mut packet = rtp(index as u16, len);
                            let protected = sender.seal_rtp(index >> 16, &mut packet, len).unwrap();
                            packet.truncate(protected);
                            packet
                        })
                        .collect();
                    let start = Instant::now();
                    for packet in &mut packets {
                        black_box(receiver.open_rtp(now, packet).unwrap());
                    }
                    start.elapsed().as_nanos() as f64 / packets.len() as f64
                })
                .fold(f64::MAX, f64::min);
            println!(
                "{:>22} {len:>6} {seal:>8.0} {open:>8.0}",
                format!("{profile:?}")
            );
        }
    }
}

/// A lite and a full end, introduced to each other.
fn pair(now: Instant, contexts: &[TransportContext; 2]) -> [Transport; 2] {
    let addresses = ["10.0.0.1:7882", "10.0.0.2:5000"].map(|address| address.parse().unwrap());
    let mut ends = [0, 1].map(|at| {
        let config = TransportConfig {
            local_ice: IceCredentials::from_entropy([at; 32]),
            ice_lite: at == 0,
            controlling: at == 1,
            entropy: [at; 32],
            data_channels: vec![],
            max_message_size: Transport::MAX_MESSAGE_SIZE,
        };
        Transport::new(now, contexts.get(usize::from(at)).unwrap(), config)
    });
    let [server, client] = &mut ends;
    let describe = |end: &Transport, context: &TransportContext, dtls_role| RemoteDescription {
        ice: end.local_ice_credentials().clone(),
        fingerprint: context.fingerprint(),
        dtls_role,
        max_message_size: 0,
    };
    let [for_client, for_server] = [
        describe(server, &contexts[0], DtlsRole::Server),
        describe(client, &contexts[1], DtlsRole::Client),
    ];
    server
        .add_local_candidate(Protocol::Udp, addresses[0])
        .unwrap();
    client
        .add_local_candidate(Protocol::Udp, addresses[1])
        .unwrap();
    client
        .add_remote_candidate("candidate:1 1 udp 2130706431 10.0.0.1 7882 typ host")
        .unwrap();
    server.set_remote(now, for_server).unwrap();
    client.set_remote(now, for_client).unwrap();
    ends
}

/// Lets both ends talk until both are connected. Returns the time that this is.
fn connect(mut now: Instant, ends: &mut [Transport; 2]) -> Instant {
    let mut connected = 0;
    while connected < 2 {
        for _ in 0..2 {
            let [from, to] = &mut *ends;
            from.handle_timeout(now);
            while let Some(event) = from.poll_event() {
                connected += usize::from(event == TransportEvent::Connected);
            }
            while let Some(mut sent) = from.poll_transmit() {
                let datagram = Datagram {
                    proto: sent.proto,
                    source: sent.source,
                    destination: sent.destination,
                    data: &mut sent.data,
                };
                to.handle_input(now, datagram).unwrap();
            }
            ends.reverse();
        }
        now += Duration::from_millis(1);
    }
    now
}

fn transport() {
    let contexts = [(); 2].map(|()| TransportContext::generate().unwrap());
    let start = Instant::now();
    let made: Vec<_> = (0..1000).map(|_| pair(start, &contexts)).collect();
    println!(
        "making and introducing a transport: {:.1} us",
        start.elapsed().as_secs_f64() * 1e6 / 2000.0
    );
    let real = Instant::now();
    let mut connected: Vec<_> = made
        .into_iter()
        .take(100)
        .map(|mut ends| (connect(start, &mut ends), ends))
        .collect();
    println!(
        "connecting it (ICE, DTLS, our end and the other): {:.0} us",
        real.elapsed().as_secs_f64() * 1e6 / 100.0
    );

    let (now, [server, client]) = connected.first_mut().unwrap();
    let path = server.selected_path().unwrap();
    for len in [100, 1200] {
        let mut best = f64::MAX;
        for round in 0..5u16 {
            let mut packets: Vec<Vec<u8>> = (0..10_000u16)
                .map(|n| {
                    let mut packet = rtp(round * 10_000 + n, len);
                    packet
                        .get_mut(8..12)
                        .unwrap()
                        .copy_from_slice(&(len as u32).to_be_bytes());
                    let len = client.seal_rtp(0, &mut packet, len).unwrap();
                    packet.truncate(len);
                    packet
                })
                .collect();
            let real = Instant::now();
            for data in &mut packets {
                let datagram = Datagram {
                    proto: path.proto,
                    source: path.remote,
                    destination: path.local,
                    data,
                };
                assert!(matches!(
                    black_box(server.handle_input(*now, datagram)),
                    Ok(Input::Rtp(_))
                ));
            }
            best = best.min(real.elapsed().as_nanos() as f64 / packets.len() as f64);
        }
        println!("handing it an RTP packet of {len} bytes: {best:.0} ns");
    }
}

fn main() {
    srtp();
    transport();
}
