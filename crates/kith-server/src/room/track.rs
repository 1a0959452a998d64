//! A published track: what its publisher announced, and what became of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use kith_net::PublicationId;
use kith_proto::livekit::{
    AddTrackRequest, AudioTrackFeature, BackupCodecPolicy, SimulcastCodecInfo, TimedVersion,
    TrackInfo, TrackSource, TrackType, VideoLayer, video_layer,
};
use kith_rtp::{Codec, MediaKind};

use super::{dynacast::Dynacast, layers, participant_id::ParticipantId, random};

/// Codecs in which one track may be published: its own and a backup, and room for one more of each.
pub(crate) const MAX_CODECS_PER_TRACK: usize = 4;

/// Names a track inside its room; numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TrackId(pub(crate) u64);

/// A track in one codec.
#[derive(Clone, Debug)]
pub(crate) struct TrackCodec {
    /// What the publisher wants to send, and after [`TrackCodec::publication`] is there, what was negotiated.
    pub(crate) codec: Codec,
    /// Format parameters as negotiated.
    pub(crate) fmtp: String,
    /// The client's name for the stream: the track id of `a=msid`. Empty for a backup codec that nobody asked for yet.
    pub(crate) cid: String,
    /// The media plane's name, once a section carries it.
    pub(crate) publication: Option<PublicationId>,
    /// Encodings, low to high.
    pub(crate) layers: Vec<VideoLayer>,
    /// How the layers travel.
    pub(crate) mode: video_layer::Mode,
}

/// A track of a room.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) owner: ParticipantId,
    /// What is told about it. Complete from the first moment.
    pub(crate) info: TrackInfo,
    /// First the codec that it is published in, then backups.
    pub(crate) codecs: Vec<TrackCodec>,
    /// The announcement named its codec; otherwise the client's offer decides.
    pub(crate) named_codec: bool,
    /// A section carries it: the others know it.
    pub(crate) published: bool,
    /// Who wants it and may have it.
    pub(crate) subscribers: BTreeSet<ParticipantId>,
    /// The publisher was told that somebody listens.
    pub(crate) told_subscribed: bool,
    pub(crate) dynacast: Dynacast,
}

impl Track {
    /// The track that `request` announces. `is_enabled` says which codecs may be published.
    pub(crate) fn new(
        id: TrackId,
        owner: ParticipantId,
        request: &AddTrackRequest,
        is_enabled: impl Fn(Codec) -> bool,
    ) -> Self {
        let kind = request_kind(request);
        let codecs = codecs_of(request, kind, is_enabled);
        let mut track = Track {
            id,
            owner,
            info: info_of(request, kind),
            codecs,
            named_codec: super::publish::names_codec(request),
            published: false,
            subscribers: BTreeSet::new(),
            told_subscribed: false,
            dynacast: Dynacast::default(),
        };
        track.refresh();
        track
    }

    pub(crate) fn sid(&self) -> &str {
        &self.info.sid
    }

    pub(crate) fn kind(&self) -> MediaKind {
        if self.info.r#type == TrackType::Video as i32 {
            MediaKind::Video
        } else {
            MediaKind::Audio
        }
    }

    pub(crate) fn is_microphone(&self) -> bool {
        self.info.source == TrackSource::Microphone as i32
    }

    /// The layers of one codec, or those of the track where the codec names none.
    pub(crate) fn layers(&self, codec: usize) -> &[VideoLayer] {
        match self.codecs.get(codec) {
            Some(codec) if !codec.layers.is_empty() => &codec.layers,
            _ => &self.info.layers,
        }
    }

    /// Index of the codec that `publication` carries.
    pub(crate) fn codec_of(&self, publication: PublicationId) -> Option<usize> {
        self.codecs
            .iter()
            .position(|codec| codec.publication == Some(publication))
    }

    /// Whether the cid belongs to this track.
    pub(crate) fn has_cid(&self, cid: &str) -> bool {
        !cid.is_empty() && self.codecs.iter().any(|codec| codec.cid == cid)
    }

    /// Writes into [`Track::info`] what depends on the codecs, and gives it a new version.
    pub(crate) fn refresh(&mut self) {
        let svc = self
            .codecs
            .first()
            .is_some_and(|codec| matches!(codec.codec, Codec::Vp9 | Codec::Av1));
        if let Some(first) = self.codecs.first() {
            self.info.mime_type = first.codec.mime().to_owned();
        }
        // Clients allow `set_video_quality` only on tracks that are marked so, and an SVC stream has qualities too.
        self.info.simulcast = self.kind() == MediaKind::Video && (svc || self.layers(0).len() > 1);
        let mid = self.info.mid.clone();
        self.info.codecs = self
            .codecs
            .iter()
            .enumerate()
            .map(|(index, codec)| SimulcastCodecInfo {
                mime_type: codec.codec.mime().to_owned(),
                mid: if index == 0 {
                    mid.clone()
                } else {
                    String::new()
                },
                cid: codec.cid.clone(),
                layers: codec.layers.clone(),
                video_layer_mode: codec.mode as i32,
                ..SimulcastCodecInfo::default()
            })
            .collect();
        self.info.version = Some(version_now());
    }
}

