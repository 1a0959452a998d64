//! The WebSocket: both encodings, compression, limits, pings, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod front;

use std::time::Duration;

use bytes::Bytes;
use front::{Server, UPGRADE, alice, start};
use futures_util::SinkExt;
use kith_proto::{
    Message, json,
    livekit::{
        JoinResponse, LeaveRequest, Ping, SessionDescription, SignalRequest, SignalResponse,
        TrickleRequest, signal_request, signal_response,
    },
};
use kith_server::signal::{Outbound, SharedResponse, SignalChannel};
use tokio::{net::TcpStream, time::timeout};
use yawc::{Frame, OpCode, Options, WebSocket, close::CloseCode};

type Client = WebSocket<TcpStream>;

async fn connect(server: &mut Server, options: Options) -> (Client, SignalChannel) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let url = format!(
        "ws://{}/rtc?access_token={}&auto_subscribe=1",
        server.address,
        alice()
    )
    .parse()
    .unwrap();
    let client = WebSocket::handshake(url, stream, options).await.unwrap();
    let (request, channel) = server.joins.recv().await.unwrap();
    assert_eq!(
        (request.identity.as_str(), request.room.as_str()),
        ("alice", "r")
    );
    (client, channel)
}

fn join() -> SignalResponse {
    let join = JoinResponse {
        ping_interval: 5,
        server_region: "x".repeat(2000),
        ..Default::default()
    };
    SignalResponse {
        message: Some(signal_response::Message::Join(join)),
    }
}

fn request(message: signal_request::Message) -> Vec<u8> {
    SignalRequest {
        message: Some(message),
    }
    .encode_to_vec()
}

async fn frame(client: &mut Client) -> Frame {
    timeout(Duration::from_secs(5), client.next_frame())
        .await
        .unwrap()
        .unwrap()
}

async fn response(client: &mut Client) -> SignalResponse {
    let frame = frame(client).await;
    assert_eq!(frame.opcode(), OpCode::Binary);
    SignalResponse::decode(frame.into_payload()).unwrap()
}

async fn next(channel: &mut SignalChannel) -> Option<SignalRequest> {
    timeout(Duration::from_secs(5), channel.requests.recv())
        .await
        .unwrap()
}

fn trickle() -> signal_request::Message {
    signal_request::Message::Trickle(TrickleRequest {
        candidate_init: "{}".into(),
        target: 1,
        r#final: true,
    })
}

#[tokio::test]
async fn messages_travel_both_ways_with_and_without_compression() {
    let mut server = start("").await;
    for options in [
        Options::default(),
        Options::default().with_balanced_compression(),
    ] {
        let (mut client, mut channel) = connect(&mut server, options).await;
        channel.responses.send(join().into()).await.unwrap();
        channel
            .responses
            .send(Outbound::Shared(SharedResponse::new(join())))
            .await
            .unwrap();
        assert_eq!(response(&mut client).await, join());
        assert_eq!(response(&mut client).await, join());
        let offer = SessionDescription {
            sdp: "a=mid:0\r\n".repeat(5000),
            ..Default::default()
        };
        let sent = SignalRequest {
            message: Some(signal_request::Message::Offer(offer)),
        };
        client
            .send(Frame::binary(sent.encode_to_vec()))
            .await
            .unwrap();
        assert_eq!(next(&mut channel).await.unwrap(), sent);
    }
}

#[tokio::test]
async fn browsers_get_compression_without_context() {
    let server = start("").await;
    let head = format!(
        "GET /rtc?access_token={} HTTP/1.1\r\n{UPGRADE}\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        alice()
    );
    let answer = server.ask(&head).await;
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    let extensions = answer.header("sec-websocket-extensions");
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
    assert!(
        extensions.contains("server_no_context_takeover")
            && extensions.contains("client_no_context_takeover")
    );
    let answer = server
        .ask(&format!(
            "GET /rtc?access_token={} HTTP/1.1\r\n{UPGRADE}",
            alice()
        ))
        .await;
    assert_eq!(
        (answer.status, answer.header("sec-websocket-extensions")),
        (101, "")
    );
}

