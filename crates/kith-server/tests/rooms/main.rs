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

mod the_join_response_is_first_and_complete;
mod two_silent_participants_see_each_other;
