//! Connected transports: ICE and DTLS for real, over memory and virtual time.

use std::time::{Duration, Instant};

use kith_transport::{
    Datagram, DtlsRole, IceCredentials, Protocol, RemoteDescription, Transport, TransportConfig,
    TransportContext, TransportEvent,
};

/// Makes connected pairs: the server's end and the client's.
pub(crate) struct Pairs {
    contexts: [TransportContext; 2],
    now: Instant,
}

impl Pairs {
    pub(crate) fn new(now: Instant) -> Self {
        Pairs {
            contexts: [(); 2].map(|()| TransportContext::generate().unwrap()),
            now,
        }
    }

    pub(crate) fn connect(&self) -> (Transport, Transport) {
        let mut ends = self.introduce();
        let mut now = self.now;
        let mut connected = 0;
        while connected < 2 {
            for _ in 0..2 {
                let [from, to] = &mut ends;
                from.handle_timeout(now);
                while let Some(event) = from.poll_event() {
                    connected += usize::from(event == TransportEvent::Connected);
                }
                while let Some(mut sent) = from.poll_transmit() {
                    let datagram = Datagram {
                        proto: sent.proto,
                        source: sent.source,
                        destination: sent.destination,
                        data: &mut sent.data,
                    };
                    to.handle_input(now, datagram).unwrap();
                }
                ends.reverse();
            }
            now += Duration::from_millis(1);
        }
        let [server, client] = ends;
        (server, client)
    }

    fn introduce(&self) -> [Transport; 2] {
        let addresses = ["10.0.0.1:7882", "10.0.0.2:5000"].map(|it| it.parse().unwrap());
        let mut ends = [0, 1].map(|at: u8| {
            let mut entropy = [0; 32];
            getrandom::fill(&mut entropy).unwrap();
            let config = TransportConfig {
                local_ice: IceCredentials::from_entropy(entropy),
                ice_lite: at == 0,
                controlling: at == 1,
                entropy,
                data_channels: vec![],
                max_message_size: Transport::MAX_MESSAGE_SIZE,
            };
            Transport::new(self.now, &self.contexts[usize::from(at)], config)
        });
        let describe = |end: &Transport, at: usize, dtls_role| RemoteDescription {
            ice: end.local_ice_credentials().clone(),
            fingerprint: self.contexts[at].fingerprint(),
            dtls_role,
            max_message_size: 0,
        };
        let [server, client] = &mut ends;
        let for_client = describe(server, 0, DtlsRole::Server);
        let for_server = describe(client, 1, DtlsRole::Client);
        server
            .add_local_candidate(Protocol::Udp, addresses[0])
            .unwrap();
        client
            .add_local_candidate(Protocol::Udp, addresses[1])
            .unwrap();
        client
            .add_remote_candidate("candidate:1 1 udp 2130706431 10.0.0.1 7882 typ host")
            .unwrap();
        server.set_remote(self.now, for_server).unwrap();
        client.set_remote(self.now, for_client).unwrap();
        ends
    }
}