/// Audio or video; whether the type is one of the two is checked before.
pub(crate) fn request_kind(request: &AddTrackRequest) -> MediaKind {
    if request.r#type == TrackType::Video as i32 {
        MediaKind::Video
    } else {
        MediaKind::Audio
    }
}

fn version_now() -> TimedVersion {
    let micros = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros();
    TimedVersion {
        unix_micro: i64::try_from(micros).unwrap_or(i64::MAX),
        ticks: 0,
    }
}

/// `TR_`, a letter for the kind and one for the source, and the random part.
fn track_sid(kind: MediaKind, source: TrackSource) -> String {
    let kind = match kind {
        MediaKind::Audio => "A",
        MediaKind::Video => "V",
    };
    let source = match source {
        TrackSource::Camera => "C",
        TrackSource::Microphone => "M",
        TrackSource::ScreenShare => "S",
        TrackSource::ScreenShareAudio => "s",
        TrackSource::Unknown => "",
    };
    random::sid(&format!("TR_{kind}{source}"))
}

/// The stream that a track belongs to when its publisher does not say.
fn default_stream(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera | TrackSource::Microphone => "camera",
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => "screen",
        TrackSource::Unknown => "unknown",
    }
}

fn info_of(request: &AddTrackRequest, kind: MediaKind) -> TrackInfo {
    let source = request.source();
    let has = |feature: AudioTrackFeature| request.audio_features.contains(&(feature as i32));
    let stereo = request.stereo || has(AudioTrackFeature::TfStereo);
    let disable_dtx = request.disable_dtx || has(AudioTrackFeature::TfNoDtx);
    let mut features = request.audio_features.clone();
    features.truncate(MAX_FEATURES);
    for (feature, set) in [
        (AudioTrackFeature::TfStereo, request.stereo),
        (AudioTrackFeature::TfNoDtx, request.disable_dtx),
    ] {
        if set && kind == MediaKind::Audio && !features.contains(&(feature as i32)) {
            features.push(feature as i32);
        }
    }
    let mut trailer_features = request.packet_trailer_features.clone();
    trailer_features.truncate(MAX_FEATURES);
    let policy = request.backup_codec_policy();
    TrackInfo {
        sid: track_sid(kind, source),
        r#type: request.r#type,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        disable_dtx,
        source: source as i32,
        layers: layers::sorted(&request.layers),
        stereo,
        disable_red: request.disable_red,
        encryption: request.encryption,
        stream: if request.stream.is_empty() {
            default_stream(source).to_owned()
        } else {
            request.stream.clone()
        },
        audio_features: features,
        backup_codec_policy: match (kind, policy) {
            // Two audio codecs are always sent side by side, unless the publisher asked for one at a time.
            (MediaKind::Audio, policy) if policy != BackupCodecPolicy::Regression => {
                BackupCodecPolicy::Simulcast as i32
            }
            _ => policy as i32,
        },
        packet_trailer_features: trailer_features,
        ..TrackInfo::default()
    }
}

/// Feature flags that a track may have; seven are defined.
pub(crate) const MAX_FEATURES: usize = 16;

