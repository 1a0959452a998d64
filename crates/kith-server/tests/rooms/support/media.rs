//! A media plane that does nothing but remember.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock},
};

use kith_net::{
    Command, CommandError, DataLabel, DownTrackSpec, Event, EventKind, EventSink, Fingerprint,
    LayerTarget, LocalCandidate, MediaPlane, NetConfig, Path, Protocol, PublicationId, ReceiveSpec,
    ShardId, SubscriptionId, SubscriptionSpec, TransportId, TransportSpec, UdpPorts,
};
use kith_server::room::Media;

/// Only for its ids: nothing is ever sent to it.
fn ids() -> &'static MediaPlane {
    static PLANE: OnceLock<MediaPlane> = OnceLock::new();
    PLANE.get_or_init(|| {
        MediaPlane::start(NetConfig {
            shards: 1,
            udp: UdpPorts::Single(0),
            tcp_port: None,
            bind_addresses: vec!["127.0.0.1".parse().unwrap()],
            loopback_candidates: true,
            socket_buffer: 65_536,
            ..NetConfig::default()
        })
        .expect("a media plane on loopback")
    })
}

#[derive(Default)]
struct Written {
    commands: Vec<Command>,
    sinks: HashMap<TransportId, EventSink>,
}

pub(crate) struct Recorder {
    candidates: Vec<LocalCandidate>,
    written: Mutex<Written>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let address = "192.0.2.1:7882".parse().unwrap();
        Recorder {
            candidates: vec![LocalCandidate {
                proto: Protocol::Udp,
                advertised: address,
                base: address,
                line: "candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host".to_owned(),
            }],
            written: Mutex::default(),
        }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap()
    }

    /// Everything that `pick` finds among the commands so far.
    pub(crate) fn all<T>(&self, pick: impl FnMut(&Command) -> Option<T>) -> Vec<T> {
        self.written().commands.iter().filter_map(pick).collect()
    }

    /// Forgets the data that was sent so far.
    pub(crate) fn clear_data(&self) {
        self.written()
            .commands
            .retain(|command| !matches!(command, Command::SendDataMany { .. }));
    }

    /// Forgets the commands so far, but not the transports.
    pub(crate) fn clear(&self) {
        self.written()
            .commands
            .retain(|command| matches!(command, Command::CreateTransport(_)));
    }

    pub(crate) fn transports(&self) -> Vec<TransportSpec> {
        self.all(|command| match command {
            Command::CreateTransport(spec) => Some(spec.clone()),
            _ => None,
        })
    }

    /// The transport that has, or had, our credentials with this ufrag.
    pub(crate) fn transport_with(&self, ufrag: &str) -> Option<TransportId> {
        self.all(|command| match command {
            Command::CreateTransport(spec) if spec.local_ice.ufrag() == ufrag => Some(spec.id),
            Command::RestartIce {
                transport,
                local_ice,
            } if local_ice.ufrag() == ufrag => Some(*transport),
            _ => None,
        })
        .pop()
    }

    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionSpec> {
        self.all(|command| match command {
            Command::Subscribe(spec) => Some(spec.clone()),
            _ => None,
        })
    }

    pub(crate) fn unsubscribed(&self) -> Vec<SubscriptionId> {
        self.all(|command| match command {
            Command::Unsubscribe { subscription } => Some(*subscription),
            _ => None,
        })
    }

    pub(crate) fn targets(&self) -> Vec<(SubscriptionId, LayerTarget)> {
        self.all(|command| match command {
            Command::SetTarget {
                subscription,
                target,
            } => Some((*subscription, *target)),
            _ => None,
        })
    }

    /// The last receive specification of a transport.
    pub(crate) fn receives(&self, of: TransportId) -> ReceiveSpec {
        self.all(|command| match command {
            Command::SetReceive { transport, spec } if *transport == of => Some(spec.clone()),
            _ => None,
        })
        .pop()
        .unwrap_or_default()
    }

    /// Data messages that were sent to a transport.
    pub(crate) fn data_to(&self, to: TransportId) -> Vec<(DataLabel, bytes::Bytes)> {
        self.all(|command| match command {
            Command::SendDataMany {
                transports,
                label,
                payload,
            } if transports.contains(&to) => Some((label.clone(), payload.clone())),
            Command::SendData {
                transport,
                label,
                payload,
            } if *transport == to => Some((label.clone(), payload.clone())),
            _ => None,
        })
    }

    pub(crate) fn down_track(&self, index: usize) -> DownTrackSpec {
        self.subscriptions()[index].down.clone()
    }

    /// Lets a transport report.
    pub(crate) async fn report(&self, transport: TransportId, kind: EventKind) {
        let sink = self.written().sinks[&transport].clone();
        sink.send(Event { transport, kind }).await.unwrap();
    }

    pub(crate) async fn connects(&self, transport: TransportId) {
        self.report(
            transport,
            EventKind::Connected {
                path: Path {
                    proto: Protocol::Udp,
                    local: "192.0.2.1:7882".parse().unwrap(),
                    remote: "192.0.2.2:5000".parse().unwrap(),
                },
            },
        )
        .await;
    }
}

impl Media for Recorder {
    fn place(&self, _room_hash: u64, _room_size: usize) -> ShardId {
        ShardId(0)
    }

    fn new_transport_id(&self, shard: ShardId) -> TransportId {
        ids().new_transport_id(shard)
    }

    fn new_publication_id(&self, transport: TransportId) -> PublicationId {
        ids().new_publication_id(transport)
    }

    fn new_subscription_id(&self, transport: TransportId) -> SubscriptionId {
        ids().new_subscription_id(transport)
    }

    fn candidates(&self, _shard: ShardId) -> &[LocalCandidate] {
        &self.candidates
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([7; 32])
    }

    fn send(&self, command: Command) -> Result<(), CommandError> {
        let mut written = self.written();
        if let Command::CreateTransport(spec) = &command {
            written.sinks.insert(spec.id, spec.events.clone());
        }
        written.commands.push(command);
        Ok(())
    }
}
