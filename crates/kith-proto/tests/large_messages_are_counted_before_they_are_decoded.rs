//! Few bytes must not become much memory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use kith_proto::{
    Message,
    bounds::{MAX_ELEMENTS, check_elements},
    livekit::{
        AddTrackRequest, SessionDescription, SignalRequest, SimulcastCodec, UpdateSubscription,
        VideoLayer, signal_request::Message as Request,
    },
};

fn check(message: Request) -> bool {
    let bytes = SignalRequest {
        message: Some(message),
    }
    .encode_to_vec();
    check_elements::<SignalRequest>(&bytes, MAX_ELEMENTS).is_ok()
}

#[test]
fn honest_requests_pass() {
    assert!(check(Request::Offer(SessionDescription {
        sdp: "a=x\r\n".repeat(100_000),
        ..Default::default()
    })));
    let track_sids = (0..10_000)
        .map(|number| format!("TR_VC{number:010}"))
        .collect();
    assert!(check(Request::Subscription(UpdateSubscription {
        track_sids,
        ..Default::default()
    })));
}

#[test]
fn requests_that_grow_in_memory_do_not() {
    let layers = vec![VideoLayer::default(); 300_000];
    assert!(!check(Request::AddTrack(AddTrackRequest {
        layers: layers.clone(),
        ..Default::default()
    })));
    let simulcast_codecs = vec![SimulcastCodec {
        layers,
        ..Default::default()
    }];
    assert!(!check(Request::AddTrack(AddTrackRequest {
        simulcast_codecs,
        ..Default::default()
    })));
    let audio_features = vec![1; 300_000];
    assert!(!check(Request::AddTrack(AddTrackRequest {
        audio_features,
        ..Default::default()
    })));
    // Nested too deep to be one of ours, and cut off.
    let mut bytes = vec![0x2a; 8192];
    assert!(check_elements::<SignalRequest>(&bytes, MAX_ELEMENTS).is_err());
    bytes = SignalRequest {
        message: Some(Request::Offer(SessionDescription {
            sdp: "x".repeat(9000),
            ..Default::default()
        })),
    }
    .encode_to_vec();
    assert!(check_elements::<SignalRequest>(&bytes[..9000], MAX_ELEMENTS).is_err());
}
