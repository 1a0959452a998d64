//! Rooms: who is in them, what they publish and what they get.
//!
//! A room is an actor: one task with a bounded mailbox ([`actor`]) around plain state ([`state`]) that nothing else
//! touches. Joins, signal requests, events of the media plane and deadlines come in through it; what goes out are
//! messages on the participants' signalling connections and commands to the media plane, neither of which blocks.
//! **Nothing is locked while anything is called**, and no request waits for another participant.
//!
//! What is said is collected until all inputs that are already there have been looked at, and then sent in this order:
//! who changed, then offers and answers, then what publishers are to stop or start. So a client knows a track before it is
//! offered, and ten joins in one instant lead to one offer.

mod actor;
mod announce;
mod data;
mod data_tracks;
mod dynacast;
mod events;
mod join;
pub(crate) mod layers;
mod leave;
mod manager;
mod media;
mod metadata;
mod negotiate;
mod participant_id;
mod publish;
pub(crate) mod random;
mod requests;
mod resume;
mod settings;
mod speakers;
mod state;
mod subscribe;
mod timers;
mod track;

pub use manager::RoomManager;
pub use media::Media;
pub use settings::{PROTOCOL, REPORTED_VERSION, RoomSettings};

pub(crate) use participant_id::ParticipantId;
pub(crate) use track::TrackId;
