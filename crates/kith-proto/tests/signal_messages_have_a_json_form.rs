//! Clients may speak protobuf JSON in text frames.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kith_proto::{
    json,
    livekit::{
        JoinResponse, LeaveRequest, Ping, RoomConfiguration, SignalRequest, SignalResponse,
        TrickleRequest, signal_request, signal_response,
    },
};

#[test]
fn names_are_camel_case_and_64_bit_numbers_are_strings() {
    let request = SignalRequest {
        message: Some(signal_request::Message::PingReq(Ping {
            timestamp: 5,
            rtt: 0,
        })),
    };
    assert_eq!(
        json::to_string(&request).unwrap(),
        r#"{"pingReq":{"timestamp":"5"}}"#
    );
    let join = JoinResponse {
        subscriber_primary: true,
        ping_interval: 5,
        ..Default::default()
    };
    let response = SignalResponse {
        message: Some(signal_response::Message::Join(join)),
    };
    assert_eq!(
        json::to_string(&response).unwrap(),
        r#"{"join":{"subscriberPrimary":true,"pingInterval":5}}"#
    );
}

#[test]
fn reading_takes_what_other_writers_make() {
    let leave = signal_request::Message::Leave(LeaveRequest {
        reason: 1,
        ..Default::default()
    });
    for text in [
        r#"{"leave":{"reason":"CLIENT_INITIATED"}}"#,
        r#"{"leave":{"reason":1,"later":{"x":[1]}}}"#,
        r#" {"leave":{"reason":1,"canReconnect":null}} "#,
    ] {
        let request: SignalRequest = json::from_str(text).unwrap();
        assert_eq!(request.message.as_ref(), Some(&leave), "{text}");
    }
    let request: SignalRequest =
        json::from_str(r#"{"trickle":{"candidateInit":"{}","target":"SUBSCRIBER","final":true}}"#)
            .unwrap();
    let trickle = TrickleRequest {
        candidate_init: "{}".into(),
        target: 1,
        r#final: true,
    };
    assert_eq!(
        request.message,
        Some(signal_request::Message::Trickle(trickle))
    );
}

#[test]
fn a_room_configuration_of_a_token_may_be_snake_case() {
    let value = serde_json::json!({ "empty_timeout": 7, "departureTimeout": 8, "unknown": true });
    let config: RoomConfiguration = json::from_value(&value).unwrap();
    assert_eq!((config.empty_timeout, config.departure_timeout), (7, 8));
    assert_eq!(
        json::to_value(&config).unwrap(),
        serde_json::json!({ "emptyTimeout": 7, "departureTimeout": 8 })
    );
}

#[test]
fn what_is_no_json_is_an_error() {
    let nested = "{\"leave\":".repeat(500);
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{} {}",
        r#"{"leave":1}"#,
        r#"{"ping":"x"}"#,
        &nested,
    ] {
        assert!(json::from_str::<SignalRequest>(text).is_err(), "{text}");
    }
}
