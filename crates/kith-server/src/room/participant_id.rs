//! The room's own name for a participant.

/// Names a participant inside its room; numbers are never used twice, so what was meant for one who left never reaches
/// the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ParticipantId(pub(crate) u64);
