//! The fuzz targets' checks on random bytes, so that they run wherever the tests run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption shall fail the test"
)]

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../../../fuzz/src/media.rs"]
#[allow(unreachable_pub, missing_docs, reason = "shared with the fuzz targets")]
mod media;

const CHECKS: [fn(&[u8]); 12] = [
    media::stun_demux,
    media::rtp,
    media::rtcp,
    media::header_extensions,
    media::vp8,
    media::vp9,
    media::av1,
    media::h264,
    media::h265,
    media::opus,
    media::red,
    media::dependency_descriptor,
];

/// Bytes that get past the first checks of the parsers more often than random ones.
const BEGINNINGS: [&[u8]; 14] = [
    &[],
    &[0x00, 0x01, 0x00, 0x08, 0x21, 0x12, 0xA4, 0x42],
    &[
        0x90, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0x00, 0x02,
    ],
    &[
        0xB0, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x00, 0x00, 0x02,
    ],
    &[0x81, 200, 0, 12],
    &[0x81, 202, 0, 5],
    &[0x8F, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 30],
    &[
        0x8F, 206, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B',
    ],
    &[0x80, 207, 0, 8, 0, 0, 0, 1, 5, 0, 0, 3],
    &[0x90, 0xF0, 0x80],
    &[0xAA, 0x80],
    &[0x78, 0x00, 0x10, 0x67, 0x64, 0x00, 0x28],
    &[0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03],
    &[
        0x40, 0xC1, 0x01, 0x72, 0x80, 0x08, 0x14, 0x85, 0x21, 0x4E, 0xAF,
    ],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(beginning in 0..BEGINNINGS.len(), tail in vec(any::<u8>(), 0..300)) {
        let bytes = [BEGINNINGS[beginning], &tail].concat();
        for check in CHECKS {
            check(&bytes);
        }
    }
}
