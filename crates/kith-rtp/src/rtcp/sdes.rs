//! Source descriptions and goodbyes (RFC 3550 sections 6.5 and 6.6).

use super::{ssrcs, take_ssrc};
use crate::Ssrc;

/// Item type of the canonical name.
pub(crate) const CNAME: u8 = 1;

/// Source description.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    count: u8,
    chunks: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Self {
        Sdes {
            count,
            chunks: body,
        }
    }

    /// The chunks, one per source. The walk ends at a chunk that is cut off.
    pub fn chunks(&self) -> impl Iterator<Item = SdesChunk<'a>> + use<'a> {
        let mut rest = self.chunks;
        (0..self.count).map_while(move |_| {
            let ssrc = take_ssrc(&mut rest)?;
            let items = rest;
            // Items end with a zero byte; the next chunk begins at the next word.
            let mut walk = SdesItems { rest: items };
            while walk.next().is_some() {}
            let used = items.len() - walk.rest.len();
            match walk.rest.first() {
                Some(0) => {
                    rest = items
                        .get((used + 1).next_multiple_of(4)..)
                        .unwrap_or_default()
                }
                _ => rest = &[],
            }
            Some(SdesChunk {
                ssrc,
                items: items.get(..used).unwrap_or_default(),
            })
        })
    }
}

/// What is said about one source.
#[derive(Clone, Copy, Debug)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    items: &'a [u8],
}

impl<'a> SdesChunk<'a> {
    /// The items.
    pub fn items(&self) -> impl Iterator<Item = SdesItem<'a>> + use<'a> {
        SdesItems { rest: self.items }
    }

    /// The canonical name.
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items()
            .find(|item| item.kind == CNAME)
            .map(|item| item.text)
    }
}

/// One item of a source description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// Item type: 1 is CNAME; never 0.
    pub kind: u8,
    /// Its text; UTF-8 if the sender keeps to the RFC.
    pub text: &'a [u8],
}

struct SdesItems<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for SdesItems<'a> {
    type Item = SdesItem<'a>;

    fn next(&mut self) -> Option<SdesItem<'a>> {
        let (&[kind, len], after) = self.rest.split_first_chunk::<2>()?;
        if kind == 0 {
            return None;
        }
        let (text, after) = after.split_at_checked(usize::from(len))?;
        self.rest = after;
        Some(SdesItem { kind, text })
    }
}

/// Goodbye.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
    /// Why, if said.
    pub reason: Option<&'a [u8]>,
}

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrcs, rest) = body.split_at_checked(usize::from(count) * 4)?;
        let reason = rest
            .split_first()
            .and_then(|(len, text)| text.get(..usize::from(*len)));
        Some(Bye { ssrcs, reason })
    }

    /// The sources that leave.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        ssrcs(self.ssrcs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn chunks_begin_at_word_borders() {
        #[rustfmt::skip]
        let bytes = [
            0x82, 202, 0, 6,
            0, 0, 0, 1, 1, 2, b'a', b'b', 6, 0, 0, 0, // CNAME "ab", TOOL "", end
            0, 0, 0, 2, 1, 3, b'c', b'd', b'e', 0, 0, 0,
        ];
        let Some(Ok(RtcpPacket::Sdes(sdes))) = packets(&bytes).next() else {
            panic!("not a source description");
        };
        let chunks: Vec<_> = sdes.chunks().collect();
        assert_eq!(chunks.len(), 2);
        assert_eq!(
            (chunks[0].ssrc, chunks[0].cname()),
            (Ssrc(1), Some(&b"ab"[..]))
        );
        assert_eq!(chunks[0].items().count(), 2);
        assert_eq!(
            (chunks[1].ssrc, chunks[1].cname()),
            (Ssrc(2), Some(&b"cde"[..]))
        );
    }

    #[test]
    fn items_that_are_cut_off_end_the_walk() {
        let sdes = Sdes::parse(31, &[0, 0, 0, 1, 1, 200, b'a', b'b']);
        assert_eq!(sdes.chunks().count(), 1);
        assert_eq!(sdes.chunks().next().unwrap().cname(), None);
    }

    #[test]
    fn a_goodbye_names_sources_and_may_say_why() {
        let bytes = [0x82, 203, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 3, b'e', b'n', b'd'];
        let Some(Ok(RtcpPacket::Bye(bye))) = packets(&bytes).next() else {
            panic!("not a goodbye");
        };
        assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
        assert_eq!(bye.reason, Some(&b"end"[..]));
        assert!(
            packets(&[0x82, 203, 0, 1, 0, 0, 0, 1])
                .next()
                .unwrap()
                .is_err()
        );
    }
}
