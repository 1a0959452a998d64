//! Who is refused in the middle of sending reads why, instead of finding the connection reset.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod front;

use std::time::Duration;

use front::{UPGRADE, alice, start};
use kith_server::signal::SignalChannel;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Sends all of `bytes` though nobody reads them, then reads to the end.
async fn send_and_read(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let _ = timeout(Duration::from_secs(5), stream.write_all(bytes)).await;
    // Long enough for a reset to throw away what was not read yet.
    sleep(Duration::from_millis(300)).await;
    let mut read = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut read))
        .await
        .unwrap()
        .unwrap();
    read
}

/// Opens a signalling socket; gives it with its session.
async fn join(server: &mut front::Server) -> (TcpStream, SignalChannel) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "GET /rtc?access_token={} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n\r\n",
        alice()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (_, channel) = server.joins.recv().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    (stream, channel)
}

/// A frame that is masked with zeros.
fn frame(first: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![first, 0xFF];
    frame.extend_from_slice(&(len as u64).to_be_bytes());
    frame.resize(14 + len, 0);
    frame
}

/// Whether these frames begin with a close frame of this code.
fn closes_with(read: &[u8], code: u16) -> bool {
    read.first() == Some(&0x88) && read.get(2..4) == Some(&code.to_be_bytes())
}

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_message_that_is_too_large_is_answered_with_1009() {
    let mut server = start("").await;
    for bytes in [
        frame(0x82, 8 * MIB),
        [frame(0x02, MIB), frame(0x00, MIB), frame(0x00, MIB)].concat(),
    ] {
        let (mut stream, _channel) = join(&mut server).await;
        let read = send_and_read(&mut stream, &bytes).await;
        assert!(closes_with(&read, 1009), "{read:?}");
    }
}

#[tokio::test]
async fn a_client_s_close_is_answered() {
    let mut server = start("").await;
    let (mut stream, _channel) = join(&mut server).await;
    let read = send_and_read(&mut stream, &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]).await;
    assert!(closes_with(&read, 1000), "{read:?}");
}

#[tokio::test]
async fn pings_of_a_client_that_does_not_read_are_not_read_without_end() {
    let mut server = start("").await;
    let (mut stream, _channel) = join(&mut server).await;
    let pings = [&[0x89, 0xFD, 0, 0, 0, 0][..], &[7; 125]]
        .concat()
        .repeat(1000);
    let mut sent = 0;
    // Until no more fits between us: what the system holds in both directions.
    while sent < 512 * MIB {
        match timeout(Duration::from_millis(500), stream.write_all(&pings)).await {
            Ok(written) => {
                written.unwrap();
                sent += pings.len();
            }
            Err(_) => break,
        }
    }
    assert!(
        sent < 512 * MIB,
        "the server has taken {sent} bytes of pings"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_with_413() {
    let server = start("").await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let len = 11 * 1024 * 1024;
    let mut request =
        format!("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    request.resize(request.len() + len, b'x');
    let read = send_and_read(&mut stream, &request).await;
    assert!(read.starts_with(b"HTTP/1.1 413"), "{}", read.len());
}
