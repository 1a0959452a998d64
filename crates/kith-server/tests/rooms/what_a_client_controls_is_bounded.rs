use kith_net::Command;
use kith_proto::livekit::{
    SignalTarget, TrickleRequest, UpdateSubscription, UpdateTrackSettings,
    request_response::Reason, signal_request, signal_response::Message,
};

use crate::support::{World, dual, microphone, sdp, sdp::Section};

fn reasons(message: Message) -> Option<Reason> {
    match message {
        Message::RequestResponse(response) => Some(response.reason()),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_tracks_are_announced_at_a_time() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    for n in 0..20 {
        alice.add_track(microphone(&format!("mic{n}"))).await;
    }
    alice
        .send(signal_request::Message::AddTrack(microphone("one more")))
        .await;
    assert_eq!(alice.now(reasons).await, [Reason::LimitExceeded]);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_announcements_wait_for_a_cid() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice.add_track(microphone("mic")).await;
    for _ in 0..4 {
        alice
            .send(signal_request::Message::AddTrack(microphone("mic")))
            .await;
    }
    assert_eq!(
        alice.now(reasons).await,
        [
            Reason::Queued,
            Reason::Queued,
            Reason::Queued,
            Reason::LimitExceeded
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn long_texts_are_refused() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    let mut request = microphone("mic");
    request.name = "x".repeat(10_000);
    alice.send(signal_request::Message::AddTrack(request)).await;
    assert_eq!(alice.now(reasons).await, [Reason::LimitExceeded]);
}

#[tokio::test(start_paused = true)]
async fn wishes_and_settings_for_nothing_do_not_pile_up() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    for round in 0..20 {
        let sids: Vec<String> = (0..1000).map(|n| format!("TR_{round}_{n}")).collect();
        alice
            .send(signal_request::Message::Subscription(UpdateSubscription {
                track_sids: sids.clone(),
                subscribe: false,
                participant_tracks: Vec::new(),
            }))
            .await;
        alice
            .send(signal_request::Message::TrackSetting(UpdateTrackSettings {
                track_sids: sids,
                ..UpdateTrackSettings::default()
            }))
            .await;
    }
    alice.settle().await;
    // The session lives on, and what is said about tracks that exist still counts.
    alice.send(signal_request::Message::Ping(1)).await;
    alice
        .expect("pong", |message| {
            matches!(message, Message::Pong(_)).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn candidates_are_counted() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice.offer_sections(&[]).await;
    for n in 0..1000 {
        alice
            .send(signal_request::Message::Trickle(TrickleRequest {
                candidate_init: format!(
                    r#"{{"candidate":"candidate:1 1 udp 1 192.0.2.9 {n} typ host","sdpMid":"0","sdpMLineIndex":0}}"#
                ),
                target: SignalTarget::Publisher as i32,
                r#final: false,
            }))
            .await;
    }
    alice.settle().await;
    let passed = world
        .media
        .all(|command| matches!(command, Command::AddRemoteCandidate { .. }).then_some(()));
    assert_eq!(passed.len(), 256);
}

#[tokio::test(start_paused = true)]
async fn an_offer_may_not_lose_sections() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice
        .offer_text(
            1,
            &sdp::offer(&[Section::audio("a"), Section::audio("b")], 1),
        )
        .await;
    alice.server_answer().await;
    alice.offer_text(2, &sdp::offer(&[], 1)).await;
    alice.leave_message().await;
}
