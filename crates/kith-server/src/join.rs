//! What a client asks for when it opens a signalling socket: query parameters (v0) or a `join_request` (both versions).
//!
//! The checks and their texts are LiveKit's: SDKs show some of them and compare others.

mod client;

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use axum::http::HeaderMap;
use kith_proto::{
    join_request::{JoinRequestError, decode_base64, parse_join_request},
    livekit::{ClientInfo, JoinRequest, ReconnectReason},
};

pub use client::client_ip;

use crate::{
    auth::Claims,
    config::LimitConfig,
    signal::{Reconnect, SessionRequest},
};

/// A request that is answered with a status and a line of text instead of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub text: Cow<'static, str>,
}

impl Refusal {
    const fn new(status: u16, text: &'static str) -> Self {
        Self {
            status,
            text: Cow::Borrowed(text),
        }
    }

    fn too_long(what: &str, limit: u32) -> Self {
        Self {
            status: 400,
            text: format!("{what} length exceeds limits: max length {limit}").into(),
        }
    }
}

impl From<JoinRequestError> for Refusal {
    fn from(error: JoinRequestError) -> Self {
        Self {
            status: 400,
            text: error.to_string().into(),
        }
    }
}

const NO_ACCESS: Refusal = Refusal::new(401, "no permissions to access the room");

/// A request for `/rtc`, `/rtc/v1` or one of their validate routes.
#[derive(Debug)]
pub struct JoinInput<'a> {
    /// The route: `/rtc/v1` needs a `join_request`.
    pub v1: bool,
    /// A validate route: it complains about attributes that the handshake ignores.
    pub validate: bool,
    /// The query, percent-encoded.
    pub query: &'a str,
    /// What the token says, if there is a token.
    pub claims: Option<&'a Claims>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The other end of the connection.
    pub remote: IpAddr,
}

/// Checks a request and says which session it wants.
pub fn session_request(
    input: &JoinInput<'_>,
    limit: &LimitConfig,
) -> Result<SessionRequest, Refusal> {
    let (Some(claims), query) = (input.claims, Query::parse(input.query)) else {
        return Err(NO_ACCESS);
    };
    let Some(grants) = &claims.video else {
        return Err(NO_ACCESS);
    };
    let join_request = match query.get("join_request") {
        Some(value) if !value.is_empty() => Some(parse_join_request(value)?),
        _ if input.v1 => return Err(JoinRequestError::Missing.into()),
        _ => None,
    };
    if !grants.room_join {
        return Err(Refusal::new(401, "permissions denied"));
    }
    if claims.identity.is_empty() {
        return Err(Refusal::new(400, "identity cannot be empty"));
    }
    if exceeds(claims.identity.len(), limit.max_participant_identity_length) {
        return Err(Refusal::too_long(
            "participant identity",
            limit.max_participant_identity_length,
        ));
    }
    if grants.room.is_empty() {
        return Err(Refusal::new(400, "no room name"));
    }
    if exceeds(grants.room.len(), limit.max_room_name_length) {
        return Err(Refusal::too_long("room name", limit.max_room_name_length));
    }

    let client_ip = client_ip(input.headers, input.remote);
    let mut request = SessionRequest {
        api_key: claims.api_key.clone(),
        token_expires_at: claims.expires_at,
        identity: claims.identity.clone(),
        name: claims.name.clone(),
        room: grants.room.clone(),
        grants: grants.clone(),
        kind: claims.kind,
        kind_details: claims.kind_details.clone(),
        metadata: claims.metadata.clone(),
        attributes: claims.attributes.clone(),
        room_config: claims.room_config.clone(),
        room_preset: claims.room_preset.clone(),
        client_info: ClientInfo::default(),
        protocol: 0,
        client_protocol: 0,
        capabilities: Vec::new(),
        single_pc: join_request.is_some(),
        auto_subscribe: true,
        auto_subscribe_data_track: false,
        adaptive_stream: false,
        subscriber_allow_pause: None,
        disable_ice_lite: false,
        publisher_offer: None,
        add_track_requests: Vec::new(),
        sync_state: None,
        reconnect: None,
        client_ip,
    };
    // What the client wants to change of its token's metadata and attributes.
    let (metadata, attributes) = match join_request {
        Some(join) => take_join_request(&mut request, join),
        None => (
            String::new(),
            take_query(&mut request, &query, input.validate)?,
        ),
    };
    if let Some(suffix) = query.get("publish").filter(|suffix| !suffix.is_empty()) {
        if !request.grants.can_publish() {
            return Err(NO_ACCESS);
        }
        request.grants.can_subscribe = Some(false);
        request.identity = format!("{}#{suffix}", request.identity);
    }
    if !(metadata.is_empty() && attributes.is_empty()) {
        if !request.grants.can_update_own_metadata() {
            return Err(NO_ACCESS);
        }
        if !metadata.is_empty() {
            request.metadata = metadata;
        }
        request.attributes.extend(attributes);
    }
    if exceeds(request.metadata.len(), limit.max_metadata_size) {
        return Err(Refusal::new(400, "metadata size exceeds limits"));
    }
    let attributes_size = request
        .attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if exceeds(attributes_size, limit.max_attributes_size) {
        return Err(Refusal::new(400, "attribute size exceeds limits"));
    }

    client::fill_from_user_agent(&mut request.client_info, input.headers);
    request.client_info.address = client_ip.to_string();
    request.protocol = request.client_info.protocol;
    request.client_protocol = request.client_info.client_protocol;
    request
        .capabilities
        .clone_from(&request.client_info.capabilities);
    Ok(request)
}

