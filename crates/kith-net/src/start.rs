//! Opening the sockets and starting the threads.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Instant;

use kith_transport::TransportContext;
use mio::{Poll, Token, Waker};

use crate::api::{LocalCandidate, NetConfig, ShardId, UdpPorts};
use crate::candidates::{self, Base};
use crate::inbox::Inbox;
use crate::plane::{Handle, StartError};
use crate::ring::{Clock, ring};
use crate::shard::{Parts, Shard, TOKEN_WAKER};
use crate::socket::{BindOptions, UdpPort, interfaces, listen_tcp};

/// More shards than this do not exist in one machine, and each pair has two rings.
const MAX_SHARDS: usize = 256;

/// Smaller receive buffers than this lose packets at rates that one shard can handle: 5 MB are 40 ms at 1 Gbit/s (the value that
/// LiveKit recommends as well).
const RECOMMENDED_BUFFER: usize = 5_000_000;

/// Local addresses to bind to per shard; each is a UDP socket and a listener. The tokens have room for these.
const MAX_BINDS: usize = 64;

/// Starts the shards.
pub(crate) fn start(
    config: NetConfig,
    context: TransportContext,
) -> Result<(Vec<Handle>, Vec<JoinHandle<()>>), StartError> {
    let count = match usize::from(config.shards) {
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_SHARDS),
        count => count,
    };
    if count > MAX_SHARDS {
        return Err(StartError::Config("more than 256 shards"));
    }
    if config.udp == UdpPorts::Disabled && config.tcp_port.is_none() {
        return Err(StartError::Config(
            "neither UDP nor TCP: no client could connect",
        ));
    }
    if config.bind_addresses.len() > MAX_BINDS {
        return Err(StartError::Config("more than 64 addresses to bind to"));
    }
    let interfaces = interfaces()?;
    let mut bases = candidates::bases(&config, &interfaces);
    if bases.is_empty() {
        // A machine without a network, such as a test's: better reachable from itself than from nowhere.
        tracing::warn!("no interface address can be a candidate; using loopback");
        bases = candidates::bases(
            &NetConfig {
                loopback_candidates: true,
                ..config.clone()
            },
            &interfaces,
        );
    }

    let addresses = bind_addresses(&config);
    let sockets = open_udp(&config, &addresses, count)?;
    let listeners = open_tcp(&config, &addresses, count)?;

    let clock = Clock(Instant::now());
    let mut polls = Vec::with_capacity(count);
    let mut inboxes = Vec::with_capacity(count);
    for _ in 0..count {
        let poll = Poll::new()?;
        inboxes.push(Inbox::new(Waker::new(poll.registry(), Token(TOKEN_WAKER))?));
        polls.push(poll);
    }
    // One ring for each ordered pair.
    let mut senders: Vec<Vec<_>> = (0..count)
        .map(|_| (0..count).map(|_| None).collect())
        .collect();
    let mut receivers: Vec<Vec<_>> = (0..count)
        .map(|_| (0..count).map(|_| None).collect())
        .collect();
    for (from, senders) in senders.iter_mut().enumerate() {
        for ((to, sender), receivers) in senders.iter_mut().enumerate().zip(&mut receivers) {
            if from != to
                && let Some(receiver) = receivers.get_mut(from)
            {
                let (s, r) = ring(clock);
                (*sender, *receiver) = (Some(s), Some(r));
            }
        }
    }

    let mut handles = Vec::with_capacity(count);
    let mut threads = Vec::with_capacity(count);
    let per_shard = polls
        .into_iter()
        .zip(senders)
        .zip(receivers)
        .zip(sockets)
        .zip(listeners);
    for (index, ((((poll, senders), receivers), ports), listeners)) in per_shard.enumerate() {
        let all = shard_candidates(&bases, &ports, &listeners);
        let busy = Arc::new(AtomicU64::new(0));
        let inbox = inboxes
            .get(index)
            .cloned()
            .ok_or(StartError::Config("a shard without an inbox"))?;
        handles.push(Handle {
            inbox: Arc::clone(&inbox),
            candidates: candidates::advertised(&all),
            busy: Arc::clone(&busy),
            count: AtomicU64::new(0),
            transports: AtomicU64::new(0),
        });
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| StartError::System(io::Error::other(error)))?;
        let shard = Shard::new(Parts {
            // MAX_SHARDS fits.
            id: ShardId(index as u16),
            clock,
            context: context.clone(),
            poll,
            inbox,
            shards: inboxes.clone(),
            senders,
            receivers,
            ports,
            listeners,
            bases: bases.clone(),
            candidates: all,
            max_flush_interval: config.max_flush_interval,
            busy,
            seed: u64::from_ne_bytes(seed),
        })?;
        let name = format!("kith-shard-{index}");
        threads.push(
            std::thread::Builder::new()
                .name(name)
                .spawn(move || run(index, shard))?,
        );
    }
    Ok((handles, threads))
}

