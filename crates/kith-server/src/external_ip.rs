//! The address that the rest of the world sees, asked of a STUN server (RFC 8489, binding request).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use crate::room::random;

/// Servers that are asked when the configuration names none; the ones that LiveKit asks.
const DEFAULT_SERVERS: [&str; 3] = [
    "global.stun.twilio.com:3478",
    "stun.l.google.com:19302",
    "stun1.l.google.com:19302",
];

/// How often a server is asked, and how long it has each time.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_millis(800);

/// Servers of the configuration that are asked at most.
const MAX_SERVERS: usize = 8;

/// Longest answer that is looked at, bytes. A binding answer has less than 100.
const MAX_ANSWER: usize = 1500;

const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// No server told the address.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not resolve external IP: no answer from {0}; set rtc.node_ip to the public address, or rtc.use_external_ip to false"
)]
pub struct ExternalIpError(String);

/// Asks the servers one after the other.
pub(crate) async fn discover(servers: &[String]) -> Result<IpAddr, ExternalIpError> {
    let servers: Vec<&str> = if servers.is_empty() {
        DEFAULT_SERVERS.to_vec()
    } else {
        servers
            .iter()
            .map(String::as_str)
            .take(MAX_SERVERS)
            .collect()
    };
    for server in &servers {
        match ask(server).await {
            Ok(Some(address)) => return Ok(address),
            Ok(None) => tracing::debug!(server, "no answer to a STUN request"),
            Err(error) => tracing::debug!(server, %error, "cannot ask a STUN server"),
        }
    }
    Err(ExternalIpError(servers.join(", ")))
}

async fn ask(server: &str) -> std::io::Result<Option<IpAddr>> {
    let name = if server.contains(':') {
        server.to_owned()
    } else {
        format!("{server}:3478")
    };
    let Ok(found) = timeout(PATIENCE * 2, lookup_host(name)).await else {
        return Ok(None);
    };
    // The public IPv4 address is what is asked for; IPv6 hosts need no discovery.
    let Some(address) = found?.find(SocketAddr::is_ipv4) else {
        return Ok(None);
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    // Only this server's answers are received.
    socket.connect(address).await?;
    let mut transaction = [0; 12];
    random::fill(&mut transaction);
    let mut request = Vec::with_capacity(HEADER);
    request.extend_from_slice(&BINDING_REQUEST);
    request.extend_from_slice(&[0, 0]);
    request.extend_from_slice(&MAGIC_COOKIE);
    request.extend_from_slice(&transaction);
    let mut answer = [0; MAX_ANSWER];
    for _ in 0..TRIES {
        socket.send(&request).await?;
        if let Ok(received) = timeout(PATIENCE, socket.recv(&mut answer)).await
            && let Some(mapped) = answer
                .get(..received?)
                .and_then(|answer| mapped_address(answer, transaction))
        {
            return Ok(Some(mapped));
        }
    }
    Ok(None)
}

/// The XOR-MAPPED-ADDRESS (IPv4) of the answer to `transaction`.
fn mapped_address(answer: &[u8], transaction: [u8; 12]) -> Option<IpAddr> {
    let (header, mut attributes) = answer.split_at_checked(HEADER)?;
    if header.get(..2)? != BINDING_SUCCESS
        || header.get(4..8)? != MAGIC_COOKIE
        || header.get(8..)? != transaction
    {
        return None;
    }
    while let Some((&[kind_high, kind_low, len_high, len_low], rest)) =
        attributes.split_first_chunk::<4>()
    {
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let value = rest.get(..len)?;
        if u16::from_be_bytes([kind_high, kind_low]) == XOR_MAPPED_ADDRESS {
            // Reserved, family (1: IPv4), port, address XOR cookie.
            let (&[_, 1, _, _], address) = value.split_first_chunk::<4>()? else {
                return None;
            };
            let address: [u8; 4] = address.try_into().ok()?;
            let mut plain = [0; 4];
            for (plain, (byte, key)) in plain.iter_mut().zip(address.iter().zip(MAGIC_COOKIE)) {
                *plain = byte ^ key;
            }
            return Some(IpAddr::from(plain));
        }
        attributes = rest.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_strictly() {
        let transaction = [7; 12];
        let mut answer = vec![0x01, 0x01, 0, 20];
        answer.extend_from_slice(&MAGIC_COOKIE);
        answer.extend_from_slice(&transaction);
        // SOFTWARE "abc", padded, then the address 203.0.113.9.
        answer.extend_from_slice(&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        answer.extend_from_slice(&[0x00, 0x20, 0, 8, 0, 1, 0x12, 0x34]);
        answer.extend_from_slice(&[203 ^ 0x21, 0x12, 113 ^ 0xa4, 9 ^ 0x42]);
        assert_eq!(
            mapped_address(&answer, transaction),
            Some("203.0.113.9".parse().unwrap())
        );
        assert_eq!(mapped_address(&answer, [8; 12]), None);
        for len in 0..answer.len() {
            assert_eq!(
                mapped_address(&answer[..len], transaction),
                None,
                "{len} bytes"
            );
        }
    }

    #[tokio::test]
    async fn a_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let name = server.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut request = [0; 100];
            let (_, client) = server.recv_from(&mut request).await.unwrap();
            let mut answer = vec![0x01, 0x01, 0, 12];
            answer.extend_from_slice(&request[4..20]);
            answer.extend_from_slice(&[
                0x00,
                0x20,
                0,
                8,
                0,
                1,
                0,
                0,
                192 ^ 0x21,
                0x12,
                2 ^ 0xa4,
                1 ^ 0x42,
            ]);
            server.send_to(&answer, client).await.unwrap();
        });
        assert_eq!(
            discover(&[name]).await.unwrap(),
            "192.0.2.1".parse::<IpAddr>().unwrap()
        );
    }
}
