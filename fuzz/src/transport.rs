//! `kith-transport`: what arrives before anybody is authenticated, and the framings around it.

use std::sync::LazyLock;
use std::time::Instant;

use kith_transport::dcep::Message;
use kith_transport::srtp::{SrtpProfile, SrtpReceiver};
use kith_transport::tcp_framing::{Deframer, HEADER_LEN, MAX_FRAME, header};
use kith_transport::{
    Datagram, DtlsRole, Fingerprint, IceCredentials, Protocol, RemoteDescription, Transport,
    TransportConfig, TransportContext,
};

/// What is read is what would be written.
pub fn dcep(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        let written = message.to_vec();
        assert_eq!(Message::parse(&written), Ok(message));
    }
}

/// The first byte says how the rest is cut. However it is, the frames are the same, and no more than one is held.
pub fn tcp_framing(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else {
        return;
    };
    let mut whole = Vec::new();
    let at_once = Deframer::new().push(&mut stream.to_vec(), |frame| whole.push(frame.to_vec()));

    let mut pieces = Vec::new();
    let mut deframer = Deframer::new();
    let mut in_pieces = Ok(());
    for piece in stream.chunks(usize::from(cut).max(1)) {
        in_pieces = deframer.push(&mut piece.to_vec(), |frame| pieces.push(frame.to_vec()));
        if in_pieces.is_err() {
            break;
        }
        assert!(deframer.buffered() < HEADER_LEN + MAX_FRAME);
    }
    assert_eq!(at_once, in_pieces);
    assert_eq!(whole, pieces);
    assert!(whole.iter().all(|frame| header(frame.len()).is_ok()));
}

static CONTEXT: LazyLock<TransportContext> =
    LazyLock::new(|| TransportContext::generate().expect("a certificate"));

/// A datagram for a lite and a full end that wait for a peer, and for SRTP whose keys the sender does not have.
pub fn transport_input(data: &[u8]) {
    let now = Instant::now();
    let (ours, theirs) = (
        "10.0.0.1:7882".parse().expect("an address"),
        "10.0.0.2:5000".parse().expect("an address"),
    );
    for ice_lite in [true, false] {
        let config = TransportConfig {
            local_ice: IceCredentials::new("ours", "p".repeat(22)).expect("credentials"),
            ice_lite,
            controlling: false,
            entropy: [1; 32],
            data_channels: vec![],
            max_message_size: Transport::MAX_MESSAGE_SIZE,
        };
        let mut transport = Transport::new(now, &CONTEXT, config);
        let remote = RemoteDescription {
            ice: IceCredentials::new("them", "q".repeat(22)).expect("credentials"),
            fingerprint: Fingerprint([1; 32]),
            dtls_role: DtlsRole::Server,
            max_message_size: 0,
        };
        transport
            .add_local_candidate(Protocol::Udp, ours)
            .expect("a candidate");
        transport.set_remote(now, remote).expect("a description");
        if let Ok(line) = std::str::from_utf8(data) {
            let _ = transport.add_remote_candidate(line);
        }
        let datagram = Datagram {
            proto: Protocol::Udp,
            source: theirs,
            destination: ours,
            data: &mut data.to_vec(),
        };
        let _ = transport.handle_input(now, datagram);
        while transport.poll_event().is_some() {}
        while transport.poll_transmit().is_some() {}
    }
    for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
        let (key, salt) = (vec![1; profile.key_len()], vec![2; profile.salt_len()]);
        let mut receiver = SrtpReceiver::new(profile, &key, &salt).expect("keys");
        assert!(receiver.open_rtp(now, &mut data.to_vec()).is_err());
        assert!(receiver.open_rtcp(now, &mut data.to_vec()).is_err());
    }
}
