//! What is not a connectivity check for a ufrag that we gave out is dropped; connections that show none are closed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use common::{Client, OPUS, Over, connect, plane, run, run_for, stats};
use kith_net::{Command, Protocol, ShardId, UdpPorts};
use kith_rtp::MediaKind;

/// A binding request with this username and nothing else.
fn binding_request(username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let mut request = vec![0, 1, 0, (4 + padded) as u8, 0x21, 0x12, 0xA4, 0x42];
    request.extend_from_slice(&[7; 12]);
    request.extend_from_slice(&[0, 6, 0, username.len() as u8]);
    request.extend_from_slice(username.as_bytes());
    request.resize(20 + 4 + padded, 0);
    request
}

#[test]
fn datagrams_of_strangers_are_dropped() {
    let plane = plane(2, UdpPorts::Single(0));
    let client = Client::new(&plane, ShardId(0), Over::Udp);
    let server = plane
        .candidates(ShardId(0))
        .iter()
        .find(|candidate| candidate.proto == Protocol::Udp && candidate.base.is_ipv4())
        .unwrap()
        .advertised;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let junk: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0x80; 200],
        vec![0x16, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
        vec![0x40; 64],
        vec![0xFF; 1500],
        binding_request("nobody:me"),
        binding_request(&"x".repeat(200)),
        // The right ufrag, no message integrity.
        binding_request(&format!("{}:me", client.rtc_remote_ufrag())),
    ];
    for bytes in &junk {
        socket.send_to(bytes, server).unwrap();
    }
    assert_eq!(
        socket.recv(&mut [0; 2000]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let stats = stats(&plane);
    let rejected: u64 = stats.iter().map(|shard| shard.rejected).sum();
    // The empty datagram counts for nothing.
    assert_eq!(rejected, junk.len() as u64 - 1, "{stats:?}");
    plane.shutdown();
}

#[test]
fn connections_of_strangers_are_closed() {
    let plane = plane(2, UdpPorts::Single(0));
    let server = plane
        .candidates(ShardId(0))
        .iter()
        .find(|candidate| candidate.proto == Protocol::Tcp)
        .unwrap()
        .advertised;
    let framed = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    for first in [
        framed(b"GET / HTTP/1.1\r\n\r\n"),
        framed(&binding_request("nobody:me")),
        // Longer than any frame.
        [&[0xFF, 0xFF], &[0; 5000][..]].concat(),
        framed(&[]),
    ] {
        let mut stream = TcpStream::connect(server).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream.write_all(&first).unwrap();
        let closed = match stream.read(&mut [0; 100]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        assert!(closed);
    }
    let _silent = TcpStream::connect(server).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let open: u64 = stats(&plane).iter().map(|shard| shard.connections).sum();
    assert_eq!(open, 1, "a silent one has some seconds");
    plane.shutdown();
}

#[test]
fn datagrams_and_connections_at_the_wrong_shard_are_handed_over() {
    let plane = plane(2, UdpPorts::Single(0));
    let mut publisher = Client::new(&plane, ShardId(0), Over::Udp);
    let (audio, _) = publisher.publish(1000, 2000);
    // With so many, some arrive at the wrong shard.
    let mut clients: Vec<Client> = (0..12)
        .map(|i| {
            Client::new(
                &plane,
                ShardId(i % 2),
                if i < 6 { Over::Udp } else { Over::Tcp },
            )
        })
        .collect();
    for client in &mut clients {
        client.subscribe(audio, MediaKind::Audio, 3000);
    }
    let mut all: Vec<&mut Client> = std::iter::once(&mut publisher)
        .chain(&mut clients)
        .collect();
    connect(&mut all);
    for frame in 0..50 {
        all[0].write(1000, OPUS, 100 + frame, frame as u32 * 960, false, &[9; 80]);
        run_for(&mut all, Duration::from_millis(5));
    }
    run(&mut all, "everybody hears everything", |all| {
        all[1..]
            .iter()
            .all(|client| client.received(3000).len() == 50)
    });
    let stats = stats(&plane);
    assert!(
        stats.iter().map(|shard| shard.handed_over).sum::<u64>() > 0,
        "{stats:?}"
    );
    assert_eq!(stats.iter().map(|shard| shard.connections).sum::<u64>(), 6);
    // Whoever leaves takes his connections along.
    for client in &mut clients {
        plane
            .send(Command::CloseTransport {
                transport: client.transport,
            })
            .unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    let stats = common::stats(&plane);
    assert_eq!(
        stats
            .iter()
            .map(|shard| (shard.connections, shard.transports))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        (0, 1)
    );
    plane.shutdown();
}
