//! RFC 4571 framing of datagrams on a TCP connection (ICE-TCP, RFC 6544): a 16-bit length, then that many bytes.

/// The longest frame that we take. Everything of WebRTC fits an MTU, DTLS and data channels included; more is not a WebRTC peer.
pub const MAX_FRAME: usize = 2048;

/// The length field, bytes.
pub const HEADER_LEN: usize = 2;

/// A frame longer than [`MAX_FRAME`]: close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TCP frame of {0} bytes, at most {MAX_FRAME} are taken")]
pub struct FrameTooLong(pub usize);

/// Cuts a byte stream into frames. Holds at most one incomplete frame.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The beginning of a frame, header included.
    partial: Vec<u8>,
}

impl Deframer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a read returned and calls `frame` once for each complete frame, in order. Empty frames (keep-alives) are skipped.
    /// A frame within `bytes` is handed on in place; only one that is split between reads is copied. After an error the connection
    /// is of no use.
    pub fn push(
        &mut self,
        mut bytes: &mut [u8],
        mut frame: impl FnMut(&mut [u8]),
    ) -> Result<(), FrameTooLong> {
        if !self.partial.is_empty() {
            bytes = self.complete(bytes, &mut frame)?;
        }
        while let Some(header) = bytes.first_chunk() {
            let end = HEADER_LEN + checked_len(*header)?;
            if bytes.len() < end {
                break;
            }
            let (whole, rest) = bytes.split_at_mut(end);
            deliver(whole, &mut frame);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes that are held.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }

    /// Fills up the incomplete frame. Returns what is left of `bytes`.
    fn complete<'a>(
        &mut self,
        bytes: &'a mut [u8],
        frame: &mut impl FnMut(&mut [u8]),
    ) -> Result<&'a mut [u8], FrameTooLong> {
        let bytes = self.take(bytes, HEADER_LEN);
        let Some(header) = self.partial.first_chunk() else {
            return Ok(bytes);
        };
        let end = HEADER_LEN + checked_len(*header)?;
        let bytes = self.take(bytes, end);
        if self.partial.len() == end {
            deliver(&mut self.partial, frame);
            self.partial.clear();
        }
        Ok(bytes)
    }

    /// Moves bytes until `len` are held.
    fn take<'a>(&mut self, bytes: &'a mut [u8], len: usize) -> &'a mut [u8] {
        let missing = len.saturating_sub(self.partial.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at_mut(missing);
        self.partial.extend_from_slice(taken);
        rest
    }
}

fn checked_len(header: [u8; HEADER_LEN]) -> Result<usize, FrameTooLong> {
    match usize::from(u16::from_be_bytes(header)) {
        len @ 0..=MAX_FRAME => Ok(len),
        len => Err(FrameTooLong(len)),
    }
}

fn deliver(whole: &mut [u8], frame: &mut impl FnMut(&mut [u8])) {
    if let Some(payload) = whole.get_mut(HEADER_LEN..)
        && !payload.is_empty()
    {
        frame(payload);
    }
}

/// The header that precedes a frame of `len` bytes.
pub fn header(len: usize) -> Result<[u8; HEADER_LEN], FrameTooLong> {
    match u16::try_from(len) {
        Ok(header) if len <= MAX_FRAME => Ok(header.to_be_bytes()),
        _ => Err(FrameTooLong(len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|frame| {
                header(frame.len())
                    .unwrap()
                    .into_iter()
                    .chain(frame.iter().copied())
            })
            .collect()
    }

    #[test]
    fn a_long_frame_is_an_error_at_its_header() {
        let mut deframer = Deframer::new();
        assert_eq!(
            deframer.push(&mut [0x08, 0x01], |_| panic!()),
            Err(FrameTooLong(2049))
        );
        let mut deframer = Deframer::new();
        assert_eq!(deframer.push(&mut [0x08], |_| panic!()), Ok(()));
        assert_eq!(
            deframer.push(&mut [0x01, 1, 2], |_| panic!()),
            Err(FrameTooLong(2049))
        );
        assert!(header(2048).is_ok());
        assert_eq!(header(2049), Err(FrameTooLong(2049)));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1usize..500, 1..20),
        ) {
            let stream = framed(&frames);
            let mut deframer = Deframer::new();
            let mut got = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                deframer.push(&mut now.to_vec(), |frame| got.push(frame.to_vec())).unwrap();
                prop_assert!(deframer.buffered() < HEADER_LEN + MAX_FRAME);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let expected: Vec<_> = frames.into_iter().filter(|frame| !frame.is_empty()).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
