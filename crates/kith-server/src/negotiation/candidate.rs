//! `TrickleRequest.candidateInit`: the JSON of a browser's `RTCIceCandidateInit`.

use serde::{Deserialize, Serialize};

/// Bytes of a `candidateInit`; a candidate line with all extensions stays below 500.
const MAX_CANDIDATE_INIT: usize = 4096;

/// What we write. Every key is there: the Rust SDK unwraps them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutgoingCandidate<'a> {
    candidate: &'a str,
    sdp_mid: &'a str,
    #[serde(rename = "sdpMLineIndex")]
    sdp_m_line_index: u16,
    username_fragment: &'a str,
}

/// What we read: clients leave out or null what they like.
#[derive(Deserialize)]
struct IncomingCandidate {
    #[serde(default)]
    candidate: Option<String>,
}

/// Why a `candidateInit` was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CandidateError {
    /// Longer than [`MAX_CANDIDATE_INIT`].
    #[error("candidateInit is longer than 4096 bytes")]
    TooLong,
    /// Not the JSON that was expected.
    #[error("candidateInit is not the JSON of an RTCIceCandidateInit")]
    Malformed,
}

/// Writes a candidate (`candidate:…`, with or without `a=`) for the section `mid`, which has the index `index`.
pub(crate) fn to_json(candidate: &str, mid: &str, index: u16, ufrag: &str) -> String {
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    serde_json::to_string(&OutgoingCandidate {
        candidate,
        sdp_mid: mid,
        sdp_m_line_index: index,
        username_fragment: ufrag,
    })
    .unwrap_or_default()
}

/// Reads a candidate line; `None` at the end of candidates (an empty text, or an empty candidate).
pub(crate) fn from_json(init: &str) -> Result<Option<String>, CandidateError> {
    if init.len() > MAX_CANDIDATE_INIT {
        return Err(CandidateError::TooLong);
    }
    if init.trim().is_empty() {
        return Ok(None);
    }
    let parsed: Option<IncomingCandidate> =
        serde_json::from_str(init).map_err(|_| CandidateError::Malformed)?;
    Ok(parsed
        .and_then(|init| init.candidate)
        .filter(|candidate| !candidate.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_carries_a_text_mid_and_a_number_index() {
        let json = to_json(
            "a=candidate:1 1 udp 1 10.0.0.1 7882 typ host",
            "0",
            3,
            "abcd",
        );
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value["candidate"],
            "candidate:1 1 udp 1 10.0.0.1 7882 typ host"
        );
        assert_eq!(value["sdpMid"], "0");
        assert_eq!(value["sdpMLineIndex"], 3);
        assert_eq!(value["usernameFragment"], "abcd");
    }

    #[test]
    fn absent_null_and_empty_candidates_end_the_candidates() {
        for end in [
            "",
            "  ",
            "null",
            "{}",
            r#"{"candidate":null}"#,
            r#"{"candidate":""}"#,
        ] {
            assert_eq!(from_json(end), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_no_candidate_is_refused() {
        assert_eq!(from_json("candidate:1"), Err(CandidateError::Malformed));
        assert_eq!(
            from_json(r#"{"candidate":7}"#),
            Err(CandidateError::Malformed)
        );
        assert_eq!(from_json(&"x".repeat(5000)), Err(CandidateError::TooLong));
    }
}
