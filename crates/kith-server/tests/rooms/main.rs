//! Rooms as their clients see them: scripted clients over the signal channel, a media plane that only writes down what it
//! is told. One module per rule.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop a test"
)]

mod support;

mod a_client_that_is_gone_is_cleaned_up;
mod a_lost_signalling_connection_is_resumed;
mod a_publisher_stops_what_nobody_wants;
mod a_second_session_replaces_the_first;
mod a_single_peer_connection_is_answered;
mod a_track_is_published_before_or_after_its_offer;
mod candidates_go_both_ways;
mod codecs_are_negotiated_per_track;
mod data_reaches_whom_it_names;
mod data_tracks_go_to_subscribers;
mod layers_follow_what_is_shown;
mod metadata_updates_are_answered;
mod permissions_are_honoured;
mod real_offers_are_answered;
mod rooms_begin_and_end;
mod speakers_are_told_to_listeners;
mod subscriptions_are_idempotent;
mod the_join_response_is_first_and_complete;
mod the_server_offers_one_at_a_time;
mod two_silent_participants_see_each_other;
mod what_a_client_controls_is_bounded;
