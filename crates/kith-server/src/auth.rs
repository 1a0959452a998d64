//! Access tokens: JWTs signed with HS256 by an API key's secret.
//!
//! A token's `iss` names the key, `sub` (or else `jti`) the participant. `exp` is required, `exp` and `nbf` are checked
//! with a minute of leeway, and nothing else of the registered claims counts. Secrets may be short.

mod grants;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use kith_proto::{
    json,
    livekit::{RoomConfiguration, participant_info},
};
use serde::{Deserialize, Deserializer, Serialize};

pub use grants::{SipGrants, VideoGrants};
use grants::{is_default, null_as_default};

/// Clock difference that tokens may have.
const LEEWAY: Duration = Duration::from_secs(60);

/// How long tokens live that are minted without another wish.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(6 * 60 * 60);

/// Latest moment that an `exp` may name (year 9999): later ones are cut to it, so that time arithmetic cannot overflow.
const LATEST: f64 = 253_402_300_799.0;

/// Why a token is refused. The text is the body of the 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The `Authorization` header is not `Bearer …`.
    #[error("invalid authorization header. Must start with Bearer ")]
    NotBearer,
    /// Not a JWT, or signed in another way than HS256.
    #[error("invalid authorization token")]
    Unreadable,
    /// `iss` names no key of this server.
    #[error("invalid API key")]
    UnknownKey,
    /// Signature, times or claims are wrong.
    #[error("invalid authorization token: {0}")]
    Invalid(&'static str),
    /// A claim does not have its type.
    #[error("invalid authorization token: token is malformed: {0}")]
    Malformed(String),
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The server has no API key.
    #[error("there is no API key to sign with")]
    NoKey,
    /// The room configuration has no JSON form.
    #[error(transparent)]
    RoomConfig(#[from] json::JsonError),
    /// The signer failed.
    #[error("cannot sign the token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// API key that signed (when minting: that shall sign; empty or unknown: the first one).
    pub api_key: String,
    /// Participant identity (`sub`, else `jti`).
    pub identity: String,
    /// Display name.
    pub name: String,
    /// Kind of participant; unknown kinds are `Standard`.
    pub kind: participant_info::Kind,
    /// Details of the kind; unknown ones are left out.
    pub kind_details: Vec<participant_info::KindDetail>,
    /// The `video` claim; none: the token does not speak of rooms.
    pub video: Option<VideoGrants>,
    /// The `sip` claim.
    pub sip: Option<SipGrants>,
    /// Configuration for a room that this token creates.
    pub room_config: Option<RoomConfiguration>,
    /// Name of one of the server's room configurations.
    pub room_preset: String,
    /// Participant metadata.
    pub metadata: String,
    /// Participant attributes.
    pub attributes: BTreeMap<String, String>,
    /// Hash of the body that the token vouches for (webhooks), base64.
    pub sha256: String,
    /// When the token ends. Ignored when minting.
    pub expires_at: SystemTime,
}

impl Claims {
    /// Claims of a participant with nothing but an identity and grants.
    #[must_use]
    pub fn new(identity: impl Into<String>, video: VideoGrants) -> Self {
        Self {
            api_key: String::new(),
            identity: identity.into(),
            name: String::new(),
            kind: participant_info::Kind::Standard,
            kind_details: Vec::new(),
            video: Some(video),
            sip: None,
            room_config: None,
            room_preset: String::new(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            sha256: String::new(),
            expires_at: UNIX_EPOCH,
        }
    }
}

/// The server's API keys with their secrets.
#[derive(Clone)]
pub struct Keys(BTreeMap<String, String>);

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    /// Keys by name.
    #[must_use]
    pub fn new(secrets: BTreeMap<String, String>) -> Self {
        // Several crypto features may be on in one build; then the choice must be made by hand. A choice made before
        // stays.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self(secrets)
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first key's name, which signs where no key is named.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Reads and checks a token at the time `now`.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Unreadable)?;
        if header.alg != Algorithm::HS256 {
            return Err(AuthError::Unreadable);
        }
        let issuer: Issuer = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| AuthError::Unreadable)?;
        let (api_key, secret) = self
            .0
            .get_key_value(&issuer.iss)
            .ok_or(AuthError::UnknownKey)?;

        let mut validation = Validation::new(Algorithm::HS256);
        // The library checks the signature. The times are checked below: LiveKit takes fractions and digit strings.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_secret(secret.as_bytes());
        let wire = jsonwebtoken::decode::<WireClaims>(token, &key, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => {
                    AuthError::Invalid("token signature is invalid: signature is invalid")
                }
                ErrorKind::Json(error) => AuthError::Malformed(error.to_string()),
                _ => AuthError::Unreadable,
            })?
            .claims;

        let now = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let Some(NumericDate(expires)) = wire.exp else {
            return Err(AuthError::Invalid(
                "token has invalid claims: token is missing required claim: exp claim is required",
            ));
        };
        if now > expires + LEEWAY.as_secs_f64() {
            return Err(AuthError::Invalid(
                "token has invalid claims: token is expired",
            ));
        }
        if wire
            .nbf
            .is_some_and(|NumericDate(begins)| now + LEEWAY.as_secs_f64() < begins)
        {
            return Err(AuthError::Invalid(
                "token has invalid claims: token is not valid yet",
            ));
        }
        wire.into_claims(api_key.clone(), expires)
    }

    /// Signs a token that is valid from `now` on for `valid_for`.
    pub fn mint(
        &self,
        claims: &Claims,
        valid_for: Duration,
        now: SystemTime,
    ) -> Result<String, MintError> {
        let (api_key, secret) = self
            .0
            .get_key_value(&claims.api_key)
            .or_else(|| self.0.iter().next())
            .ok_or(MintError::NoKey)?;
        let wire = WireClaims::from_claims(claims, api_key, valid_for, now)?;
        Ok(jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &wire,
            &EncodingKey::from_secret(secret.as_bytes()),
        )?)
    }
}

