//! Access tokens: what is accepted, what is refused, and with which words.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use kith_proto::livekit::{TrackSource, participant_info};
use kith_server::auth::{AuthError, Claims, Keys, VideoGrants, bearer_token};
use serde_json::{Value, json};

const NOW: u64 = 1_790_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn keys() -> Keys {
    Keys::new(BTreeMap::from([
        ("devkey".to_owned(), "secret".to_owned()),
        ("other".to_owned(), "x".repeat(40)),
    ]))
}

fn sign(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    keys();
    encode(
        &Header::new(algorithm),
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

/// A good token's claims with some replaced; `null` removes.
fn claims(changes: Value) -> Value {
    let mut claims = json!({ "iss": "devkey", "sub": "alice", "nbf": NOW - 5, "exp": NOW + 100, "video": { "roomJoin": true, "room": "r" } });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(key);
        } else {
            claims[key] = value.clone();
        }
    }
    claims
}

fn verify(changes: Value) -> Result<Claims, AuthError> {
    keys().verify(&sign(&claims(changes), Algorithm::HS256, "secret"), now())
}

fn refusal(changes: Value) -> String {
    match verify(changes.clone()) {
        Ok(_) => panic!("accepted: {changes}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_token_with_a_short_secret_works() {
    let claims = verify(json!({})).unwrap();
    assert_eq!(
        (claims.api_key.as_str(), claims.identity.as_str()),
        ("devkey", "alice")
    );
    assert_eq!(claims.expires_at, now() + Duration::from_secs(100));
    let video = claims.video.unwrap();
    assert!(
        video.room_join && video.can_publish() && video.can_subscribe() && video.can_publish_data()
    );
    assert!(!video.can_update_own_metadata() && !video.can_subscribe_metrics());
}

#[test]
fn times_have_a_minute_of_leeway() {
    verify(json!({ "exp": NOW - 59 })).unwrap();
    verify(json!({ "nbf": NOW + 59 })).unwrap();
    assert_eq!(
        refusal(json!({ "exp": NOW - 61 })),
        "invalid authorization token: token has invalid claims: token is expired"
    );
    assert_eq!(
        refusal(json!({ "nbf": NOW + 61 })),
        "invalid authorization token: token has invalid claims: token is not valid yet"
    );
    let missing = refusal(json!({ "exp": null }));
    assert!(
        missing.starts_with("invalid authorization token: ")
            && missing.ends_with("exp claim is required"),
        "{missing}"
    );
}

#[test]
fn what_does_not_matter_does_not_matter() {
    for changes in [
        json!({ "nbf": null }),
        json!({ "exp": NOW as f64 + 10.5 }),
        json!({ "exp": (NOW + 10).to_string() }),
        json!({ "aud": "somebody" }),
        json!({ "aud": ["a", "b"] }),
        json!({ "iat": NOW + 10_000 }),
        json!({ "unknown": { "x": 1 } }),
        json!({ "exp": 1e300 }),
    ] {
        verify(changes.clone()).unwrap_or_else(|error| panic!("{changes}: {error}"));
    }
    assert_eq!(
        verify(json!({ "sub": null, "jti": "from-jti" }))
            .unwrap()
            .identity,
        "from-jti"
    );
    let mut header = Header::new(Algorithm::HS256);
    header.typ = None;
    let token = encode(
        &header,
        &claims(json!({})),
        &EncodingKey::from_secret(b"secret"),
    )
    .unwrap();
    keys().verify(&token, now()).unwrap();
}

#[test]
fn wrong_signatures_and_keys_are_told_apart() {
    let signature = "invalid authorization token: token signature is invalid: signature is invalid";
    let good = sign(&claims(json!({})), Algorithm::HS256, "secret");
    let wrong = sign(&claims(json!({})), Algorithm::HS256, "guess");
    assert_eq!(
        keys().verify(&wrong, now()).unwrap_err().to_string(),
        signature
    );
    let (message, _) = good.rsplit_once('.').unwrap();
    assert_eq!(
        keys()
            .verify(&format!("{message}."), now())
            .unwrap_err()
            .to_string(),
        signature
    );
    let (header, _) = good.split_once('.').unwrap();
    let forged = URL_SAFE_NO_PAD.encode(claims(json!({ "sub": "mallory" })).to_string());
    let (_, mac) = good.rsplit_once('.').unwrap();
    assert_eq!(
        keys()
            .verify(&format!("{header}.{forged}.{mac}"), now())
            .unwrap_err()
            .to_string(),
        signature
    );
    for issuer in [json!("nobody"), json!(""), json!(null)] {
        assert_eq!(refusal(json!({ "iss": issuer })), "invalid API key");
    }
}

#[test]
fn only_hs256_counts() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = sign(&claims(json!({})), algorithm, "secret");
        assert_eq!(keys().verify(&token, now()), Err(AuthError::Unreadable));
    }
    let good = sign(&claims(json!({})), Algorithm::HS256, "secret");
    let (_, rest) = good.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"RS256"}"#,
        "x",
    ] {
        let header = URL_SAFE_NO_PAD.encode(header);
        for token in [
            format!("{header}.{rest}"),
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
        ] {
            let error = keys().verify(&token, now()).unwrap_err();
            assert_eq!(error.to_string(), "invalid authorization token", "{token}");
        }
    }
    for token in [
        "",
        ".",
        "..",
        "a.b.c",
        "junk",
        &format!("{good}="),
        &format!("{good}.x"),
        &good.replace('.', ""),
    ] {
        let error = keys().verify(token, now()).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid authorization token"),
            "{token}: {error}"
        );
    }
}