fn codecs_of(
    request: &AddTrackRequest,
    kind: MediaKind,
    is_enabled: impl Fn(Codec) -> bool,
) -> Vec<TrackCodec> {
    let mut codecs: Vec<TrackCodec> = Vec::new();
    for wanted in request.simulcast_codecs.iter().take(MAX_CODECS_PER_TRACK) {
        let codec = Codec::from_name(&wanted.codec)
            .filter(|codec| codec.kind() == kind)
            .filter(|codec| is_enabled(*codec))
            .unwrap_or_else(|| fallback(request, kind, &is_enabled));
        if codecs.iter().any(|known| known.codec == codec) {
            continue;
        }
        let cid = if codecs.is_empty() && wanted.cid.is_empty() {
            &request.cid
        } else {
            &wanted.cid
        };
        codecs.push(TrackCodec {
            codec,
            fmtp: String::new(),
            cid: cid.clone(),
            publication: None,
            layers: layers::sorted(&wanted.layers),
            mode: layer_mode(codec, wanted.video_layer_mode()),
        });
    }
    if codecs.is_empty() {
        let codec = fallback(request, kind, &is_enabled);
        codecs.push(TrackCodec {
            codec,
            fmtp: String::new(),
            cid: request.cid.clone(),
            publication: None,
            layers: layers::sorted(&request.layers),
            mode: layer_mode(codec, video_layer::Mode::Unused),
        });
    }
    codecs
}

/// What a publisher gets that names no codec, or one that may not be published.
fn fallback(
    request: &AddTrackRequest,
    kind: MediaKind,
    is_enabled: impl Fn(Codec) -> bool,
) -> Codec {
    match kind {
        MediaKind::Audio if !request.disable_red && is_enabled(Codec::Red) => Codec::Red,
        MediaKind::Audio => Codec::Opus,
        MediaKind::Video => Codec::ALL
            .into_iter()
            .filter(|codec| codec.kind() == MediaKind::Video)
            .find(|codec| is_enabled(*codec))
            .unwrap_or(Codec::Vp8),
    }
}

/// How layers travel when the publisher does not say.
pub(crate) fn layer_mode(codec: Codec, said: video_layer::Mode) -> video_layer::Mode {
    match (codec, said) {
        (codec, _) if codec.kind() == MediaKind::Audio => video_layer::Mode::Unused,
        (Codec::Vp9 | Codec::Av1, video_layer::Mode::Unused) => {
            video_layer::Mode::MultipleSpatialLayersPerStream
        }
        (_, video_layer::Mode::Unused) => video_layer::Mode::OneSpatialLayerPerStream,
        (_, said) => said,
    }
}

/// The tracks of a room, published and announced.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    by_id: BTreeMap<TrackId, Track>,
    by_sid: HashMap<String, TrackId>,
    by_publication: HashMap<PublicationId, TrackId>,
    next: u64,
}

impl Tracks {
    /// The id for the next track.
    pub(crate) fn next_id(&mut self) -> TrackId {
        self.next += 1;
        TrackId(self.next)
    }

    /// Adds a track.
    pub(crate) fn insert(&mut self, track: Track) {
        self.by_sid.insert(track.info.sid.clone(), track.id);
        self.by_id.insert(track.id, track);
    }

    /// Removes a track.
    pub(crate) fn remove(&mut self, id: TrackId) -> Option<Track> {
        let track = self.by_id.remove(&id)?;
        self.by_sid.remove(&track.info.sid);
        for publication in track.codecs.iter().filter_map(|codec| codec.publication) {
            self.by_publication.remove(&publication);
        }
        Some(track)
    }

    /// Notes that a codec of a track is carried by `publication`.
    pub(crate) fn set_publication(
        &mut self,
        id: TrackId,
        codec: usize,
        publication: Option<PublicationId>,
    ) {
        let Some(codec) = self
            .by_id
            .get_mut(&id)
            .and_then(|track| track.codecs.get_mut(codec))
        else {
            return;
        };
        if let Some(old) = codec.publication {
            self.by_publication.remove(&old);
        }
        codec.publication = publication;
        if let Some(new) = publication {
            self.by_publication.insert(new, id);
        }
    }

