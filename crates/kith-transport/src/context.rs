//! What all connections of a process share: certificate and DTLS configuration.

use std::sync::Arc;
use std::time::Duration;

use dimpl::{Config, DtlsCertificate};

use crate::api::Fingerprint;
use crate::error::ContextError;

/// Certificate and DTLS configuration, made once per process (building one costs about 1 ms) and cheap to clone.
#[derive(Clone)]
pub struct TransportContext {
    pub(crate) dtls: Arc<Config>,
    pub(crate) certificate: DtlsCertificate,
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for TransportContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransportContext")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl TransportContext {
    /// Makes a self-signed ECDSA P-256 certificate. The key comes from the system's randomness: the one thing in this crate that does.
    pub fn generate() -> Result<Self, ContextError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|e| ContextError::Certificate(e.to_string()))?;
        let fingerprint = certificate.fingerprint();
        let fingerprint = <[u8; 32]>::try_from(fingerprint)
            .map_err(|_| ContextError::Certificate("fingerprint length".into()))?;
        let dtls = Config::builder()
            .flight_start_rto(Duration::from_millis(100))
            .flight_retries(9)
            .build()
            .map_err(|e| ContextError::Dtls(e.to_string()))?;
        Ok(Self {
            dtls: Arc::new(dtls),
            certificate,
            fingerprint: Fingerprint(fingerprint),
        })
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}