/// The token in an `Authorization` header.
pub fn bearer_token(header: &str) -> Result<&str, AuthError> {
    let token = header.strip_prefix("Bearer ").ok_or(AuthError::NotBearer)?;
    Ok(token.trim_end())
}

#[derive(Deserialize)]
struct Issuer {
    #[serde(default, deserialize_with = "null_as_default")]
    iss: String,
}

/// Seconds since 1970, possibly a fraction; digits in a string count too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct NumericDate(f64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Digits(String),
        }
        let seconds = match Form::deserialize(deserializer)? {
            Form::Number(seconds) => seconds,
            Form::Digits(digits) => digits.parse().map_err(serde::de::Error::custom)?,
        };
        if seconds.is_finite() {
            Ok(Self(seconds))
        } else {
            Err(serde::de::Error::custom("not a time"))
        }
    }
}

/// The claims as they are written.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireClaims {
    #[serde(skip_deserializing)]
    iss: String,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    sub: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing)]
    jti: String,
    #[serde(serialize_with = "whole_seconds")]
    exp: Option<NumericDate>,
    #[serde(serialize_with = "whole_seconds")]
    nbf: Option<NumericDate>,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    name: String,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    kind: String,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    kind_details: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<VideoGrants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip: Option<SipGrants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_config: Option<serde_json::Value>,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    room_preset: String,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    metadata: String,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    attributes: BTreeMap<String, String>,
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_default"
    )]
    sha256: String,
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn whole_seconds<S: serde::Serializer>(
    date: &Option<NumericDate>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "minted dates are whole seconds of this millennium"
    )]
    match date {
        Some(NumericDate(seconds)) => serializer.serialize_i64(*seconds as i64),
        None => serializer.serialize_none(),
    }
}

impl WireClaims {
    fn into_claims(self, api_key: String, expires: f64) -> Result<Claims, AuthError> {
        let room_config = match self.room_config {
            None => None,
            Some(value) => Some(
                json::from_value(&value)
                    .map_err(|error| AuthError::Malformed(error.to_string()))?,
            ),
        };
        Ok(Claims {
            api_key,
            identity: if self.sub.is_empty() {
                self.jti
            } else {
                self.sub
            },
            name: self.name,
            kind: participant_info::Kind::from_str_name(&self.kind.to_ascii_uppercase())
                .unwrap_or_default(),
            kind_details: self
                .kind_details
                .iter()
                .filter_map(|name| {
                    participant_info::KindDetail::from_str_name(&name.to_ascii_uppercase())
                })
                .collect(),
            video: self.video,
            sip: self.sip,
            room_config,
            room_preset: self.room_preset,
            metadata: self.metadata,
            attributes: self.attributes,
            sha256: self.sha256,
            expires_at: UNIX_EPOCH + Duration::from_secs_f64(expires.clamp(0.0, LATEST)),
        })
    }

    fn from_claims(
        claims: &Claims,
        api_key: &str,
        valid_for: Duration,
        now: SystemTime,
    ) -> Result<Self, MintError> {
        let now = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64()
            .floor();
        let lower = |name: &str| name.to_ascii_lowercase();
        Ok(Self {
            iss: api_key.to_owned(),
            sub: claims.identity.clone(),
            jti: String::new(),
            exp: Some(NumericDate((now + valid_for.as_secs_f64()).min(LATEST))),
            nbf: Some(NumericDate(now)),
            name: claims.name.clone(),
            kind: match claims.kind {
                participant_info::Kind::Standard => String::new(),
                kind => lower(kind.as_str_name()),
            },
            kind_details: claims
                .kind_details
                .iter()
                .map(|detail| lower(detail.as_str_name()))
                .collect(),
            video: claims.video.clone(),
            sip: claims.sip.clone(),
            room_config: claims
                .room_config
                .as_ref()
                .map(json::to_value)
                .transpose()?,
            room_preset: claims.room_preset.clone(),
            metadata: claims.metadata.clone(),
            attributes: claims.attributes.clone(),
            sha256: claims.sha256.clone(),
        })
    }
}
