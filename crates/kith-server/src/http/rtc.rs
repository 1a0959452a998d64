//! `/rtc` and `/rtc/v1`: a session begins before the socket is upgraded, so that a refusal is an HTTP status.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use yawc::IncomingUpgrade;

use super::{Caller, Front, socket, text};
use crate::{
    join::{JoinInput, Refusal, session_request},
    signal::{JoinError, SessionRequest, SignalChannel},
};

/// How long a room may take to accept a session. Clients give up after five seconds.
const JOIN_TIMEOUT: Duration = Duration::from_secs(8);

pub(super) async fn connect_v0(
    Extension(front): Extension<Arc<Front>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    connect(front, &caller, request, false).await
}

pub(super) async fn connect_v1(
    Extension(front): Extension<Arc<Front>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    connect(front, &caller, request, true).await
}

pub(super) async fn validate_v0(
    Extension(front): Extension<Arc<Front>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    validate(&front, &caller, request, false).await
}

pub(super) async fn validate_v1(
    Extension(front): Extension<Arc<Front>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    validate(&front, &caller, request, true).await
}

async fn connect(front: Arc<Front>, caller: &Caller, request: Request, v1: bool) -> Response {
    let (mut parts, _body) = request.into_parts();
    if !asks_for_websocket(&parts.headers) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let session = match read(&front, caller, &parts, v1, false) {
        Ok(session) => session,
        Err(refusal) => return refused(&refusal),
    };
    let upgrade = match IncomingUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(status) => return text(status, "this is no WebSocket handshake of version 13"),
    };
    let (room, identity) = (session.room.clone(), session.identity.clone());
    let (channel, socket_channel) = SignalChannel::pair();
    let joined = tokio::time::timeout(JOIN_TIMEOUT, front.rooms.join(session, channel)).await;
    match joined {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::info!(room, identity, %error, "session refused");
            return join_refused(&error);
        }
        Err(_) => {
            tracing::warn!(room, identity, "the room did not answer a join in time");
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the room did not answer in time",
            );
        }
    }
    // From here on, dropping `socket_channel` tells the room that the client is gone.
    match upgrade.upgrade(front.socket_options.clone()) {
        Ok((response, upgraded)) => {
            let open = socket::OpenSocket::new(Arc::clone(&front.sockets));
            tokio::spawn(async move {
                let _open = open;
                match tokio::time::timeout(JOIN_TIMEOUT, upgraded).await {
                    Ok(Ok(websocket)) => {
                        let end = socket::run(websocket, socket_channel).await;
                        tracing::debug!(room, identity, %end, "signalling socket closed");
                    }
                    Ok(Err(error)) => tracing::debug!(room, identity, %error, "upgrade failed"),
                    Err(_) => tracing::debug!(room, identity, "upgrade took too long"),
                }
            });
            response.map(|_empty| Body::empty())
        }
        Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

async fn validate(front: &Front, caller: &Caller, request: Request, v1: bool) -> Response {
    let (parts, _body) = request.into_parts();
    let session = match read(front, caller, &parts, v1, true) {
        Ok(session) => session,
        Err(refusal) => return refused(&refusal),
    };
    match front.rooms.check(&session).await {
        Ok(()) => text(StatusCode::OK, "success"),
        Err(error) => join_refused(&error),
    }
}

fn read(
    front: &Front,
    caller: &Caller,
    parts: &Parts,
    v1: bool,
    validate: bool,
) -> Result<SessionRequest, Refusal> {
    let input = JoinInput {
        v1,
        validate,
        query: parts.uri.query().unwrap_or_default(),
        claims: caller.claims.as_deref(),
        headers: &parts.headers,
        remote: caller.address,
    };
    session_request(&input, &front.config.limit)
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|token| token.trim().eq_ignore_ascii_case(wanted))
            })
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    text(status, refusal.text.clone())
}

fn join_refused(error: &JoinError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, error.to_string())
}