    pub(crate) fn get(&self, id: TrackId) -> Option<&Track> {
        self.by_id.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: TrackId) -> Option<&mut Track> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn id_of(&self, sid: &str) -> Option<TrackId> {
        self.by_sid.get(sid).copied()
    }

    pub(crate) fn of_publication(&self, publication: PublicationId) -> Option<&Track> {
        self.by_id.get(self.by_publication.get(&publication)?)
    }

    /// All tracks, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Track> {
        self.by_id.values()
    }
}

#[cfg(test)]
mod tests {
    use kith_proto::livekit::{SimulcastCodec, VideoQuality, encryption};

    use super::*;

    fn request(kind: TrackType, source: TrackSource) -> AddTrackRequest {
        AddTrackRequest {
            cid: "cid".to_owned(),
            r#type: kind as i32,
            source: source as i32,
            ..AddTrackRequest::default()
        }
    }

    fn track(request: &AddTrackRequest) -> Track {
        Track::new(TrackId(1), ParticipantId(1), request, |_| true)
    }

    #[test]
    fn a_sid_tells_kind_and_source() {
        for (kind, source, prefix) in [
            (TrackType::Audio, TrackSource::Microphone, "TR_AM"),
            (TrackType::Video, TrackSource::Camera, "TR_VC"),
            (TrackType::Video, TrackSource::ScreenShare, "TR_VS"),
            (TrackType::Audio, TrackSource::ScreenShareAudio, "TR_As"),
        ] {
            assert!(track(&request(kind, source)).sid().starts_with(prefix));
        }
    }

    #[test]
    fn an_svc_codec_counts_as_simulcast_and_the_layer_mode_says_how() {
        let mut svc = request(TrackType::Video, TrackSource::Camera);
        svc.simulcast_codecs = vec![
            SimulcastCodec {
                codec: "vp9".to_owned(),
                cid: "cid".to_owned(),
                ..SimulcastCodec::default()
            },
            SimulcastCodec {
                codec: "vp8".to_owned(),
                ..SimulcastCodec::default()
            },
        ];
        let track = track(&svc);
        assert!(track.info.simulcast);
        assert_eq!(track.info.mime_type, "video/VP9");
        assert_eq!(track.info.codecs.len(), 2);
        assert_eq!(
            track.info.codecs[0].video_layer_mode(),
            video_layer::Mode::MultipleSpatialLayersPerStream
        );
        assert_eq!(track.codecs[1].cid, "");
    }

    #[test]
    fn what_the_publisher_said_is_echoed() {
        let mut audio = request(TrackType::Audio, TrackSource::Microphone);
        audio.name = "mic".to_owned();
        audio.encryption = encryption::Type::Gcm as i32;
        audio.disable_red = true;
        audio.audio_features = vec![AudioTrackFeature::TfStereo as i32];
        let info = track(&audio).info;
        assert_eq!(info.name, "mic");
        assert_eq!(info.encryption(), encryption::Type::Gcm);
        assert!(info.disable_red && info.stereo);
        assert_eq!(info.mime_type, "audio/opus");
        assert_eq!(info.stream, "camera");
        assert!(info.version.is_some());
    }

    #[test]
    fn a_codec_that_is_not_enabled_is_replaced() {
        let mut h265 = request(TrackType::Video, TrackSource::Camera);
        h265.simulcast_codecs = vec![SimulcastCodec {
            codec: "video/H265".to_owned(),
            ..SimulcastCodec::default()
        }];
        let track = Track::new(TrackId(1), ParticipantId(1), &h265, |codec| {
            codec == Codec::H264
        });
        assert_eq!(track.codecs[0].codec, Codec::H264);
        assert_eq!(track.codecs[0].cid, "cid");
    }

    #[test]
    fn layers_are_told_low_to_high() {
        let mut video = request(TrackType::Video, TrackSource::Camera);
        video.layers = [VideoQuality::High, VideoQuality::Low]
            .map(|quality| VideoLayer {
                quality: quality as i32,
                ..VideoLayer::default()
            })
            .to_vec();
        let info = track(&video).info;
        assert_eq!(info.layers[0].quality(), VideoQuality::Low);
        assert!(info.simulcast);
    }
}
