//! Cross-origin rules: any page may use the server; its token decides what it may do.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Methods that a preflight is told are fine.
const METHODS: [&str; 6] = ["OPTIONS", "HEAD", "GET", "POST", "PATCH", "DELETE"];

/// How long a browser may remember a preflight's answer, seconds: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// The answer to a CORS preflight. None: the request is none.
pub(super) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let origin = headers.get(header::ORIGIN)?;
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    if method != Method::OPTIONS {
        return None;
    }
    let mut response = (StatusCode::NO_CONTENT, Body::empty()).into_response();
    let out = response.headers_mut();
    vary(out);
    if METHODS
        .iter()
        .any(|known| asked.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
    {
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
        if let Some(names) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        out.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    Some(response)
}

/// Lets the page at `origin` read an answer. Answers of the validate routes may be read by all, as LiveKit's.
pub(super) fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>, everybody: bool) {
    const ALL: HeaderValue = HeaderValue::from_static("*");
    vary(headers);
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ALL);
    }
    if everybody {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ALL);
    }
}

fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
