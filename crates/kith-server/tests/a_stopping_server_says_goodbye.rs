//! The whole server, with its media plane: one joins, the server stops, the client is told.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    time::{Duration, SystemTime},
};

use kith_proto::{
    Message,
    livekit::{
        DisconnectReason, LeaveRequest, SignalResponse, leave_request::Action, signal_response,
    },
};
use kith_server::{
    auth::{Claims, Keys, VideoGrants},
    config::Config,
    server::Server,
};
use tokio::{net::TcpStream, sync::oneshot, time::timeout};
use yawc::{OpCode, Options, WebSocket, close::CloseCode};

#[tokio::test]
async fn everybody_gets_a_leave_and_a_close() {
    let udp = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = format!(
        "port: 0\nbind_addresses: [127.0.0.1]\nrtc: {{udp_port: {udp}, tcp_port: 0, node_ip: 127.0.0.1, enable_loopback_candidate: true}}"
    );
    let keys = Keys::new(BTreeMap::from([("devkey".to_owned(), "secret".to_owned())]));
    let server = Server::start(Config::parse(&text).unwrap().config, keys.clone())
        .await
        .unwrap();
    let address = server.addresses()[0];
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async move { _ = stopped.await }));

    let grants = VideoGrants {
        room_join: true,
        room: "r".into(),
        ..Default::default()
    };
    let token = keys
        .mint(
            &Claims::new("alice", grants),
            Duration::from_secs(60),
            SystemTime::now(),
        )
        .unwrap();
    let url = format!("ws://{address}/rtc?access_token={token}&protocol=17&sdk=js")
        .parse()
        .unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = WebSocket::handshake(url, stream, Options::default())
        .await
        .unwrap();
    let mut joined = false;
    let mut left = None;
    let mut stop = Some(stop);
    loop {
        let frame = timeout(Duration::from_secs(10), client.next_frame())
            .await
            .unwrap()
            .unwrap();
        if frame.opcode() == OpCode::Close {
            assert_eq!(frame.close_code(), Some(CloseCode::Normal));
            break;
        }
        match SignalResponse::decode(frame.into_payload())
            .unwrap()
            .message
            .unwrap()
        {
            signal_response::Message::Join(join) => {
                assert!(!joined);
                assert!(join.participant.unwrap().sid.starts_with("PA_"));
                assert!(join.room.unwrap().sid.starts_with("RM_"));
                assert!(join.ping_interval > 0 && join.ping_timeout > 0);
                joined = true;
                stop.take().unwrap().send(()).unwrap();
            }
            signal_response::Message::Leave(leave) => left = Some(leave),
            _ => assert!(joined, "the join comes first"),
        }
    }
    drop(client);
    let LeaveRequest { reason, action, .. } = left.unwrap();
    assert_eq!(
        (reason, action),
        (
            DisconnectReason::ServerShutdown.into(),
            Action::Disconnect.into()
        )
    );
    timeout(Duration::from_secs(10), running)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
