//! Which addresses of this host become candidates, and their `a=candidate` lines (RFC 8839, RFC 6544).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::api::{LocalCandidate, NetConfig, Protocol};
use crate::demux::LocalIndex;
use crate::socket::Interface;

/// Local addresses that are used at most. Each is one or two candidates in every session description.
const MAX_BASES: usize = 32;

/// Type preference of host candidates (RFC 8445 section 5.1.2.2).
const PREFERENCE_HOST: u32 = 126;

/// Type preference of TCP host candidates: below server reflexive UDP (100), above relayed (0), as browsers have it, so that TCP is
/// used only when no UDP works.
const PREFERENCE_HOST_TCP: u32 = 90;

/// Direction preference of passive TCP host candidates (RFC 6544 section 4.2).
const DIRECTION_PASSIVE: u32 = 4;

/// One local address that peers can reach, directly or through a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// The address on this host.
    pub(crate) ip: IpAddr,
    /// The address that peers are told.
    pub(crate) advertised: IpAddr,
}

/// Chooses the local addresses, best first.
pub(crate) fn bases(config: &NetConfig, interfaces: &[Interface]) -> Vec<Base> {
    let bound = |ip: IpAddr| {
        let family = config
            .bind_addresses
            .iter()
            .filter(|bind| bind.is_ipv4() == ip.is_ipv4());
        config.bind_addresses.is_empty()
            || family
                .into_iter()
                .any(|bind| bind.is_unspecified() || *bind == ip)
    };
    let chosen = |interface: &&Interface| {
        (config.loopback_candidates || !interface.loopback)
            && config.interfaces.admits(&interface.name)
            && config.addresses.admits(interface.address)
            && bound(interface.address)
    };
    let mut bases: Vec<Base> = Vec::new();
    let mut add = |ip: IpAddr, advertised: IpAddr| {
        if bases.iter().all(|base| base.ip != ip) && bases.len() < MAX_BASES {
            bases.push(Base { ip, advertised });
        }
    };
    // A node address that is one of ours is used even when filters or the loopback rule would leave it out: it was named.
    for node_ip in &config.node_ips {
        if interfaces
            .iter()
            .any(|interface| interface.address == *node_ip)
        {
            add(*node_ip, *node_ip);
        }
    }
    // Loopback last.
    for loopback in [false, true] {
        for interface in interfaces
            .iter()
            .filter(chosen)
            .filter(|interface| interface.loopback == loopback)
        {
            let ip = interface.address;
            let mut node_ips = config
                .node_ips
                .iter()
                .filter(|node_ip| node_ip.is_ipv4() == ip.is_ipv4());
            match node_ips.next() {
                None => add(ip, ip),
                // The node's address is on another interface of ours; this one was not meant.
                Some(node_ip) if interfaces.iter().any(|other| other.address == *node_ip) => {}
                Some(node_ip) => add(ip, *node_ip),
            }
        }
    }
    bases
}

/// The candidates of a shard. `udp` and `tcp` tell the port on which it listens at a local address.
pub(crate) fn candidates(
    bases: &[Base],
    udp: impl Fn(IpAddr) -> Option<u16>,
    tcp: impl Fn(IpAddr) -> Option<u16>,
) -> Vec<LocalCandidate> {
    let mut candidates = Vec::new();
    for (proto, port) in [
        (Protocol::Udp, &udp as &dyn Fn(IpAddr) -> Option<u16>),
        (Protocol::Tcp, &tcp),
    ] {
        for (index, base) in bases.iter().enumerate() {
            if let Some(port) = port(base.ip) {
                candidates.push(candidate(proto, index, base, port));
            }
        }
    }
    candidates
}

/// Candidates that look the same to peers once; behind a NAT several bases are one address to them.
pub(crate) fn advertised(candidates: &[LocalCandidate]) -> Vec<LocalCandidate> {
    let mut seen = HashSet::new();
    candidates
        .iter()
        .filter(|candidate| seen.insert((candidate.proto, candidate.advertised)))
        .cloned()
        .collect()
}

fn candidate(proto: Protocol, index: usize, base: &Base, port: u16) -> LocalCandidate {
    let other = u32::try_from(index).unwrap_or(u32::MAX);
    let (name, type_preference, local_preference, suffix) = match proto {
        Protocol::Udp => (
            "udp",
            PREFERENCE_HOST,
            u32::from(u16::MAX).saturating_sub(other),
            "",
        ),
        Protocol::Tcp => {
            let local = (DIRECTION_PASSIVE << 13) | 0x1FFFu32.saturating_sub(other);
            ("tcp", PREFERENCE_HOST_TCP, local, " tcptype passive")
        }
    };
    // Component 1 (RFC 8445 section 5.1.2.1); RTCP is multiplexed.
    let priority = type_preference << 24 | local_preference << 8 | 255;
    let advertised = SocketAddr::new(base.advertised, port);
    let line = format!(
        "candidate:{} 1 {name} {priority} {} {port} typ host{suffix}",
        foundation(proto, base.advertised),
        base.advertised
    );
    LocalCandidate {
        proto,
        advertised,
        base: SocketAddr::new(base.ip, port),
        line,
    }
}