#[tokio::test]
async fn answers_take_the_form_of_the_last_frame() {
    let mut server = start("").await;
    let (mut client, mut channel) = connect(&mut server, Options::default()).await;
    channel.responses.send(join().into()).await.unwrap();
    assert_eq!(frame(&mut client).await.opcode(), OpCode::Binary);
    client
        .send(Frame::text(
            r#"{"trickle":{"candidateInit":"{}","target":"SUBSCRIBER","final":true}}"#,
        ))
        .await
        .unwrap();
    assert_eq!(next(&mut channel).await.unwrap().message, Some(trickle()));
    channel.responses.send(join().into()).await.unwrap();
    let text = frame(&mut client).await;
    assert_eq!(text.opcode(), OpCode::Text);
    assert_eq!(
        json::from_str::<SignalResponse>(text.as_str()).unwrap(),
        join()
    );
    client
        .send(Frame::binary(request(trickle())))
        .await
        .unwrap();
    next(&mut channel).await.unwrap();
    channel.responses.send(join().into()).await.unwrap();
    assert_eq!(response(&mut client).await, join());
}

#[tokio::test]
async fn pings_are_answered_at_once_but_not_before_the_first_response() {
    let mut server = start("").await;
    let (mut client, mut channel) = connect(&mut server, Options::default()).await;
    let ping_req = signal_request::Message::PingReq(Ping {
        timestamp: 42,
        rtt: 7,
    });
    client
        .send(Frame::binary(request(signal_request::Message::Ping(1))))
        .await
        .unwrap();
    client
        .send(Frame::binary(request(ping_req.clone())))
        .await
        .unwrap();
    // The room sees the one with the round-trip time.
    assert_eq!(
        next(&mut channel).await.unwrap().message,
        Some(ping_req.clone())
    );
    channel.responses.send(join().into()).await.unwrap();
    assert_eq!(response(&mut client).await, join());
    client
        .send(Frame::binary(request(signal_request::Message::Ping(1))))
        .await
        .unwrap();
    client.send(Frame::binary(request(ping_req))).await.unwrap();
    let Some(signal_response::Message::Pong(now)) = response(&mut client).await.message else {
        panic!("no pong")
    };
    assert!(now > 1_700_000_000_000);
    let Some(signal_response::Message::PongResp(pong)) = response(&mut client).await.message else {
        panic!("no pong")
    };
    assert_eq!(pong.last_ping_timestamp, 42);
    // WebSocket pings too.
    client
        .send(Frame::ping(Bytes::from_static(b"x")))
        .await
        .unwrap();
    let pong = frame(&mut client).await;
    assert_eq!(
        (pong.opcode(), pong.payload().as_ref()),
        (OpCode::Pong, b"x".as_ref())
    );
}

