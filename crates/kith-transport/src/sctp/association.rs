//! One SCTP association: an endpoint of `sctp-proto` that has no other, and its guard.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig, Stream, TransportConfig,
};

use super::guard::{self, Guard};

/// Bytes of unread messages per association. It bounds what a paused reader costs, and what a sender has under way: at a round trip of
/// 50 ms, 40 Mbit/s.
pub(crate) const RECEIVE_WINDOW: u32 = 256 * 1024;

/// The engine wants an address; over DTLS there is none.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(
    Ipv4Addr::LOCALHOST,
    sctp_proto::DEFAULT_SCTP_PORT,
));

/// The engine's default timers (3 s at first, 1 to 60 s later) are those of the open Internet in 1990. The first two are libwebrtc's;
/// the upper bound is such that a few losses in a row, or an outage, do not hold up data for longer than they last. A packet every
/// two seconds congests nothing.
const RTO_INITIAL_MS: u64 = 500;
const RTO_MIN_MS: u64 = 400;
const RTO_MAX_MS: u64 = 2_000;

/// Settings of the engine.
pub(crate) fn config(max_message_size: u32) -> Arc<TransportConfig> {
    let config = TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_WINDOW)
        .with_max_receive_message_size(max_message_size)
        .with_max_send_message_size(crate::Transport::MAX_MESSAGE_SIZE)
        .with_max_num_inbound_streams(guard::MAX_STREAMS)
        .with_max_num_outbound_streams(guard::MAX_STREAMS)
        // Whether the peer is still there is for ICE to find out.
        .with_max_init_retransmits(None)
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(RTO_INITIAL_MS)
        .with_rto_min_ms(RTO_MIN_MS)
        .with_rto_max_ms(RTO_MAX_MS);
    Arc::new(config)
}

/// See the module.
pub(crate) struct Association {
    endpoint: Endpoint,
    engine: sctp_proto::Association,
    guard: Guard,
    /// Names the association that the peer asked for; `None` for one that we asked for.
    peer_tag: Option<u32>,
    last_data: Option<Bytes>,
}

/// A message that was read.
pub(crate) struct Message {
    pub(crate) kind: PayloadProtocolIdentifier,
    pub(crate) payload: Bytes,
}

impl Association {
    /// Asks the peer for an association.
    pub(crate) fn connect(config: &Arc<TransportConfig>) -> Option<Self> {
        let mut endpoint = endpoint(config);
        let mut client = ClientConfig::new();
        client.transport = config.clone();
        let (_, engine) = endpoint.connect(client, PEER).ok()?;
        endpoint.reject_new_associations();
        Some(Self {
            endpoint,
            engine,
            guard: Guard::new(RECEIVE_WINDOW),
            peer_tag: None,
            last_data: None,
        })
    }

    /// Answers the peer, who asks for one.
    pub(crate) fn accept(now: Instant, config: &Arc<TransportConfig>, init: Bytes) -> Option<Self> {
        let mut endpoint = endpoint(config);
        let mut guard = Guard::new(RECEIVE_WINDOW);
        let peer_tag = guard::initiate_tag(&init);
        if !guard.admits(&init) {
            return None;
        }
        let (_, event) = endpoint.handle(now, PEER, None, None, init)?;
        let DatagramEvent::NewAssociation(engine) = event else {
            return None;
        };
        endpoint.reject_new_associations();
        Some(Self {
            endpoint,
            engine,
            guard,
            peer_tag,
            last_data: None,
        })
    }

    pub(crate) fn peer_tag(&self) -> Option<u32> {
        self.peer_tag
    }

    pub(crate) fn is_connected(&self) -> bool {
        !self.engine.is_handshaking() && !self.engine.is_closed()
    }

    /// Takes a packet. Returns whether it was this association's.
    pub(crate) fn handle(&mut self, now: Instant, packet: &Bytes) -> bool {
        if !self.guard.admits(packet) {
            return false;
        }
        let taken = self.feed(now, packet);
        if taken && guard::kind(packet) == guard::Kind::Data {
            self.last_data = Some(packet.clone());
        }
        taken
    }

    fn feed(&mut self, now: Instant, packet: &Bytes) -> bool {
        match self.endpoint.handle(now, PEER, None, None, packet.clone()) {
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                self.engine.handle_event(event);
                true
            }
            _ => false,
        }
    }

    /// Tells the peer that there is room again. The engine has no such call, and would answer the peer's next probe only, which may be
    /// seconds away. A repeated packet makes it acknowledge at the latest the second time, with the window as it is now.
    pub(crate) fn announce_window(&mut self, now: Instant) {
        if let Some(packet) = self.last_data.take() {
            self.feed(now, &packet);
            self.feed(now, &packet);
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        // The queue of accepted streams is another way to learn of them, and has to be kept empty.
        while self.engine.accept_stream().is_some() {}
        // The endpoint would forget an association that is over; it goes with it anyway.
        while self.engine.poll_endpoint_event().is_some() {}
        self.engine.poll()
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Vec<Bytes>> {
        let Payload::RawEncode(packets) = self.engine.poll_transmit(now)?.payload else {
            return None;
        };
        packets.iter().for_each(|packet| self.guard.sent(packet));
        Some(packets)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
    }

    /// Reads a message, if a whole one is there.
    pub(crate) fn read(&mut self, stream: u16) -> Option<Message> {
        let chunks = self.stream(stream)?.read_sctp().ok()??;
        self.guard.read(chunks.chunks.len());
        let mut payload = vec![0; chunks.len()];
        chunks.read(&mut payload).ok()?;
        Some(Message {
            kind: chunks.ppi,
            payload: payload.into(),
        })
    }

    pub(crate) fn open(&mut self, stream: u16) -> bool {
        self.engine
            .open_stream(stream, PayloadProtocolIdentifier::Binary)
            .is_ok()
    }

    pub(crate) fn write(
        &mut self,
        stream: u16,
        kind: PayloadProtocolIdentifier,
        payload: &[u8],
    ) -> bool {
        self.stream(stream)
            .is_some_and(|mut stream| stream.write_with_ppi(payload, kind).is_ok())
    }

    pub(crate) fn buffered(&mut self, stream: u16) -> usize {
        self.stream(stream)
            .and_then(|stream| stream.buffered_amount().ok())
            .unwrap_or(0)
    }

    /// How messages are sent from now on, and below how many buffered bytes we want to hear of it.
    pub(crate) fn configure(
        &mut self,
        stream: u16,
        unordered: bool,
        reliability: (ReliabilityType, u32),
        low: usize,
    ) {
        if let Some(mut stream) = self.stream(stream) {
            let _ = stream.set_reliability_params(unordered, reliability.0, reliability.1);
            let _ = stream.set_buffered_amount_low_threshold(low);
        }
    }

    pub(crate) fn reset(&mut self, stream: u16) {
        if let Some(mut stream) = self.stream(stream) {
            let _ = stream.close();
        }
    }

    fn stream(&mut self, stream: u16) -> Option<Stream<'_>> {
        self.engine.stream(stream).ok()
    }
}

fn endpoint(config: &Arc<TransportConfig>) -> Endpoint {
    let mut server = ServerConfig::new();
    server.transport = config.clone();
    Endpoint::new(Arc::new(EndpointConfig::new()), Some(Arc::new(server)))
}
