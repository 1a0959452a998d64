//! The name of a publication. Its upper 16 bits are the shard that owns it, so that nobody needs a table to find the
//! owner. (Transports and subscriptions are named in `kith-net`, which is what has them.)

/// How many low bits of an id count within a shard. 2⁴⁸ ids per shard are not used up in any process's life.
const LOCAL_BITS: u32 = 48;

/// One published track in one codec: what a receiving section of a transport carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PublicationId(pub u64);

impl PublicationId {
    /// The publication with number `local` (its low 48 bits) on `shard`.
    pub const fn new(shard: u16, local: u64) -> Self {
        PublicationId(((shard as u64) << LOCAL_BITS) | (local & ((1 << LOCAL_BITS) - 1)))
    }

    /// The shard that owns it.
    pub const fn shard(self) -> u16 {
        (self.0 >> LOCAL_BITS) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_its_shard() {
        let id = PublicationId::new(7, 42);
        assert_eq!(id.shard(), 7);
        assert_eq!(id.0 & 0xFFFF_FFFF_FFFF, 42);
        assert_eq!(PublicationId::new(7, u64::MAX).shard(), 7);
    }
}
