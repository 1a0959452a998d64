//! `join_request` and query parameters as SDKs write them, and the refusals in LiveKit's words.
//!
//! The fixtures were made with `@livekit/protocol`, the way each SDK's source makes them, around offers that were
//! captured from the SDKs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr},
};

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose as base64_forms};
use flate2::{Compression, write::GzEncoder};
use kith_proto::{
    Message,
    join_request::{JoinRequestError, MAX_JOIN_REQUEST, parse_join_request},
    livekit::{JoinRequest, ReconnectReason, WrappedJoinRequest, client_info},
};
use kith_server::{
    auth::{Claims, VideoGrants},
    config::LimitConfig,
    join::{JoinInput, session_request},
    signal::{Reconnect, SessionRequest},
};

fn claims() -> Claims {
    Claims::new(
        "alice",
        VideoGrants {
            room_join: true,
            room: "r".into(),
            can_update_own_metadata: Some(true),
            ..Default::default()
        },
    )
}

fn ask(v1: bool, query: &str, claims: &Claims) -> Result<SessionRequest, (u16, String)> {
    ask_with(v1, false, query, Some(claims), &HeaderMap::new())
}

fn ask_with(
    v1: bool,
    validate: bool,
    query: &str,
    claims: Option<&Claims>,
    headers: &HeaderMap,
) -> Result<SessionRequest, (u16, String)> {
    let input = JoinInput {
        v1,
        validate,
        query,
        claims,
        headers,
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    session_request(&input, &LimitConfig::default())
        .map_err(|refusal| (refusal.status, refusal.text.into_owned()))
}

fn wrap(join: &JoinRequest, compression: i32) -> Vec<u8> {
    let mut bytes = join.encode_to_vec();
    if compression == 1 {
        bytes = gzip(&bytes);
    }
    WrappedJoinRequest {
        compression,
        join_request: bytes.into(),
    }
    .encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn livekit_client_with_gzip_and_an_offer() {
    let query = include_str!("fixtures/join_request/livekit-client_2.23.0.query").trim();
    let request = ask(true, query, &claims()).unwrap();
    assert!(request.single_pc && request.auto_subscribe && request.adaptive_stream);
    assert_eq!((request.protocol, request.client_protocol), (17, 2));
    assert_eq!(request.client_info.sdk(), client_info::Sdk::Js);
    assert_eq!(
        request.capabilities,
        [i32::from(client_info::Capability::CapCompressionDeflateRaw)]
    );
    let offer = request.publisher_offer.unwrap();
    assert_eq!(offer.id, 1);
    assert!(offer.sdp.starts_with("v=0\r\n") && offer.sdp.len() > 10_000);
    // Absent in a join request is false, not the server's default.
    assert_eq!(request.subscriber_allow_pause, Some(false));
    assert_eq!(request.reconnect, None);
}

#[test]
fn livekit_client_resuming() {
    let query = include_str!("fixtures/join_request/livekit-client_2.23.0_resume.query").trim();
    let request = ask(true, query, &claims()).unwrap();
    let reconnect = Reconnect {
        participant_sid: "PA_abcdefghijkm".into(),
        reason: ReconnectReason::RrPublisherFailed,
    };
    assert_eq!(request.reconnect, Some(reconnect));
    assert_eq!(request.publisher_offer, None);
}

#[test]
fn livekit_client_without_compression_in_the_standard_alphabet() {
    let query = include_str!("fixtures/join_request/livekit-client_2.17.0.query").trim();
    // Also on the old path: a join request means a single peer connection.
    for v1 in [true, false] {
        let request = ask(v1, query, &claims()).unwrap();
        assert!(request.single_pc);
        assert_eq!(request.client_info.device_model, "~~~ÿÿÿ");
        assert_eq!(request.protocol, 16);
    }
}

#[test]
fn go_without_percent_encoding() {
    let query = include_str!("fixtures/join_request/go_2.18.2.query").trim();
    let request = ask(true, query, &claims()).unwrap();
    assert_eq!(request.metadata, r#"{"from":"go"}"#);
    assert_eq!(
        request.attributes,
        BTreeMap::from([("a".into(), "1".into()), ("b".into(), "zwei".into())])
    );
    assert_eq!(request.add_track_requests[0].cid, "c1");
    let mut powerless = claims();
    powerless.video.as_mut().unwrap().can_update_own_metadata = None;
    assert_eq!(
        ask(true, query, &powerless).unwrap_err(),
        (401, "no permissions to access the room".into())
    );
}

#[test]
fn python_with_a_protocol_of_the_future() {
    let query = include_str!("fixtures/join_request/python_1.2.1.query").trim();
    let request = ask(true, query, &claims()).unwrap();
    assert_eq!(request.protocol, 18);
    assert_eq!(request.publisher_offer.unwrap().id, 0);
}

#[test]
fn all_base64_forms_are_one() {
    // Bytes that give `+` and `/`, and lengths that need each padding.
    for filler in 0..6 {
        let join = JoinRequest {
            metadata: "\u{3ff}\u{3be}".repeat(filler) + &"~".repeat(filler),
            ..Default::default()
        };
        for compression in [0, 1] {
            let bytes = wrap(&join, compression);
            if bytes.is_empty() {
                continue;
            }
            let standard = base64_forms::STANDARD.encode(&bytes);
            for text in [
                standard.clone(),
                base64_forms::STANDARD_NO_PAD.encode(&bytes),
                base64_forms::URL_SAFE.encode(&bytes),
                base64_forms::URL_SAFE_NO_PAD.encode(&bytes),
                standard.replace('+', " "),
                standard
                    .replace('+', "%2B")
                    .replace('/', "%2F")
                    .replace('=', "%3D"),
            ] {
                assert_eq!(parse_join_request(&text).as_ref(), Ok(&join), "{text}");
            }
        }
    }
}

#[test]
fn broken_join_requests_are_told_apart() {
    let encode = |bytes: &[u8]| base64_forms::URL_SAFE.encode(bytes);
    let wrapped = |compression, bytes: &[u8]| {
        encode(
            &WrappedJoinRequest {
                compression,
                join_request: bytes.to_vec().into(),
            }
            .encode_to_vec(),
        )
    };
    let large = vec![0; MAX_JOIN_REQUEST + 1];
    let cut = gzip(&[0x1a, 1, b'x']);
    for (text, error) in [
        ("!".to_owned(), JoinRequestError::Base64),
        ("AAA=A".to_owned(), JoinRequestError::Base64),
        ("A".to_owned(), JoinRequestError::Base64),
        (encode(b"\xff\xff"), JoinRequestError::Wrapped),
        (wrapped(7, b"x"), JoinRequestError::Wrapped),
        (wrapped(0, b"\xff\xff"), JoinRequestError::Inner),
        (wrapped(1, &gzip(b"\xff\xff")), JoinRequestError::Inner),
        (wrapped(1, b"not gzip"), JoinRequestError::Gzip),
        (wrapped(1, &cut[..cut.len() - 5]), JoinRequestError::Gzip),
        (wrapped(0, &large), JoinRequestError::TooLarge),
        // A thousand times smaller packed than unpacked.
        (wrapped(1, &gzip(&large)), JoinRequestError::TooLarge),
        (
            wrapped(1, &gzip(&vec![0; 100 * MAX_JOIN_REQUEST])),
            JoinRequestError::TooLarge,
        ),
    ] {
        assert_eq!(parse_join_request(&text), Err(error));
    }
    for query in ["", "join_request=", "access_token=x"] {
        assert_eq!(
            ask(true, query, &claims()).unwrap_err(),
            (400, "join_request is required".into())
        );
    }
    assert_eq!(
        ask(false, "join_request=!", &claims()).unwrap_err().1,
        "cannot base64 decode wrapped join request"
    );
}

#[test]
fn query_parameters_of_the_old_path() {
    let query = "sdk=js&version=2.16.1&protocol=16&&auto_subscribe=0&adaptive_stream=1&reconnect=1&sid=PA_x&reconnect_reason=2\
                 &os=macOS&capabilities=CAP_PACKET_TRAILER,BOGUS,CAP_COMPRESSION_DEFLATE_RAW&client_protocol=2\
                 &disable_ice_lite=true&subscriber_allow_pause=0&protocol=99";
    let request = ask(false, query, &claims()).unwrap();
    assert!(
        !request.single_pc
            && !request.auto_subscribe
            && request.adaptive_stream
            && request.disable_ice_lite
    );
    assert_eq!((request.protocol, request.client_protocol), (16, 2));
    assert_eq!(request.capabilities, [1, 2]);
    assert_eq!(request.subscriber_allow_pause, Some(false));
    assert_eq!(request.reconnect.unwrap().participant_sid, "PA_x");
    assert_eq!(request.client_info.address, "127.0.0.1");

    let bare = ask(false, "", &claims()).unwrap();
    assert!(bare.auto_subscribe && !bare.adaptive_stream && bare.reconnect.is_none());
    assert_eq!(bare.subscriber_allow_pause, None);
    // Only `1` and `true` are true.
    assert!(
        !ask(false, "auto_subscribe=TRUE", &claims())
            .unwrap()
            .auto_subscribe
    );
    assert!(
        ask(false, "reconnect=yes", &claims())
            .unwrap()
            .reconnect
            .is_none()
    );
}

#[test]
fn attributes_in_the_query() {
    let attributes = base64_forms::URL_SAFE.encode(r#"{"role":"host>?"}"#);
    let request = ask(false, &format!("attributes={attributes}"), &claims()).unwrap();
    assert_eq!(request.attributes["role"], "host>?");
    // Ignored by the handshake, refused by validate.
    assert!(
        ask(false, "attributes=@@", &claims())
            .unwrap()
            .attributes
            .is_empty()
    );
    let refused = ask_with(
        false,
        true,
        "attributes=@@",
        Some(&claims()),
        &HeaderMap::new(),
    );
    assert_eq!(
        refused.unwrap_err(),
        (400, "cannot decode attributes".into())
    );
    let mut powerless = claims();
    powerless.video.as_mut().unwrap().can_update_own_metadata = None;
    let refused = ask(false, &format!("attributes={attributes}"), &powerless);
    assert_eq!(
        refused.unwrap_err(),
        (401, "no permissions to access the room".into())
    );
}

#[test]
fn a_publish_only_session_is_a_second_self() {
    let request = ask(false, "publish=screen", &claims()).unwrap();
    assert_eq!(request.identity, "alice#screen");
    assert!(!request.grants.can_subscribe());
    let mut mute = claims();
    mute.video.as_mut().unwrap().can_publish = Some(false);
    assert_eq!(
        ask(false, "publish=screen", &mute).unwrap_err(),
        (401, "no permissions to access the room".into())
    );
}

#[test]
fn refusals_come_in_livekit_s_order_and_words() {
    let none = ask_with(false, false, "", None, &HeaderMap::new());
    assert_eq!(
        none.unwrap_err(),
        (401, "no permissions to access the room".into())
    );
    let refusal = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        ask(false, "", &claims).unwrap_err()
    };
    assert_eq!(
        refusal(|claims| claims.video = None),
        (401, "no permissions to access the room".into())
    );
    assert_eq!(
        refusal(|claims| claims.video = Some(VideoGrants {
            room_admin: true,
            ..Default::default()
        })),
        (401, "permissions denied".into())
    );
    assert_eq!(
        refusal(|claims| claims.identity.clear()),
        (400, "identity cannot be empty".into())
    );
    assert_eq!(
        refusal(|claims| claims.identity = "é".repeat(129)),
        (
            400,
            "participant identity length exceeds limits: max length 256".into()
        )
    );
    assert_eq!(
        refusal(|claims| claims.video.as_mut().unwrap().room.clear()),
        (400, "no room name".into())
    );
    assert_eq!(
        refusal(|claims| claims.video.as_mut().unwrap().room = "r".repeat(257)),
        (
            400,
            "room name length exceeds limits: max length 256".into()
        )
    );
    assert_eq!(
        refusal(|claims| claims.metadata = "m".repeat(524_289)),
        (400, "metadata size exceeds limits".into())
    );
    assert_eq!(
        refusal(|claims| _ = claims.attributes.insert("k".into(), "v".repeat(65_536))),
        (400, "attribute size exceeds limits".into())
    );
    // The join request is looked at before identity and room.
    let mut nobody = claims();
    nobody.identity.clear();
    assert_eq!(
        ask(true, "", &nobody).unwrap_err(),
        (400, "join_request is required".into())
    );
}

#[test]
fn proxies_and_browsers_say_who_the_client_is() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-forwarded-for",
        HeaderValue::from_static("198.51.100.7, 10.0.0.1"),
    );
    headers.insert("x-real-ip", HeaderValue::from_static("10.0.0.2"));
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
    headers.insert("user-agent", HeaderValue::from_static(agent));
    let request = ask_with(false, false, "sdk=js", Some(&claims()), &headers).unwrap();
    assert_eq!(request.client_ip.to_string(), "198.51.100.7");
    assert_eq!(request.client_info.browser, "Chrome");
    assert_eq!(request.client_info.browser_version, "156.0.0.0");
    assert_eq!(request.client_info.os, "Linux");
    let request = ask_with(false, false, "sdk=go", Some(&claims()), &headers).unwrap();
    assert_eq!(request.client_info.browser, "");
    headers.insert("cf-connecting-ip", HeaderValue::from_static("junk"));
    headers.insert(
        "x-forwarded-for",
        HeaderValue::from_static("::ffff:192.0.2.9"),
    );
    let request = ask_with(false, false, "", Some(&claims()), &headers).unwrap();
    assert_eq!(request.client_ip.to_string(), "192.0.2.9");
}
