//! The limit on request bodies.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};

/// The refusal of a body that says that it is larger than `limit` (0: no limit). Bodies that do not say how large they
/// are get cut off where they are read.
pub(super) fn refuse_large(headers: &HeaderMap, limit: u64) -> Option<Response> {
    let length: u64 = headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    (limit != 0 && length > limit)
        .then(|| super::text(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"))
}
