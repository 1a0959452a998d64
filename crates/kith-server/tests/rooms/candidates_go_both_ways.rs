use kith_net::Command;
use kith_proto::livekit::{
    SignalTarget, TrickleRequest, request_response::Reason, signal_request,
    signal_response::Message,
};

use crate::support::{Client, World, dual, sdp, single, target};

fn candidates(world: &World) -> Vec<(kith_net::TransportId, String)> {
    world.media.all(|command| match command {
        Command::AddRemoteCandidate {
            transport,
            candidate,
        } => Some((*transport, candidate.clone())),
        _ => None,
    })
}

fn trickle(init: &str, target: SignalTarget) -> signal_request::Message {
    signal_request::Message::Trickle(TrickleRequest {
        candidate_init: init.to_owned(),
        target: target as i32,
        r#final: false,
    })
}

const INIT: &str =
    r#"{"candidate":"candidate:1 1 udp 1 192.0.2.9 1 typ host","sdpMid":"0","sdpMLineIndex":0}"#;

async fn told(client: &mut Client) -> TrickleRequest {
    client
        .expect("a candidate", |message| match message {
            Message::Trickle(trickle) => Some(trickle.clone()),
            _ => None,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn ours_are_in_the_description_and_told_as_complete_json() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    let offer = alice.answer().await;
    assert!(offer.sdp.contains("192.0.2.1 7882 typ host"));
    let subscriber = told(&mut alice).await;
    assert_eq!(target(subscriber.target), SignalTarget::Subscriber);
    assert!(subscriber.r#final);
    alice.offer_sections(&[]).await;
    let publisher = told(&mut alice).await;
    assert_eq!(target(publisher.target), SignalTarget::Publisher);
    for trickle in [subscriber, publisher] {
        let json: serde_json::Value = serde_json::from_str(&trickle.candidate_init).unwrap();
        assert!(
            json["candidate"]
                .as_str()
                .unwrap()
                .starts_with("candidate:")
        );
        assert_eq!(json["sdpMid"], "0");
        assert_eq!(json["sdpMLineIndex"], 0);
    }
    // Told once for each set of credentials.
    alice.offer_sections(&[]).await;
    let more = alice
        .now(|message| matches!(message, Message::Trickle(_)).then_some(()))
        .await;
    assert!(more.is_empty());
}

#[tokio::test(start_paused = true)]
async fn theirs_reach_the_transport_that_they_name() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    alice.answer().await;
    alice.offer_sections(&[]).await;
    alice.send(trickle(INIT, SignalTarget::Subscriber)).await;
    alice.send(trickle(INIT, SignalTarget::Publisher)).await;
    alice.settle().await;
    let transports: Vec<_> = candidates(&world)
        .into_iter()
        .map(|(transport, _)| transport)
        .collect();
    assert_eq!(transports, [alice.subscriber(), alice.publisher()]);
    assert_eq!(
        candidates(&world)[0].1,
        "candidate:1 1 udp 1 192.0.2.9 1 typ host"
    );
}

#[tokio::test(start_paused = true)]
async fn a_candidate_before_its_offer_waits_for_it() {
    let world = World::new();
    let mut alice = world.join(single("alice")).await;
    alice.send(trickle(INIT, SignalTarget::Subscriber)).await;
    alice.settle().await;
    assert!(candidates(&world).is_empty());
    alice.offer_sections(&[]).await;
    assert_eq!(candidates(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_candidates_is_no_error_and_nonsense_is() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    for end in ["", r#"{"candidate":"","sdpMid":"0","sdpMLineIndex":0}"#] {
        alice.send(trickle(end, SignalTarget::Publisher)).await;
    }
    let refused = |message: Message| match message {
        Message::RequestResponse(response) => Some(response.reason()),
        _ => None,
    };
    assert!(alice.now(refused).await.is_empty());
    alice
        .send(trickle("nonsense", SignalTarget::Publisher))
        .await;
    assert_eq!(alice.now(refused).await, [Reason::UnclassifiedError]);
}

#[tokio::test(start_paused = true)]
async fn an_offer_with_other_credentials_restarts_ice_on_both_ends() {
    let world = World::new();
    let mut alice = world.join(dual("alice")).await;
    let ufrag = |sdp: &str| sdp::parse(sdp).media()[0].ice_ufrag.clone().unwrap();
    let first = alice.offer_sections(&[]).await;
    let again = alice.offer_sections(&[]).await;
    assert_eq!(ufrag(&first.sdp), ufrag(&again.sdp));
    world.media.clear();
    alice.ice += 1;
    let restarted = alice.offer_sections(&[]).await;
    assert_ne!(ufrag(&first.sdp), ufrag(&restarted.sdp));
    let order: Vec<&str> = world.media.all(|command| match command {
        Command::RestartIce { local_ice, .. } => {
            assert_eq!(local_ice.ufrag(), ufrag(&restarted.sdp));
            Some("restart")
        }
        Command::SetRemote { .. } => Some("remote"),
        _ => None,
    });
    assert_eq!(order, ["restart", "remote"]);
    // The new credentials come with candidates.
    told(&mut alice).await;
}
