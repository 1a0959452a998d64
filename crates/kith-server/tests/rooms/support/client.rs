//! A client that does what its test says.

use std::{sync::Arc, time::Duration};

use kith_net::TransportId;
use kith_proto::livekit::{
    AddTrackRequest, JoinResponse, LeaveRequest, ParticipantInfo, SessionDescription,
    SignalRequest, SignalTarget, SimulcastCodec, TrackInfo, TrackSource, TrackType, VideoLayer,
    VideoQuality, participant_info::State, signal_request, signal_response::Message,
};
use kith_server::signal::{Outbound, SocketChannel};

use super::{
    Recorder,
    sdp::{self, Section},
};

/// Longer than anything takes that is not waiting for a timer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Client {
    pub(crate) identity: String,
    pub(crate) joined: JoinResponse,
    socket: SocketChannel,
    media: Arc<Recorder>,
    /// What came and was not asked for yet.
    pending: Vec<Message>,
    /// Everything that ever came.
    pub(crate) log: Vec<Message>,
    pub(crate) closed: bool,
    offers: u32,
    /// Place of the data section: after those of the first offer, for ever.
    data_at: Option<usize>,
    pub(crate) ice: u32,
}

impl Client {
    pub(crate) fn new(identity: String, socket: SocketChannel, media: Arc<Recorder>) -> Self {
        Client {
            identity,
            joined: JoinResponse::default(),
            socket,
            media,
            pending: Vec::new(),
            log: Vec::new(),
            closed: false,
            offers: 0,
            data_at: None,
            ice: 1,
        }
    }

    pub(crate) fn sid(&self) -> String {
        self.joined.participant.as_ref().unwrap().sid.clone()
    }

    pub(crate) async fn send(&self, message: signal_request::Message) {
        assert!(self.try_send(message).await, "the room reads");
    }

    /// Sends, unless the room has given up this connection.
    pub(crate) async fn try_send(&self, message: signal_request::Message) -> bool {
        let request = SignalRequest {
            message: Some(message),
        };
        self.socket.requests.send(request).await.is_ok()
    }

