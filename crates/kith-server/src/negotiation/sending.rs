//! What both ways of negotiating know about a track on its way to a subscriber.

use kith_net::{DownTrackSpec, PublicationId};
use kith_rtp::{Codec, MediaKind};
use kith_sdp::{NegotiatedSection, SenderSpec};

use super::{
    link::Link,
    mapping::{self, StreamNames},
    policy::{self, SendFormat},
};
use crate::room::TrackId;

/// A codec of a track, and whether the publisher sends it already.
#[derive(Clone, Debug)]
pub(crate) struct PublishedFormat {
    pub(crate) format: SendFormat,
    pub(crate) publication: Option<PublicationId>,
}

/// A track that a subscriber wants, as it is at this moment.
#[derive(Clone, Debug)]
pub(crate) struct SendTrack {
    pub(crate) id: TrackId,
    pub(crate) sid: String,
    pub(crate) publisher_sid: String,
    pub(crate) kind: MediaKind,
    pub(crate) stereo: bool,
    /// Its own codec first, then backups.
    pub(crate) formats: Vec<PublishedFormat>,
}

impl SendTrack {
    /// The formats that are there to be sent.
    pub(crate) fn published(&self) -> impl Iterator<Item = (&SendFormat, PublicationId)> {
        self.formats
            .iter()
            .filter_map(|format| Some((&format.format, format.publication?)))
    }
}

/// A track in a section.
#[derive(Clone, Debug)]
pub(crate) struct SendSlot {
    pub(crate) track: TrackId,
    pub(crate) sid: String,
    pub(crate) names: StreamNames,
    pub(crate) spec: SenderSpec,
    /// What may be sent in it, the most wanted first.
    sources: Vec<(Codec, PublicationId)>,
    /// What was agreed on last.
    agreed: Option<(PublicationId, DownTrackSpec)>,
}

/// What a negotiation did to a track.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Placement {
    /// It can be sent: start.
    Start {
        track: TrackId,
        publication: PublicationId,
        down: DownTrackSpec,
    },
    /// It is sent already, but payload types or extensions changed: it needs a section with a new stream.
    Restart { track: TrackId },
    /// The subscriber has none of its codecs.
    Unsupported { track: TrackId },
    /// The subscriber has a codec of it that the publisher does not send yet.
    NeedsCodec { track: TrackId, codec: Codec },
}

impl SendSlot {
    /// Makes a slot for `track`. `takes` says which codecs the section has.
    pub(crate) fn new(link: &mut Link, track: &SendTrack, takes: impl Fn(Codec) -> bool) -> Self {
        let names = link.stream_names(track.kind == MediaKind::Video);
        let published: Vec<(&SendFormat, PublicationId)> = track
            .published()
            .filter(|(format, _)| takes(format.codec))
            .collect();
        let formats: Vec<SendFormat> = published
            .iter()
            .map(|(format, _)| (*format).clone())
            .collect();
        let mut spec = policy::send(
            track.kind,
            format!("{}|{}", track.publisher_sid, track.sid),
            track.sid.clone(),
            track.publisher_sid.clone(),
            names,
            track.stereo,
        );
        spec.codecs = policy::preferences(&formats);
        SendSlot {
            track: track.id,
            sid: track.sid.clone(),
            names,
            spec,
            sources: published
                .iter()
                .map(|(format, publication)| (format.codec, *publication))
                .collect(),
            agreed: None,
        }
    }

    /// Reads what was agreed on. `None`: nothing changed.
    pub(crate) fn agree(&mut self, section: &NegotiatedSection) -> Option<Placement> {
        let track = self.track;
        let down = (!section.rejected && section.direction.sends())
            .then(|| mapping::down_track(section, self.names, &self.spec.cname))
            .flatten();
        let Some(down) = down else {
            return Some(Placement::Unsupported { track });
        };
        let has = |codec: Codec| down.codecs.iter().any(|sent| sent.codec == codec);
        let source = self.sources.iter().find(|(codec, _)| match codec {
            Codec::Red | Codec::Opus => has(Codec::Opus) || has(Codec::Red),
            codec => has(*codec),
        });
        let publication = match (&self.agreed, source) {
            // A stream keeps its source: another one would begin anew under an SSRC that was used.
            (Some((publication, _)), Some(_)) => *publication,
            (None, Some((_, publication))) => *publication,
            (_, None) => return Some(Placement::Unsupported { track }),
        };
        let before = self.agreed.replace((publication, down.clone()));
        match before {
            Some((_, was)) => (was != down).then_some(Placement::Restart { track }),
            None => Some(Placement::Start {
                track,
                publication,
                down,
            }),
        }
    }
}