#[test]
fn claims_of_a_wrong_type_are_malformed() {
    for changes in [
        json!({ "video": true }),
        json!({ "video": { "roomList": "true" } }),
        json!({ "video": { "roomJoin": 1 } }),
        json!({ "roomConfig": "big" }),
        json!({ "attributes": { "a": 1 } }),
        json!({ "exp": "tomorrow" }),
        json!({ "exp": [] }),
    ] {
        let refusal = refusal(changes.clone());
        assert!(
            refusal.starts_with("invalid authorization token: token is malformed"),
            "{changes}: {refusal}"
        );
    }
}

#[test]
fn null_is_as_good_as_absent() {
    let claims = verify(json!({ "video": { "roomJoin": true, "room": null, "canPublish": null, "canPublishSources": null } })).unwrap();
    assert!(claims.video.unwrap().can_publish());
}

#[test]
fn absent_grants_have_their_own_defaults() {
    let video = |grants: Value| verify(json!({ "video": grants })).unwrap().video.unwrap();
    assert!(!video(json!({ "canPublish": false })).can_publish_data());
    assert!(video(json!({ "canPublish": false, "canPublishData": true })).can_publish_data());
    assert!(!video(json!({ "room_list": true })).room_list);
    let sources = video(json!({ "canPublishSources": ["CAMERA", "Microphone"] }));
    assert!(
        sources.can_publish_source(TrackSource::Camera)
            && sources.can_publish_source(TrackSource::Microphone)
    );
    assert!(!sources.can_publish_source(TrackSource::ScreenShare));
    let typo = video(json!({ "canPublishSources": ["cam"] }));
    assert!(!typo.can_publish_source(TrackSource::Camera));
    let permission = sources.permission();
    assert!(permission.can_publish && permission.can_publish_sources.len() == 2);
    let mut changed = VideoGrants::default();
    changed.set_permission(&permission);
    assert_eq!(changed.permission(), permission);
}

#[test]
fn kinds_and_room_configuration_are_read() {
    assert_eq!(
        verify(json!({ "kind": "agent" })).unwrap().kind,
        participant_info::Kind::Agent
    );
    assert_eq!(
        verify(json!({ "kind": "robot" })).unwrap().kind,
        participant_info::Kind::Standard
    );
    let details = verify(json!({ "kindDetails": ["forwarded", "new"] }))
        .unwrap()
        .kind_details;
    assert_eq!(details, [participant_info::KindDetail::Forwarded]);
    let config = verify(json!({ "roomConfig": { "empty_timeout": 3, "maxParticipants": 2 } }))
        .unwrap()
        .room_config
        .unwrap();
    assert_eq!((config.empty_timeout, config.max_participants), (3, 2));
}

#[test]
fn minted_tokens_verify_and_say_the_same() {
    let mut claims = Claims::new(
        "bob",
        VideoGrants {
            room_join: true,
            room: "r".into(),
            can_publish: Some(false),
            ..Default::default()
        },
    );
    claims.api_key = "other".into();
    claims.name = "Bob".into();
    claims.kind = participant_info::Kind::Sip;
    claims.metadata = "{}".into();
    claims.attributes.insert("k".into(), "v".into());
    claims.room_config = Some(kith_proto::livekit::RoomConfiguration {
        empty_timeout: 9,
        ..Default::default()
    });
    let token = keys()
        .mint(&claims, Duration::from_secs(600), now())
        .unwrap();
    claims.expires_at = now() + Duration::from_secs(600);
    assert_eq!(keys().verify(&token, now()).unwrap(), claims);
    claims.api_key = "gone".into();
    let token = keys()
        .mint(&claims, Duration::from_secs(600), now())
        .unwrap();
    assert_eq!(keys().verify(&token, now()).unwrap().api_key, "devkey");
    assert!(
        Keys::new(BTreeMap::new())
            .mint(&claims, Duration::from_secs(1), now())
            .is_err()
    );
}

#[test]
fn the_header_must_be_bearer() {
    for header in ["bearer x", "x", "Basic x", "Bearer", ""] {
        let error = bearer_token(header).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid authorization header. Must start with Bearer ",
            "{header}"
        );
    }
    assert_eq!(bearer_token("Bearer a.b.c "), Ok("a.b.c"));
    let two_spaces = bearer_token("Bearer  a.b.c").unwrap();
    assert_eq!(keys().verify(two_spaces, now()), Err(AuthError::Unreadable));
}
