//! The built-in page: a small meeting room for trying the server.
//!
//! `GET /` is the health check of load balancers and SDKs; only a browser, which accepts HTML, gets the page. The page's
//! files are embedded. `livekit-client` is fetched by the build where npm is there; without it the page says so.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{Front, not_found, reads, text};
use crate::{
    auth::{Claims, VideoGrants},
    join::Query,
};

/// How long tokens of the development page live.
const DEV_TOKEN_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// Name, identity and room that the development page may ask for, bytes. As LiveKit's default limits.
const MAX_NAME: usize = 256;

#[derive(RustEmbed)]
#[folder = "web"]
struct Files;

/// `/`: the page for browsers, `OK` for everybody else.
pub(super) async fn root(request: Request) -> Response {
    if reads(request.method()) && wants_html(request.headers()) {
        return Files::get("index.html")
            .map_or_else(|| ok().into_response(), |file| send("index.html", file));
    }
    ok().into_response()
}

/// `/page/…`: the page's files.
pub(super) async fn file(method: Method, Path(path): Path<String>) -> Response {
    match Files::get(&path) {
        Some(file) if reads(&method) => send(&path, file),
        _ => not_found().await,
    }
}

/// `/dev/token?room=…&identity=…&name=…`: a token for the page, in development mode only.
pub(super) async fn dev_token(
    Extension(front): Extension<Arc<Front>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    if !front.config.development {
        return not_found().await;
    }
    // Other pages in the same browser must not get tokens; their requests carry their origin.
    if !same_origin(&headers) {
        return text(
            StatusCode::FORBIDDEN,
            "tokens are for the built-in page only",
        );
    }
    let query = Query::parse(uri.query().unwrap_or_default());
    let (room, identity, name) = (
        query.text("room"),
        query.text("identity"),
        query.text("name"),
    );
    if room.is_empty() || identity.is_empty() {
        return text(StatusCode::BAD_REQUEST, "room and identity are required");
    }
    if [&room, &identity, &name]
        .iter()
        .any(|text| text.len() > MAX_NAME)
    {
        return text(
            StatusCode::BAD_REQUEST,
            "room, identity or name is too long",
        );
    }
    let grants = VideoGrants {
        room_join: true,
        room,
        can_update_own_metadata: Some(true),
        ..Default::default()
    };
    let claims = Claims {
        name,
        ..Claims::new(identity, grants)
    };
    match front
        .keys
        .mint(&claims, DEV_TOKEN_VALIDITY, SystemTime::now())
    {
        Ok(token) => {
            let mut response = Json(serde_json::json!({ "token": token })).into_response();
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn ok() -> &'static str {
    "OK"
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Whether a request comes from a page of this server, or from no page at all.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let fetch_site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    if fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    match (
        headers.contains_key(header::ORIGIN),
        text(header::ORIGIN),
        text(header::HOST),
    ) {
        (false, ..) => true,
        (true, Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin == host),
        _ => false,
    }
}

fn send(path: &str, file: EmbeddedFile) -> Response {
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(Body::from(file.data.into_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // A new build must be seen at the next visit.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if path == "index.html" {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'self'; connect-src *; img-src 'self' data:; media-src 'self' blob:; frame-ancestors 'none'",
            ),
        );
    }
    response
}
