use kith_proto::livekit::{
    DisconnectReason, leave_request::Action, participant_info::State, signal_response::Message,
};

use crate::support::{World, dual};

#[tokio::test(start_paused = true)]
async fn the_old_one_is_told_and_the_others_see_the_new_sid() {
    let world = World::new();
    let mut bob = world.connect("bob").await;
    let mut first = world.connect("alice").await;
    first.publish_audio().await;
    bob.tracks_of("alice", 1).await;
    let second = world.join(dual("alice")).await;
    let leave = first.leave_message().await;
    assert_eq!(leave.reason(), DisconnectReason::DuplicateIdentity);
    assert_eq!(leave.action(), Action::Disconnect);
    first.settle().await;
    assert!(first.closed);
    assert_ne!(first.sid(), second.sid());
    // One after the other, whether in one message or in two.
    let seen: Vec<_> = bob
        .now(|message| match message {
            Message::Update(update) => Some(update.participants),
            _ => None,
        })
        .await
        .into_iter()
        .flatten()
        .collect();
    let [.., gone, back] = &seen[..] else {
        panic!("{seen:#?}");
    };
    assert_eq!(gone.sid, first.sid());
    assert_eq!(gone.state(), State::Disconnected);
    assert_eq!(
        gone.disconnect_reason(),
        DisconnectReason::DuplicateIdentity
    );
    assert_eq!(back.sid, second.sid());
    assert_eq!(back.state(), State::Joined);
    assert!(back.tracks.is_empty());
    let closed = world.media.all(|command| match command {
        kith_net::Command::CloseTransport { transport } => Some(*transport),
        _ => None,
    });
    assert_eq!(closed.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_the_old_connection_do_not_reach_the_new_session() {
    let world = World::new();
    let first = world.connect("alice").await;
    let mut second = world.join(dual("alice")).await;
    first.vanish();
    second.settle().await;
    assert!(!second.closed);
    let left = second
        .log
        .iter()
        .any(|message| matches!(message, Message::Leave(_)));
    assert!(!left);
}