    /// The next message, whatever it is.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        if self.pending.is_empty() {
            self.receive().await?;
        }
        Some(self.pending.remove(0))
    }

    async fn receive(&mut self) -> Option<()> {
        let outbound = tokio::time::timeout(PATIENCE, self.socket.responses.recv())
            .await
            .ok()??;
        let response = match outbound {
            Outbound::Message(response) => *response,
            Outbound::Shared(shared) => shared.response().clone(),
            Outbound::Close => {
                self.closed = true;
                return None;
            }
        };
        let message = response.message.expect("no empty messages");
        self.log.push(message.clone());
        self.pending.push(message);
        Some(())
    }

    /// The next message that `pick` takes; those before it stay for others.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&Message) -> Option<T>,
    ) -> T {
        let mut looked_at = 0;
        loop {
            while let Some(message) = self.pending.get(looked_at) {
                if let Some(found) = pick(message) {
                    self.pending.remove(looked_at);
                    return found;
                }
                looked_at += 1;
            }
            if self.receive().await.is_none() {
                panic!(
                    "{} waited for {what}, got {:#?}",
                    self.identity, self.pending
                );
            }
        }
    }

    /// Lets everything happen that happens without time passing, and takes what came.
    pub(crate) async fn settle(&mut self) -> Vec<Message> {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        while let Ok(outbound) = self.socket.responses.try_recv() {
            let response = match outbound {
                Outbound::Message(response) => *response,
                Outbound::Shared(shared) => shared.response().clone(),
                Outbound::Close => {
                    self.closed = true;
                    continue;
                }
            };
            let message = response.message.expect("no empty messages");
            self.log.push(message.clone());
            self.pending.push(message);
        }
        std::mem::take(&mut self.pending)
    }

    /// What came up to now that `pick` takes; the rest is thrown away.
    pub(crate) async fn now<T>(&mut self, pick: impl FnMut(Message) -> Option<T>) -> Vec<T> {
        self.settle().await.into_iter().filter_map(pick).collect()
    }

    pub(crate) async fn read_join(&mut self) {
        match self.next().await {
            Some(Message::Join(join)) => self.joined = join,
            other => panic!("the first message is no join: {other:#?}"),
        }
    }

    /// The participant as the next update that names it tells it.
    pub(crate) async fn update_of(&mut self, identity: &str) -> ParticipantInfo {
        self.expect(
            &format!("an update of {identity}"),
            |message| match message {
                Message::Update(update) => update
                    .participants
                    .iter()
                    .find(|info| info.identity == identity)
                    .cloned(),
                _ => None,
            },
        )
        .await
    }

    /// The next update that shows the participant in a state.
    pub(crate) async fn state_of(&mut self, identity: &str, state: State) -> ParticipantInfo {
        self.expect(
            &format!("{identity} to be {state:?}"),
            |message| match message {
                Message::Update(update) => update
                    .participants
                    .iter()
                    .find(|info| info.identity == identity && info.state() == state)
                    .cloned(),
                _ => None,
            },
        )
        .await
    }

    /// The next update in which the participant has `count` tracks.
    pub(crate) async fn tracks_of(&mut self, identity: &str, count: usize) -> Vec<TrackInfo> {
        self.expect(
            &format!("{count} tracks of {identity}"),
            |message| match message {
                Message::Update(update) => update
                    .participants
                    .iter()
                    .find(|info| info.identity == identity && info.tracks.len() == count)
                    .map(|info| info.tracks.clone()),
                _ => None,
            },
        )
        .await
    }

    pub(crate) async fn leave_message(&mut self) -> LeaveRequest {
        self.expect("leave", |message| match message {
            Message::Leave(leave) => Some(leave.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn server_offer(&mut self) -> SessionDescription {
        self.expect("an offer", |message| match message {
            Message::Offer(offer) => Some(offer.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn server_answer(&mut self) -> SessionDescription {
        self.expect("an answer", |message| match message {
            Message::Answer(answer) => Some(answer.clone()),
            _ => None,
        })
        .await
    }

    /// Answers the next offer, and returns it.
    pub(crate) async fn answer(&mut self) -> SessionDescription {
        let offer = self.server_offer().await;
        self.answer_with(&offer, &sdp::ALL_CODECS).await;
        offer
    }

    pub(crate) async fn answer_with(&self, offer: &SessionDescription, codecs: &[&str]) {
        self.send(signal_request::Message::Answer(SessionDescription {
            r#type: "answer".to_owned(),
            sdp: sdp::answer_to(&offer.sdp, codecs),
            id: offer.id,
            mid_to_track_id: Default::default(),
        }))
        .await;
    }

    /// Offers these sections and data, and reads the answer. Sections that the first offer did not have come after data.
    pub(crate) async fn offer_sections(&mut self, sections: &[Section]) -> SessionDescription {
        let data_at = *self.data_at.get_or_insert(sections.len());
        self.offers += 1;
        let id = self.offers;
        self.send(signal_request::Message::Offer(SessionDescription {
            r#type: "offer".to_owned(),
            sdp: sdp::offer_with_data_at(sections, data_at, self.ice),
            id,
            mid_to_track_id: Default::default(),
        }))
        .await;
        let answer = self.server_answer().await;
        assert_eq!(answer.id, id, "the id is echoed");
        assert_eq!(answer.r#type, "answer");
        answer
    }

    /// Sends a text as an offer.
    pub(crate) async fn offer_text(&self, id: u32, sdp: &str) {
        self.send(signal_request::Message::Offer(SessionDescription {
            r#type: "offer".to_owned(),
            sdp: sdp.to_owned(),
            id,
            mid_to_track_id: Default::default(),
        }))
        .await;
    }

    pub(crate) async fn add_track(&mut self, request: AddTrackRequest) -> TrackInfo {
        let cid = request.cid.clone();
        self.send(signal_request::Message::AddTrack(request)).await;
        self.published(&cid).await
    }

    pub(crate) async fn published(&mut self, cid: &str) -> TrackInfo {
        self.expect("TrackPublished", |message| match message {
            Message::TrackPublished(published) if published.cid == cid => {
                Some(published.track.clone().expect("complete"))
            }
            _ => None,
        })
        .await
    }

    /// Publishes a microphone as `mic`.
    pub(crate) async fn publish_audio(&mut self) -> TrackInfo {
        let track = self.add_track(microphone("mic")).await;
        self.offer_sections(&[Section::audio("mic")]).await;
        track
    }

    /// Publishes a camera with three layers as `cam`.
    pub(crate) async fn publish_video(&mut self) -> TrackInfo {
        let track = self.add_track(camera("cam")).await;
        self.offer_sections(&[Section::video("cam").rids(&["q", "h", "f"])])
            .await;
        track
    }

    /// The transport of the client's own peer connection, by its place among those of this client.
    fn transport(&self, subscriber: bool) -> TransportId {
        // Every client of a test has its own ufrags; the server's are in the descriptions that it got.
        let ufrag = self
            .log
            .iter()
            .rev()
            .find_map(|message| match message {
                Message::Offer(description) if subscriber => Some(&description.sdp),
                Message::Answer(description)
                    if !subscriber && description.sdp.contains("a=ice-ufrag:") =>
                {
                    Some(&description.sdp)
                }
                _ => None,
            })
            .and_then(|sdp| {
                sdp.lines()
                    .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
            })
            .expect("a description of the server's");
        self.media
            .transport_with(ufrag)
            .expect("a transport with these credentials")
    }

    pub(crate) fn publisher(&self) -> TransportId {
        self.transport(false)
    }

    pub(crate) fn subscriber(&self) -> TransportId {
        self.transport(true)
    }

    pub(crate) async fn publisher_connects(&self) {
        self.media.connects(self.publisher()).await;
    }

    pub(crate) async fn subscriber_connects(&self) {
        self.media.connects(self.subscriber()).await;
    }

    /// The socket goes away without a word.
    pub(crate) fn vanish(self) {
        drop(self);
    }

    pub(crate) async fn leaves(&self) {
        self.send(signal_request::Message::Leave(LeaveRequest::default()))
            .await;
    }
}

/// A microphone with this cid.
pub(crate) fn microphone(cid: &str) -> AddTrackRequest {
    AddTrackRequest {
        cid: cid.to_owned(),
        name: "microphone".to_owned(),
        r#type: TrackType::Audio as i32,
        source: TrackSource::Microphone as i32,
        ..AddTrackRequest::default()
    }
}

/// A camera with this cid and three VP8 layers.
pub(crate) fn camera(cid: &str) -> AddTrackRequest {
    let layers: Vec<VideoLayer> = [
        (VideoQuality::Low, 320, 180, "q"),
        (VideoQuality::Medium, 640, 360, "h"),
        (VideoQuality::High, 1280, 720, "f"),
    ]
    .into_iter()
    .map(|(quality, width, height, rid)| VideoLayer {
        quality: quality as i32,
        width,
        height,
        rid: rid.to_owned(),
        ..VideoLayer::default()
    })
    .collect();
    AddTrackRequest {
        cid: cid.to_owned(),
        name: "camera".to_owned(),
        r#type: TrackType::Video as i32,
        source: TrackSource::Camera as i32,
        width: 1280,
        height: 720,
        layers: layers.clone(),
        simulcast_codecs: vec![SimulcastCodec {
            codec: "vp8".to_owned(),
            cid: cid.to_owned(),
            layers,
            ..SimulcastCodec::default()
        }],
        ..AddTrackRequest::default()
    }
}

/// Which peer connection a trickle message is for.
pub(crate) fn target(target: i32) -> SignalTarget {
    SignalTarget::try_from(target).expect("a known target")
}
