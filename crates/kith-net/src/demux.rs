//! Whose datagram is it: by the address it comes from, or by the ufrag of a connectivity check.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::api::ShardId;

/// Which of a shard's local addresses a datagram was sent to: index into the list of bases that all shards share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LocalIndex(pub(crate) u8);

/// Who gets a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A transport here, by its slab key.
    Here(usize),
    /// A transport of another shard.
    There(ShardId),
}

/// Addresses that one shard remembers for others. A peer has one or two; beyond this, datagrams that arrive at the wrong shard are
/// dropped until others have gone.
const MAX_FOREIGN: usize = 65_536;

/// A source and the local address it sends to, in few words to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AddressKey {
    high: u64,
    low: u64,
    rest: u32,
}

impl AddressKey {
    fn new(source: SocketAddr, local: LocalIndex) -> Self {
        let ip = match source.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        AddressKey {
            high: (ip >> 64) as u64,
            low: ip as u64,
            rest: u32::from(source.port()) << 8 | u32::from(local.0),
        }
    }
}

/// The two tables of one shard.
///
/// **Only an authenticated connectivity check puts an address into the table**, and never one that another live transport uses.
#[derive(Debug)]
pub(crate) struct Demux {
    addresses: HashMap<AddressKey, Owner, Keyed>,
    foreign: usize,
    /// Ufrags are ours and random; strangers choose only what they look up.
    ufrags: HashMap<Box<str>, Owner, Keyed>,
}

impl Demux {
    /// `seed` is secret and random.
    pub(crate) fn new(seed: u64) -> Self {
        let keyed = Keyed::new(seed);
        Demux {
            addresses: HashMap::with_hasher(keyed),
            foreign: 0,
            ufrags: HashMap::with_hasher(keyed),
        }
    }

    pub(crate) fn by_address(&self, source: SocketAddr, local: LocalIndex) -> Option<Owner> {
        self.addresses.get(&AddressKey::new(source, local)).copied()
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<Owner> {
        self.ufrags.get(ufrag).copied()
    }

    /// Makes `source` belong to `owner`. `false`: the table is full of addresses of other shards.
    pub(crate) fn insert_address(
        &mut self,
        source: SocketAddr,
        local: LocalIndex,
        owner: Owner,
    ) -> bool {
        let key = AddressKey::new(source, local);
        if matches!(owner, Owner::There(_)) {
            if self.foreign >= MAX_FOREIGN {
                return false;
            }
            self.foreign += 1;
        }
        if let Some(Owner::There(_)) = self.addresses.insert(key, owner) {
            self.foreign = self.foreign.saturating_sub(1);
        }
        true
    }

    /// Forgets `source` if it belongs to `owner`.
    pub(crate) fn remove_address(&mut self, source: SocketAddr, local: LocalIndex, owner: Owner) {
        let key = AddressKey::new(source, local);
        if self.addresses.get(&key) == Some(&owner) {
            self.addresses.remove(&key);
            if matches!(owner, Owner::There(_)) {
                self.foreign = self.foreign.saturating_sub(1);
            }
        }
    }

    pub(crate) fn insert_ufrag(&mut self, ufrag: &str, owner: Owner) {
        self.ufrags.insert(ufrag.into(), owner);
    }

    pub(crate) fn remove_ufrag(&mut self, ufrag: &str, owner: Owner) {
        if self.ufrags.get(ufrag) == Some(&owner) {
            self.ufrags.remove(ufrag);
        }
    }
}

/// Hashes with a secret, so that strangers cannot choose addresses that collide. Two multiplications per address: SipHash takes
/// several times as long, and an unkeyed hash of a few chosen words is no protection.
#[derive(Clone, Copy, Debug)]
struct Keyed {
    state: u64,
    key: u64,
}

impl Keyed {
    fn new(seed: u64) -> Self {
        // An odd multiplier loses no bits.
        Keyed {
            state: seed.rotate_left(32),
            key: seed | 1,
        }
    }

    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.key);
        self.state = (product as u64) ^ ((product >> 64) as u64) ^ self.key.rotate_left(23);
    }
}

impl BuildHasher for Keyed {
    type Hasher = Keyed;

    fn build_hasher(&self) -> Keyed {
        *self
    }
}

impl Hasher for Keyed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.mix(word);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_by_port_and_local_address() {
        let mut demux = Demux::new(1);
        let (a, b) = (
            "192.0.2.1:4000".parse().unwrap(),
            "192.0.2.1:4001".parse().unwrap(),
        );
        assert!(demux.insert_address(a, LocalIndex(0), Owner::Here(1)));
        assert!(demux.insert_address(a, LocalIndex(1), Owner::There(ShardId(2))));
        assert_eq!(demux.by_address(a, LocalIndex(0)), Some(Owner::Here(1)));
        assert_eq!(
            demux.by_address(a, LocalIndex(1)),
            Some(Owner::There(ShardId(2)))
        );
        assert_eq!(demux.by_address(b, LocalIndex(0)), None);
        demux.remove_address(a, LocalIndex(0), Owner::Here(9));
        assert_eq!(demux.by_address(a, LocalIndex(0)), Some(Owner::Here(1)));
        demux.remove_address(a, LocalIndex(0), Owner::Here(1));
        assert_eq!(demux.by_address(a, LocalIndex(0)), None);
    }

    #[test]
    fn addresses_of_other_shards_are_bounded() {
        let mut demux = Demux::new(1);
        let address = |i: usize| {
            SocketAddr::new(
                IpAddr::from([10, (i >> 16) as u8, (i >> 8) as u8, i as u8]),
                1,
            )
        };
        for i in 0..MAX_FOREIGN {
            assert!(demux.insert_address(address(i), LocalIndex(0), Owner::There(ShardId(1))));
        }
        assert!(!demux.insert_address(
            address(MAX_FOREIGN),
            LocalIndex(0),
            Owner::There(ShardId(1))
        ));
        demux.remove_address(address(0), LocalIndex(0), Owner::There(ShardId(1)));
        assert!(demux.insert_address(
            address(MAX_FOREIGN),
            LocalIndex(0),
            Owner::There(ShardId(1))
        ));
    }
}
