//! Offers and answers: which section carries what.
//!
//! What this module is: the state of the two kinds of peer connection ([`answerer`]: the client offers; [`offerer`]: the
//! server offers) and the decisions about codecs, sections and candidates. What it is not: rooms. It is given the tracks
//! that matter as plain data and answers with placements; rooms act on them.
//!
//! **No timers**: an offer or answer leaves as soon as there is a reason for it, and what piles up meanwhile goes into
//! the next.

pub(crate) mod answerer;
pub(crate) mod candidate;
pub(crate) mod link;
pub(crate) mod mapping;
pub(crate) mod offerer;
pub(crate) mod policy;
pub(crate) mod requirement;
pub(crate) mod sending;
