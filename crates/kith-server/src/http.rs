//! The HTTP front: signalling sockets, validation, health, the built-in page, metrics.
//!
//! A request passes [`Front::handle`] once, in this order: a doubled leading slash is dropped, a CORS preflight is
//! answered, the body's size and the token are checked, the route answers, CORS headers are added. So every answer,
//! refusals included, may be read by a page of another origin: livekit-client falls back only when it can read a 404.

mod body;
mod cors;
mod linger;
mod metrics;
mod page;
mod rtc;
mod serve;
mod socket;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::AtomicUsize},
    time::{Instant, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, Method, StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse, Response},
    routing::any,
};
use tower::Service as _;

pub use serve::{ListenError, Listeners};

use crate::{
    auth::{AuthError, Claims, Keys, bearer_token},
    config::Config,
    join::Query,
    signal::Rooms,
};

/// What the front works with.
pub struct Front {
    config: Config,
    keys: Keys,
    rooms: Arc<dyn Rooms>,
    router: Router,
    socket_options: yawc::Options,
    started: Instant,
    /// Signalling sockets that are open.
    sockets: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Front")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Front {
    /// A front for these rooms.
    #[must_use]
    pub fn new(config: Config, keys: Keys, rooms: Arc<dyn Rooms>) -> Arc<Self> {
        let router = Router::new()
            .route("/", any(page::root))
            .route("/rtc", any(rtc::connect_v0))
            .route("/rtc/v1", any(rtc::connect_v1))
            .route("/rtc/validate", any(rtc::validate_v0))
            .route("/rtc/v1/validate", any(rtc::validate_v1))
            .route("/page/{*file}", any(page::file))
            .route("/dev/token", any(page::dev_token))
            .fallback(not_found)
            .layer(match config.limit.max_api_request_body_size {
                0 => DefaultBodyLimit::disable(),
                limit => DefaultBodyLimit::max(usize::try_from(limit).unwrap_or(usize::MAX)),
            });
        Arc::new(Self {
            socket_options: socket::options(&config.limit),
            config,
            keys,
            rooms,
            router,
            started: Instant::now(),
            sockets: Arc::default(),
        })
    }

    /// Answers one request from `peer`.
    pub async fn handle(self: Arc<Self>, mut request: Request<Body>, peer: SocketAddr) -> Response {
        drop_doubled_slash(request.uri_mut());
        let origin = request.headers().get(header::ORIGIN).cloned();
        if let Some(answer) = cors::preflight(request.method(), request.headers()) {
            return answer;
        }
        let validates = matches!(request.uri().path(), "/rtc/validate" | "/rtc/v1/validate");
        let mut response = self.answer(request, peer).await;
        cors::allow(response.headers_mut(), origin, validates);
        response
    }

    async fn answer(self: Arc<Self>, mut request: Request<Body>, peer: SocketAddr) -> Response {
        if let Some(refusal) = body::refuse_large(
            request.headers(),
            self.config.limit.max_api_request_body_size,
        ) {
            return refusal;
        }
        let claims = match self.claims(request.headers(), request.uri()) {
            Ok(claims) => claims,
            Err(error) => return text(StatusCode::UNAUTHORIZED, error.to_string()),
        };
        let caller = Caller {
            claims: claims.map(Arc::new),
            address: peer.ip().to_canonical(),
        };
        request.extensions_mut().insert(caller);
        let mut router = self.router.clone();
        request.extensions_mut().insert(self);
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The token of a request: of the header, or of the query when there is no header. None is no error by itself.
    fn claims(&self, headers: &HeaderMap, uri: &Uri) -> Result<Option<Claims>, AuthError> {
        let now = SystemTime::now();
        let header = match headers.get(header::AUTHORIZATION) {
            Some(value) => value.to_str().map_err(|_| AuthError::NotBearer)?,
            None => "",
        };
        if !header.is_empty() {
            return self.keys.verify(bearer_token(header)?, now).map(Some);
        }
        let query = Query::parse(uri.query().unwrap_or_default());
        match query.get("access_token") {
            None | Some("") => Ok(None),
            Some(token) => self.keys.verify(token, now).map(Some),
        }
    }
}

/// Who asks: put into the extensions of each request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What the token says; none without a token.
    pub(crate) claims: Option<Arc<Claims>>,
    /// The other end of the connection.
    pub(crate) address: IpAddr,
}

/// A client whose URL ends with `/` asks for `//rtc`.
fn drop_doubled_slash(uri: &mut Uri) {
    let Some(path) = uri
        .path_and_query()
        .map(PathAndQuery::as_str)
        .filter(|path| path.starts_with("//"))
    else {
        return;
    };
    if let Some(Ok(path)) = path.get(1..).map(PathAndQuery::try_from) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = Some(path);
        if let Ok(shorter) = Uri::from_parts(parts) {
            *uri = shorter;
        }
    }
}

/// A line of plain text.
fn text(status: StatusCode, text: impl Into<String>) -> Response {
    (status, text.into()).into_response()
}

async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found")
}

/// GET and HEAD read; anything else is not for pages and files.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