/// Runs a shard. **A panic ends the process**: the sessions of a dead shard would look alive to everybody else.
fn run(index: usize, shard: Shard) {
    if catch_unwind(AssertUnwindSafe(|| shard.run())).is_err() {
        tracing::error!(shard = index, "a media shard panicked; aborting");
        std::process::abort();
    }
}

/// The addresses to bind to, and whether one that the system does not have is an error.
fn bind_addresses(config: &NetConfig) -> Vec<(IpAddr, bool)> {
    if config.bind_addresses.is_empty() {
        // Hosts without IPv6 are common, hosts without IPv4 exist.
        vec![
            (Ipv4Addr::UNSPECIFIED.into(), false),
            (Ipv6Addr::UNSPECIFIED.into(), false),
        ]
    } else {
        config.bind_addresses.iter().map(|ip| (*ip, true)).collect()
    }
}

/// Whether an error says that the system has no such address or family.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
}

/// Opens one thing per address on `port`; absent addresses are left out where that is allowed.
fn open_all<T>(
    addresses: &[(IpAddr, bool)],
    port: u16,
    what: &str,
    open: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, StartError> {
    let mut opened = Vec::with_capacity(addresses.len());
    for (ip, required) in addresses {
        let address = SocketAddr::new(*ip, port);
        match open(address) {
            Ok(socket) => opened.push(socket),
            Err(error) if !required && is_absent(&error) => {
                tracing::info!(%address, %error, "not listening")
            }
            Err(source) => {
                return Err(StartError::Bind {
                    what: format!("{what} {address}"),
                    source,
                });
            }
        }
    }
    if opened.is_empty() {
        return Err(StartError::Config("no address to listen on"));
    }
    Ok(opened)
}

/// Opens the UDP sockets of every shard.
fn open_udp(
    config: &NetConfig,
    addresses: &[(IpAddr, bool)],
    count: usize,
) -> Result<Vec<Vec<UdpPort>>, StartError> {
    let options = BindOptions {
        shared: false,
        buffer: config.socket_buffer,
        gso: config.gso,
    };
    let alone = |port| {
        open_all(addresses, port, "UDP", |address| {
            UdpPort::bind(address, options)
        })
    };
    let shared = BindOptions {
        shared: true,
        ..options
    };
    let together = |port| {
        open_all(addresses, port, "UDP", |address| {
            UdpPort::bind(address, shared)
        })
    };
    let sockets: Vec<Vec<UdpPort>> = match &config.udp {
        UdpPorts::Disabled => (0..count).map(|_| Vec::new()).collect(),
        UdpPorts::Single(port) if count == 1 => vec![alone(*port)?],
        UdpPorts::Single(port) => {
            let port = match port {
                0 => free_port(|port| {
                    alone(port).map(|ports| ports.first().map(|port| port.local().port()))
                })?,
                // Sharing would not notice another server of the same user on that port.
                port => alone(*port).map(|_| *port)?,
            };
            (0..count)
                .map(|_| together(port))
                .collect::<Result<_, _>>()?
        }
        UdpPorts::Range(range) if range.len() >= count => {
            let mut ports = range.clone();
            let mut sockets = Vec::with_capacity(count);
            while sockets.len() < count {
                let Some(port) = ports.next() else {
                    return Err(StartError::Config(
                        "too few free UDP ports in the configured range",
                    ));
                };
                match alone(port) {
                    Ok(opened) => sockets.push(opened),
                    Err(StartError::Bind { source, .. })
                        if source.kind() == io::ErrorKind::AddrInUse => {}
                    Err(error) => return Err(error),
                }
            }
            sockets
        }
        UdpPorts::Range(range) => {
            let ports: Vec<u16> = range.clone().collect();
            if ports.is_empty() {
                return Err(StartError::Config("the UDP port range is empty"));
            }
            for port in &ports {
                alone(*port)?;
            }
            ports
                .iter()
                .cycle()
                .take(count)
                .map(|port| together(*port))
                .collect::<Result<_, _>>()?
        }
    };
    if let Some(Ok((receive, send))) = sockets
        .first()
        .and_then(|ports| ports.first())
        .map(UdpPort::buffers)
        && receive < RECOMMENDED_BUFFER
    {
        tracing::warn!(
            receive,
            send,
            "small UDP buffers; raise net.core.rmem_max and net.core.wmem_max"
        );
    }
    Ok(sockets)
}

/// Opens the TCP listeners of every shard.
fn open_tcp(
    config: &NetConfig,
    addresses: &[(IpAddr, bool)],
    count: usize,
) -> Result<Vec<Vec<TcpListener>>, StartError> {
    let open = |port, shared| {
        open_all(addresses, port, "TCP", |address| {
            listen_tcp(address, shared)
        })
    };
    let Some(port) = config.tcp_port else {
        return Ok((0..count).map(|_| Vec::new()).collect());
    };
    let local_port = |listeners: Vec<TcpListener>| {
        listeners
            .first()
            .and_then(|listener| listener.local_addr().ok())
            .map(|address| address.port())
    };
    let port = match port {
        0 => free_port(|port| open(port, false).map(local_port))?,
        port => open(port, false).map(|_| port)?,
    };
    (0..count).map(|_| open(port, count > 1)).collect()
}

/// Attempts to find a port that is free on every address.
const FREE_PORT_TRIES: usize = 32;

/// A port that the system chose for the first address and that is free on the others as well. `open` opens (and closes) everything on
/// a port, or on one of the system's choice for 0, and returns the first's.
fn free_port(open: impl Fn(u16) -> Result<Option<u16>, StartError>) -> Result<u16, StartError> {
    for _ in 0..FREE_PORT_TRIES {
        let Some(port) = open(0)? else { break };
        if open(port).is_ok() {
            return Ok(port);
        }
    }
    Err(StartError::Config("no free port on all addresses"))
}

/// Every local address as a candidate of a shard with these sockets.
fn shard_candidates(
    bases: &[Base],
    ports: &[UdpPort],
    listeners: &[TcpListener],
) -> Vec<LocalCandidate> {
    let serves = |bound: SocketAddr, ip: IpAddr| {
        bound.ip() == ip || bound.ip().is_unspecified() && bound.is_ipv4() == ip.is_ipv4()
    };
    let udp = |ip| {
        ports
            .iter()
            .map(UdpPort::local)
            .find(|bound| serves(*bound, ip))
            .map(|bound| bound.port())
    };
    let tcp = |ip| {
        let mut bound = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok());
        bound
            .find(|bound| serves(*bound, ip))
            .map(|bound| bound.port())
    };
    candidates::candidates(bases, udp, tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(udp: UdpPorts) -> NetConfig {
        NetConfig {
            udp,
            tcp_port: Some(0),
            socket_buffer: 1 << 18,
            ..NetConfig::default()
        }
    }

    fn ports(udp: UdpPorts, count: usize) -> Result<Vec<u16>, StartError> {
        let config = config(udp);
        let sockets = open_udp(&config, &bind_addresses(&config), count)?;
        Ok(sockets
            .iter()
            .map(|ports| ports[0].local().port())
            .collect())
    }

    #[test]
    fn a_single_port_is_shared_by_all_shards() {
        let ports = ports(UdpPorts::Single(0), 3).unwrap();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn a_range_gives_every_shard_a_port_and_skips_taken_ones() {
        let taken = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let first = taken.local_addr().unwrap().port().min(65_000);
        let ports = ports(UdpPorts::Range(first..=first + 200), 3).unwrap();
        assert!(!ports.contains(&taken.local_addr().unwrap().port()));
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
    }

    #[test]
    fn a_port_that_another_server_has_is_an_error_even_if_it_would_share() {
        let options = BindOptions {
            shared: true,
            buffer: 1 << 18,
            gso: true,
        };
        let other = UdpPort::bind("0.0.0.0:0".parse().unwrap(), options).unwrap();
        let error = ports(UdpPorts::Single(other.local().port()), 2).unwrap_err();
        assert!(matches!(error, StartError::Bind { .. }), "{error}");
    }

    #[test]
    fn nothing_to_listen_on_is_an_error() {
        let config = NetConfig {
            udp: UdpPorts::Disabled,
            tcp_port: None,
            ..NetConfig::default()
        };
        let context = TransportContext::generate().unwrap();
        assert!(matches!(start(config, context), Err(StartError::Config(_))));
    }
}
