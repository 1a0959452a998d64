//! STUN messages, with `is` for the format and aws-lc for HMAC-SHA1.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use is::Sha1HmacProvider;
use is::stun::{StunMessage, TransId};

/// STUN answers are short: header, one address, integrity and fingerprint come to at most 76 bytes, an error to less than 100.
const MAX_ANSWER: usize = 128;

/// HMAC-SHA1 for message integrity (RFC 8489 section 14.5).
#[derive(Debug)]
pub(crate) struct AwsLcHmac;

impl Sha1HmacProvider for AwsLcHmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        let mut out = [0; 20];
        out.iter_mut()
            .zip(context.sign().as_ref())
            .for_each(|(to, from)| *to = *from);
        out
    }
}

pub(crate) fn is_authentic(message: &StunMessage<'_>, pwd: &str) -> bool {
    message.verify(pwd.as_bytes(), |key, payloads| {
        AwsLcHmac.sha1_hmac(key, payloads)
    })
}

/// The answer to a check that came from `source`.
pub(crate) fn success(request: TransId, source: SocketAddr, pwd: &str) -> Option<Vec<u8>> {
    write(StunMessage::binding_reply(request, source), pwd)
}

/// Error 487: the sender must take the other role (RFC 8445 section 7.3.1.1).
pub(crate) fn role_conflict(request: TransId, pwd: &str) -> Option<Vec<u8>> {
    write(StunMessage::binding_role_conflict_reply(request), pwd)
}

fn write(message: StunMessage<'_>, pwd: &str) -> Option<Vec<u8>> {
    let mut out = vec![0; MAX_ANSWER];
    let len = message
        .to_bytes(Some(pwd.as_bytes()), &mut out, |key, payloads| {
            AwsLcHmac.sha1_hmac(key, payloads)
        })
        .ok()?;
    out.truncate(len);
    Some(out)
}
