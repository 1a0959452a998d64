//! Key derivation with AES-CM as the pseudo-random function (RFC 3711 section 4.3, RFC 6188, RFC 7714 section 11), rate 0.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::KeyError;

/// What a derived key is for (RFC 3711 section 4.3.2).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The master key and salt, ready to derive from.
pub(crate) struct Derivation {
    master: EncryptingKey,
    salt: [u8; 14],
}

impl Derivation {
    /// `salt` has 14 bytes, or 12 for GCM, which count as the upper ones.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let algorithm = match key.len() {
            16 => &AES_128,
            32 => &AES_256,
            _ => return Err(KeyError),
        };
        let master = UnboundCipherKey::new(algorithm, key)
            .and_then(EncryptingKey::ctr)
            .map_err(|_| KeyError)?;
        let mut padded = [0; 14];
        padded
            .get_mut(..salt.len())
            .ok_or(KeyError)?
            .copy_from_slice(salt);
        Ok(Self {
            master,
            salt: padded,
        })
    }

    pub(crate) fn derive<const N: usize>(&self, label: Label) -> Result<[u8; N], KeyError> {
        let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13] = self.salt;
        // The label sits above 48 bits of (index / rate), which is 0.
        let iv = [
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7 ^ label as u8,
            s8,
            s9,
            s10,
            s11,
            s12,
            s13,
            0,
            0,
        ];
        let mut out = [0; N];
        self.master
            .less_safe_encrypt(&mut out, EncryptionContext::Iv128(FixedLength::from(iv)))
            .map_err(|_| KeyError)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::vectors::hex;

    #[test]
    fn rfc3711_b3_key_derivation() {
        let kdf = Derivation::new(
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap();
        assert_eq!(
            kdf.derive::<16>(Label::RtpEncryption).unwrap()[..],
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            kdf.derive::<14>(Label::RtpSalt).unwrap()[..],
            hex("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            kdf.derive::<94>(Label::RtpAuthentication).unwrap()[..],
            hex(
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"
            )
        );
    }

    #[test]
    fn rfc6188_7_2_key_derivation_with_256_bits() {
        let kdf = Derivation::new(
            &hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
            &hex("3b04803de51ee7c96423ab5b78d2"),
        )
        .unwrap();
        assert_eq!(
            kdf.derive::<32>(Label::RtpEncryption).unwrap()[..],
            hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
        );
        assert_eq!(
            kdf.derive::<14>(Label::RtpSalt).unwrap()[..],
            hex("fa31791685ca444a9e07c6c64e93")
        );
    }
}
