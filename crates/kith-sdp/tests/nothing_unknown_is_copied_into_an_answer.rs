//! An answer only has lines that Kith means: an echo of `goog-sped-v1` or `sctp-init` would promise DTLS in STUN.

mod common;

use common::{OFFERS, PYTHON_JOIN, local, parse, usual_decisions};
use kith_sdp::answer;

#[test]
fn every_line_of_every_answer_is_one_of_ours() {
    const PREFIXES: [&str; 34] = [
        "v=0",
        "o=- 4611 7 ",
        "s=-",
        "t=0 0",
        "m=audio 9 ",
        "m=video 9 ",
        "m=application 9 ",
        "c=IN IP4 0.0.0.0",
        "a=group:BUNDLE ",
        "a=ice-lite",
        "a=ice-options:trickle",
        "a=extmap-allow-mixed",
        "a=msid-semantic:WMS *",
        "a=candidate:1 1 udp",
        "a=ice-ufrag:kith",
        "a=ice-pwd:kith",
        "a=fingerprint:sha-256 AB",
        "a=setup:passive",
        "a=mid:",
        "a=extmap:",
        "a=sendonly",
        "a=recvonly",
        "a=inactive",
        "a=msid:PA_a",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:",
        "a=rtcp-fb:",
        "a=fmtp:",
        "a=ssrc",
        "a=rid:",
        "a=simulcast:recv ",
        "a=sctp-port:5000",
        "a=max-message-size:65536",
    ];
    for (name, text) in OFFERS {
        let offer = parse(text);
        let (answer, _) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
        for line in answer.as_str().lines() {
            assert!(
                PREFIXES.iter().any(|prefix| line.starts_with(prefix)),
                "{name}: {line}"
            );
        }
        for line in [
            "a=rtcp:",
            "a=rtcp-xr",
            "goog-sped",
            "sctp-init",
            "ulpfec",
            "flexfec",
            "telephone-event",
        ] {
            assert!(!answer.as_str().contains(line), "{name}: {line}");
        }
    }
}

#[test]
fn pythons_dtls_in_stun_is_not_promised() {
    let offer = parse(PYTHON_JOIN);
    assert!(offer.as_str().contains("goog-sped-v1") && offer.as_str().contains("a=sctp-init:"));
    let (answer, _) = answer(&offer, &local(), &usual_decisions(&offer)).unwrap();
    assert!(answer.as_str().contains("a=ice-options:trickle\r\n"));
    assert!(!answer.as_str().contains("sped") && !answer.as_str().contains("init"));
}
