//! Packets of RFC 7714 sections 16 and 17, RFC 3711 appendix B.2, and the well-known AES-CM packet of libsrtp's self-test.

use std::time::Instant;

use super::cipher::{Cipher, CmKeys, GcmKeys};
use super::{MAX_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender};

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SALT: &str = "517569642070726f2071756f";
const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

fn gcm(bits: usize) -> Cipher {
    let key = &hex(KEY)[..bits / 8];
    let keys = || GcmKeys::new(key, hex(SALT).try_into().unwrap()).unwrap();
    Cipher::Gcm {
        rtp: keys(),
        rtcp: keys(),
    }
}

fn check_rtp(sender: &SrtpSender, mut receiver: SrtpReceiver, plain: &[u8], protected: &[u8]) {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + MAX_OVERHEAD, 0);
    let len = sender.seal_rtp(0, &mut packet, plain.len()).unwrap();
    assert_eq!(packet[..len], *protected);
    let len = receiver
        .open_rtp(Instant::now(), &mut packet[..len])
        .unwrap();
    assert_eq!(packet[..len], *plain);
}

fn check_rtcp(mut sender: SrtpSender, mut receiver: SrtpReceiver, plain: &[u8], protected: &[u8]) {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + MAX_OVERHEAD, 0);
    let len = sender.seal_rtcp(&mut packet, plain.len()).unwrap();
    assert_eq!(packet[..len], *protected);
    let len = receiver
        .open_rtcp(Instant::now(), &mut packet[..len])
        .unwrap();
    assert_eq!(packet[..len], *plain);
}

#[test]
fn rfc7714_16_1_rtp_gcm_128() {
    let protected = hex(
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
    );
    check_rtp(
        &SrtpSender::with_cipher(gcm(128), 1),
        SrtpReceiver::with_cipher(gcm(128)),
        &hex(RTP),
        &protected,
    );
}

#[test]
fn rfc7714_16_2_rtp_gcm_256() {
    let protected = hex(
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
    );
    check_rtp(
        &SrtpSender::with_cipher(gcm(256), 1),
        SrtpReceiver::with_cipher(gcm(256)),
        &hex(RTP),
        &protected,
    );
}

#[test]
fn rfc7714_17_1_rtcp_gcm_128() {
    let protected = hex(
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
    );
    check_rtcp(
        SrtpSender::with_cipher(gcm(128), 0x5d4),
        SrtpReceiver::with_cipher(gcm(128)),
        &hex(RTCP),
        &protected,
    );
}

#[test]
fn rfc7714_17_2_rtcp_gcm_256() {
    let protected = hex(
        "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
    );
    check_rtcp(
        SrtpSender::with_cipher(gcm(256), 0x5d4),
        SrtpReceiver::with_cipher(gcm(256)),
        &hex(RTCP),
        &protected,
    );
}

#[test]
fn rfc3711_b2_keystream() {
    let keys = CmKeys::new(
        &hex("2B7E151628AED2A6ABF7158809CF4F3C"),
        &[0; 20],
        hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
    );
    let mut stream = [0; 48];
    keys.unwrap().apply_keystream(0, 0, &mut stream).unwrap();
    assert_eq!(
        stream[..],
        hex(
            "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
        )
    );
}

#[test]
fn aes_cm_sha1_80_packets() {
    let (key, salt) = (
        hex("e1f97a0d3e018be0d64fa32c06de4139"),
        hex("0ec675ad498afeebb6960b3aabe6"),
    );
    let profile = SrtpProfile::Aes128CmHmacSha1_80;
    let pair = || {
        (
            SrtpSender::new(profile, &key, &salt).unwrap(),
            SrtpReceiver::new(profile, &key, &salt).unwrap(),
        )
    };

    let (sender, receiver) = pair();
    let plain = hex("800f1234decafbadcafebabeabababababababababababababababab");
    let protected =
        hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    check_rtp(&sender, receiver, &plain, &protected);

    let (sender, receiver) = pair();
    let plain = hex("81c8000bcafebabeabababababababababababababababab");
    let protected =
        hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798");
    check_rtcp(sender, receiver, &plain, &protected);
}