/// Equal for candidates of the same type, protocol and address, on every shard (RFC 8445 section 5.1.1.3). FNV-1a.
fn foundation(proto: Protocol, ip: IpAddr) -> u32 {
    let text = format!("host/{proto:?}/{ip}");
    text.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The index of a local address.
pub(crate) fn local_index(bases: &[Base], ip: IpAddr) -> Option<LocalIndex> {
    let index = bases.iter().position(|base| base.ip == ip)?;
    // MAX_BASES fits.
    u8::try_from(index).ok().map(LocalIndex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::NameFilter;

    fn host() -> Vec<Interface> {
        let interface = |name: &str, address: &str, loopback| Interface {
            name: name.into(),
            address: address.parse().unwrap(),
            loopback,
        };
        vec![
            interface("lo", "127.0.0.1", true),
            interface("eth0", "10.0.0.5", false),
            interface("docker0", "172.17.0.1", false),
            interface("lo", "::1", true),
            interface("eth0", "2001:db8::5", false),
        ]
    }

    fn ips(config: &NetConfig) -> Vec<(String, String)> {
        let bases = bases(config, &host());
        bases
            .iter()
            .map(|base| (base.ip.to_string(), base.advertised.to_string()))
            .collect()
    }

    fn same(ips: &[&str]) -> Vec<(String, String)> {
        ips.iter()
            .map(|ip| (ip.to_string(), ip.to_string()))
            .collect()
    }

    #[test]
    fn loopback_is_used_only_when_asked_for_and_last() {
        let config = NetConfig::default();
        assert_eq!(
            ips(&config),
            same(&["10.0.0.5", "172.17.0.1", "2001:db8::5"])
        );
        let config = NetConfig {
            loopback_candidates: true,
            ..NetConfig::default()
        };
        assert_eq!(
            ips(&config),
            same(&["10.0.0.5", "172.17.0.1", "2001:db8::5", "127.0.0.1", "::1"])
        );
    }

    #[test]
    fn filters_and_bind_addresses_narrow_the_choice() {
        let config = NetConfig {
            interfaces: NameFilter {
                includes: vec![],
                excludes: vec!["docker0".into()],
            },
            ..NetConfig::default()
        };
        assert_eq!(ips(&config), same(&["10.0.0.5", "2001:db8::5"]));
        let config = NetConfig {
            bind_addresses: vec!["10.0.0.5".parse().unwrap()],
            ..NetConfig::default()
        };
        assert_eq!(ips(&config), same(&["10.0.0.5"]));
        let mut config = NetConfig::default();
        config.addresses.includes = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(ips(&config), same(&["10.0.0.5"]));
    }

    #[test]
    fn a_foreign_node_address_stands_for_every_address_of_its_family() {
        let config = NetConfig {
            node_ips: vec!["203.0.113.7".parse().unwrap()],
            ..NetConfig::default()
        };
        assert_eq!(
            ips(&config),
            [
                ("10.0.0.5", "203.0.113.7"),
                ("172.17.0.1", "203.0.113.7"),
                ("2001:db8::5", "2001:db8::5")
            ]
            .map(|(a, b)| (a.to_string(), b.to_string()))
        );
        let all = candidates(&bases(&config, &host()), |_| Some(7882), |_| None);
        assert_eq!((all.len(), advertised(&all).len()), (3, 2));
    }

    #[test]
    fn a_node_address_of_ours_is_the_only_one_of_its_family() {
        let config = NetConfig {
            node_ips: vec!["127.0.0.1".parse().unwrap()],
            ..NetConfig::default()
        };
        assert_eq!(ips(&config), same(&["127.0.0.1", "2001:db8::5"]));
    }

    #[test]
    fn lines_prefer_udp_and_the_first_address() {
        let config = NetConfig {
            node_ips: vec!["127.0.0.1".parse().unwrap()],
            ..NetConfig::default()
        };
        let all = candidates(
            &bases(&config, &host()),
            |ip| ip.is_ipv4().then_some(7882),
            |_| Some(7881),
        );
        let lines: Vec<_> = all
            .iter()
            .map(|candidate| candidate.line.as_str())
            .collect();
        assert_eq!(
            lines,
            [
                "candidate:594526033 1 udp 2130706431 127.0.0.1 7882 typ host",
                "candidate:1045064333 1 tcp 1520435199 127.0.0.1 7881 typ host tcptype passive",
                "candidate:1927558060 1 tcp 1520434943 2001:db8::5 7881 typ host tcptype passive",
            ]
        );
    }
}
