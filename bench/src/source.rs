//! The publisher: packets as a browser sends them, sealed by the client's end of the transport.

use kith_rtp::vp8::{PictureId, Vp8Descriptor};
use kith_rtp::{
    Codec, ExtensionKind, ExtensionMap, PayloadType, RtpHeaderFields, SeqNo, Ssrc, write_rtp_header,
};
use kith_transport::Transport;

/// Packets that one burst, a video frame, has.
pub(crate) const BURST: usize = 8;

pub(crate) const MEDIA: PayloadType = PayloadType(96);
pub(crate) const RTX: PayloadType = PayloadType(97);

/// SSRC of a publication.
pub(crate) fn ssrc(publication: usize) -> Ssrc {
    Ssrc(1000 + publication as u32)
}

pub(crate) fn extensions() -> ExtensionMap {
    let mut extensions = ExtensionMap::new();
    extensions.set(ExtensionKind::AudioLevel, 1);
    extensions.set(ExtensionKind::AbsSendTime, 2);
    extensions.set(ExtensionKind::TransportWideCc, 3);
    extensions.set(ExtensionKind::Mid, 4);
    extensions
}

/// Datagrams to be processed, written anew for each step into the same memory, as a socket's receive buffer is.
pub(crate) struct Source {
    client: Transport,
    codec: Codec,
    /// Length of an RTP packet, header included.
    len: usize,
    /// Next sequence number of each publication.
    next: Vec<u64>,
    transport_sequence: u16,
    datagrams: Vec<Vec<u8>>,
}

impl Source {
    /// `most` datagrams are made in one step at most.
    pub(crate) fn new(
        client: Transport,
        codec: Codec,
        len: usize,
        publications: usize,
        most: usize,
    ) -> Self {
        Source {
            client,
            codec,
            len,
            next: vec![1; publications],
            transport_sequence: 0,
            datagrams: (0..most).map(|_| Vec::with_capacity(2048)).collect(),
        }
    }

    /// Makes a burst of each publication in turn, beginning with `first`, until there are `count` datagrams of `burst` each.
    pub(crate) fn make(&mut self, first: usize, burst: usize, count: usize) -> &mut [Vec<u8>] {
        let publications = self.next.len();
        for at in 0..count {
            self.write(at, (first + at / burst) % publications);
        }
        &mut self.datagrams[..count]
    }

    fn write(&mut self, at: usize, publication: usize) {
        let n = self.next[publication] - 1;
        self.next[publication] += 1;
        let per_frame = if self.codec == Codec::Opus {
            1
        } else {
            BURST as u64
        };
        let (frame, in_frame) = (n / per_frame, n % per_frame);
        let fields = RtpHeaderFields {
            marker: self.codec != Codec::Opus && in_frame == per_frame - 1,
            payload_type: MEDIA,
            sequence_number: SeqNo(n as u16),
            timestamp: (frame as u32).wrapping_mul(if self.codec == Codec::Opus {
                960
            } else {
                3000
            }),
            ssrc: ssrc(publication),
        };
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let sequence = self.transport_sequence.to_be_bytes();
        let time = [0, at as u8, 0];
        let level: &[u8] = &[0x80 | 30];
        let elements: &[(u8, &[u8])] = match self.codec {
            Codec::Opus => &[(2, &time), (3, &sequence), (1, level)],
            _ => &[(2, &time), (3, &sequence)],
        };
        let datagram = &mut self.datagrams[at];
        datagram.clear();
        datagram.resize(self.len + 32, n as u8);
        let head = write_rtp_header(datagram, &fields, elements).unwrap();
        let payload = &mut datagram[head..self.len];
        if self.codec == Codec::Vp8 {
            let mut descriptor = Vp8Descriptor::default();
            descriptor.start_of_partition = in_frame == 0;
            descriptor.picture_id = Some(PictureId {
                value: (frame & 0x7FFF) as u16,
                wide: true,
            });
            descriptor.tl0_pic_idx = Some(frame as u8);
            descriptor.temporal_id = Some(0);
            descriptor.key_idx = Some(0);
            let at = descriptor.write(payload).unwrap();
            // The first bit of the payload header: not a keyframe.
            payload[at] = u8::from(frame > 0);
        }
        let len = self
            .client
            .seal_rtp((n >> 16) as u32, datagram, self.len)
            .unwrap();
        datagram.truncate(len);
    }
}
