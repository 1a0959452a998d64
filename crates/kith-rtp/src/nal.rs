//! What H.264 and H.265 have in common: parameter sets with emulation prevention, and frame cropping.

use crate::Resolution;

/// Bytes of a sequence parameter set that are looked at. The frame size comes before the usability information; only
/// scaling lists can be in front of it, and those of all twelve H.264 matrices take less.
const MAX_PARAMETER_SET_LEN: usize = 768;

/// A sequence parameter set without emulation prevention bytes (H.264 section 7.4.1, H.265 section 7.4.2).
pub(crate) struct ParameterSet {
    bytes: [u8; MAX_PARAMETER_SET_LEN],
    len: usize,
}

impl ParameterSet {
    /// Takes the three out of every `00 00 03`. What is longer than [`MAX_PARAMETER_SET_LEN`] is cut off.
    pub(crate) fn unescape(escaped: &[u8]) -> Self {
        let mut set = ParameterSet {
            bytes: [0; MAX_PARAMETER_SET_LEN],
            len: 0,
        };
        let mut slots = set.bytes.iter_mut();
        let mut zeros = 0;
        for byte in escaped {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            let Some(slot) = slots.next() else {
                break;
            };
            *slot = *byte;
            set.len += 1;
        }
        set
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Size after cropping `horizontal` and `vertical` samples away; `None` if nothing is left.
pub(crate) fn cropped(
    width: u64,
    height: u64,
    horizontal: u64,
    vertical: u64,
) -> Option<Resolution> {
    let width = u32::try_from(width.checked_sub(horizontal)?).ok()?;
    let height = u32::try_from(height.checked_sub(vertical)?).ok()?;
    (width > 0 && height > 0).then_some(Resolution { width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_is_taken_out() {
        let set = ParameterSet::unescape(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3, 0, 3]);
        assert_eq!(set.as_bytes(), [1, 0, 0, 1, 0, 0, 0, 0, 3, 0, 3]);
        assert_eq!(
            ParameterSet::unescape(&[1; 2000]).as_bytes().len(),
            MAX_PARAMETER_SET_LEN
        );
    }
}