#[tokio::test]
async fn requests_of_newer_clients_are_ignored() {
    let mut server = start("").await;
    let (mut client, mut channel) = connect(&mut server, Options::default()).await;
    client
        .send(Frame::binary(vec![0xa2, 0x38, 0x01, b'x']))
        .await
        .unwrap();
    client.send(Frame::binary(Vec::new())).await.unwrap();
    client
        .send(Frame::text(r#"{"later":{"x":1}}"#))
        .await
        .unwrap();
    client
        .send(Frame::binary(request(trickle())))
        .await
        .unwrap();
    assert_eq!(next(&mut channel).await.unwrap().message, Some(trickle()));
}

/// The server said that a message was too large, unless what it did not read cut it short (a reset).
async fn refuses_size(client: &mut Client) {
    loop {
        match timeout(Duration::from_secs(5), client.next_frame())
            .await
            .unwrap()
        {
            Ok(frame) if frame.opcode() == OpCode::Close => {
                assert_eq!(frame.close_code(), Some(CloseCode::Size));
                return;
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

async fn closes_with(client: &mut Client, code: CloseCode) {
    loop {
        let frame = frame(client).await;
        if frame.opcode() == OpCode::Close {
            assert_eq!(frame.close_code(), Some(code));
            return;
        }
    }
}

#[tokio::test]
async fn a_room_s_farewell_arrives_before_the_close() {
    let mut server = start("").await;
    for explicit in [true, false] {
        let (mut client, channel) = connect(&mut server, Options::default()).await;
        let SignalChannel {
            requests,
            responses,
        } = channel;
        drop(requests);
        responses.send(join().into()).await.unwrap();
        let leave = signal_response::Message::Leave(LeaveRequest {
            reason: 5,
            ..Default::default()
        });
        responses.send(leave.clone().into()).await.unwrap();
        if explicit {
            responses.send(Outbound::Close).await.unwrap();
        }
        drop(responses);
        assert_eq!(response(&mut client).await, join());
        assert_eq!(response(&mut client).await.message, Some(leave));
        closes_with(&mut client, CloseCode::Normal).await;
    }
}

#[tokio::test]
async fn the_room_learns_when_a_client_is_gone() {
    let mut server = start("").await;
    let (mut client, mut channel) = connect(&mut server, Options::default()).await;
    client
        .send(Frame::close(CloseCode::Normal, ""))
        .await
        .unwrap();
    assert_eq!(next(&mut channel).await, None);
    let (client, mut channel) = connect(&mut server, Options::default()).await;
    drop(client);
    assert_eq!(next(&mut channel).await, None);
}

#[tokio::test]
async fn what_is_no_request_closes_the_socket() {
    let mut server = start("").await;
    let many = format!(
        r#"{{"subscription":{{"trackSids":[{}"x"]}}}}"#,
        "\"x\",".repeat(30_000)
    );
    for bad in [
        Frame::binary(vec![0x0a, 0xff]),
        Frame::text("{"),
        Frame::text("[]"),
        Frame::text(many),
    ] {
        let (mut client, mut channel) = connect(&mut server, Options::default()).await;
        client.send(bad).await.unwrap();
        closes_with(&mut client, CloseCode::Invalid).await;
        assert_eq!(next(&mut channel).await, None);
    }
}

#[tokio::test]
async fn large_messages_are_refused_before_and_after_inflation() {
    let mut server = start("limit: {signal_message_size_limit: 10000}").await;
    let sized = |len: usize| {
        let sdp = "a".repeat(len);
        request(signal_request::Message::Offer(SessionDescription {
            sdp,
            ..Default::default()
        }))
    };
    let (mut client, mut channel) = connect(&mut server, Options::default()).await;
    let largest = sized(9992);
    assert_eq!(largest.len(), 10_000 - 2);
    client.send(Frame::binary(largest)).await.unwrap();
    assert!(next(&mut channel).await.is_some());
    client.send(Frame::binary(sized(10_000))).await.unwrap();
    refuses_size(&mut client).await;
    assert_eq!(next(&mut channel).await, None);

    // A hundred bytes that become a megabyte.
    let (mut client, mut channel) =
        connect(&mut server, Options::default().with_balanced_compression()).await;
    client.send(Frame::binary(sized(1_000_000))).await.unwrap();
    refuses_size(&mut client).await;
    assert_eq!(next(&mut channel).await, None);

    // In pieces, each small.
    let (client, mut channel) = connect(&mut server, Options::default()).await;
    let mut client = client.into_streaming();
    for piece in 0..20 {
        let frame = if piece == 0 {
            Frame::binary(vec![0; 1000])
        } else {
            Frame::continuation(vec![0; 1000])
        };
        if client.send(frame.with_fin(false)).await.is_err() {
            break;
        }
    }
    assert_eq!(next(&mut channel).await, None);
}

#[tokio::test]
async fn a_slow_room_holds_its_client_back() {
    let mut server = start("").await;
    let (mut client, mut channel) = connect(&mut server, Options::default()).await;
    let flood = tokio::spawn(async move {
        for _ in 0..1000 {
            client
                .send(Frame::binary(request(trickle())))
                .await
                .unwrap();
        }
        client
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(channel.requests.len() <= kith_server::signal::REQUEST_QUEUE);
    for _ in 0..1000 {
        assert!(next(&mut channel).await.is_some());
    }
    drop(flood.await.unwrap());
    assert_eq!(next(&mut channel).await, None);
}

#[tokio::test]
async fn stopping_says_goodbye_to_everybody() {
    let mut server = start("").await;
    let (mut client, channel) = connect(&mut server, Options::default()).await;
    let address = server.address;
    channel.responses.send(join().into()).await.unwrap();
    // A room answers its shutdown with a leave and a close; here the test does.
    channel.responses.send(Outbound::Close).await.unwrap();
    let stopping = tokio::spawn(server.stop());
    assert_eq!(response(&mut client).await, join());
    closes_with(&mut client, CloseCode::Normal).await;
    drop(client);
    stopping.await.unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is closed"
    );
}