/// 0 is no limit.
fn exceeds(len: usize, limit: u32) -> bool {
    limit != 0 && len > limit as usize
}

/// Takes the settings of a join request; gives back the metadata and attributes that it asks for.
fn take_join_request(
    request: &mut SessionRequest,
    join: JoinRequest,
) -> (String, BTreeMap<String, String>) {
    // Absent booleans are false here, unlike in the query.
    let settings = join.connection_settings.unwrap_or_default();
    request.auto_subscribe = settings.auto_subscribe;
    request.auto_subscribe_data_track = settings.auto_subscribe_data_track.unwrap_or(false);
    request.adaptive_stream = settings.adaptive_stream;
    request.subscriber_allow_pause = Some(settings.subscriber_allow_pause.unwrap_or(false));
    request.disable_ice_lite = settings.disable_ice_lite;
    request.client_info = join.client_info.unwrap_or_default();
    request.publisher_offer = join.publisher_offer;
    request.add_track_requests = join.add_track_requests;
    request.sync_state = join.sync_state;
    if join.reconnect {
        request.reconnect = Some(Reconnect {
            participant_sid: join.participant_sid,
            reason: ReconnectReason::try_from(join.reconnect_reason).unwrap_or_default(),
        });
    }
    let attributes = join
        .participant_attributes
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    (join.metadata, attributes)
}

/// Takes the settings of the query; gives back the attributes that it asks for.
fn take_query(
    request: &mut SessionRequest,
    query: &Query,
    validate: bool,
) -> Result<BTreeMap<String, String>, Refusal> {
    request.client_info = client::client_info(query);
    request.auto_subscribe = query.flag("auto_subscribe").unwrap_or(true);
    request.auto_subscribe_data_track = query.flag("auto_subscribe_data_track").unwrap_or(false);
    request.adaptive_stream = query.flag("adaptive_stream").unwrap_or(false);
    request.subscriber_allow_pause = query.flag("subscriber_allow_pause");
    request.disable_ice_lite = query.flag("disable_ice_lite").unwrap_or(false);
    if query.flag("reconnect").unwrap_or(false) {
        request.reconnect = Some(Reconnect {
            participant_sid: query.text("sid"),
            reason: ReconnectReason::try_from(query.number("reconnect_reason")).unwrap_or_default(),
        });
    }
    match query
        .get("attributes")
        .filter(|text| !text.is_empty())
        .map(decode_attributes)
    {
        Some(None) if validate => Err(Refusal::new(400, "cannot decode attributes")),
        Some(None) | None => Ok(BTreeMap::new()),
        Some(Some(attributes)) => Ok(attributes),
    }
}

fn decode_attributes(text: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&decode_base64(text)?).ok()
}

/// The query's pairs, decoded. Of equal names the first counts.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> i32 {
        self.get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// Only `1` and `true` are true. An empty value counts as absent.
    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)
            .filter(|text| !text.is_empty())
            .map(|text| matches!(text, "1" | "true"))
    }
}
