//! The life of a transport: full ICE and lite, ICE restart, a peer that says goodbye, a control plane that forgets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::Duration;

use common::{Client, OPUS, Over, Setup, connect, plane, run, run_for, stats};
use kith_net::{Command, EventKind, IceCredentials, Protocol, ShardId, UdpPorts};
use kith_rtp::MediaKind;

#[test]
fn full_and_lite_ice_connect_over_udp_and_tcp() {
    let plane = plane(2, UdpPorts::Single(0));
    let mut clients = Vec::new();
    for over in [Over::Udp, Over::Udp6, Over::Tcp] {
        for ice_lite in [true, false] {
            // Several, so that some arrive at the wrong shard.
            for shard in [0, 1, 0, 1] {
                clients.push(Client::with(
                    &plane,
                    ShardId(shard),
                    Setup {
                        over,
                        ice_lite,
                        ..Setup::default()
                    },
                ));
            }
        }
    }
    let mut all: Vec<&mut Client> = clients.iter_mut().collect();
    connect(&mut all);
    for client in &clients {
        let path = client.seen.iter().find_map(|event| match event {
            EventKind::Connected { path } => Some(*path),
            _ => None,
        });
        let path = path.unwrap();
        assert_eq!(path.remote, client.local());
        let tcp = plane
            .candidates(ShardId(0))
            .iter()
            .any(|c| c.proto == Protocol::Tcp && c.base == path.local);
        assert_eq!(path.proto == Protocol::Tcp, tcp);
    }
    plane.shutdown();
}

#[test]
fn media_goes_on_over_an_ice_restart() {
    for ice_lite in [true, false] {
        let plane = plane(2, UdpPorts::Single(0));
        let mut publisher = Client::with(
            &plane,
            ShardId(0),
            Setup {
                ice_lite,
                ..Setup::default()
            },
        );
        let mut subscriber = Client::with(
            &plane,
            ShardId(1),
            Setup {
                ice_lite,
                ..Setup::default()
            },
        );
        let (audio, _) = publisher.publish(1000, 2000);
        subscriber.subscribe(audio, MediaKind::Audio, 3000);
        let mut clients = [&mut publisher, &mut subscriber];
        connect(&mut clients);
        let mut seq = 100;
        let mut talk = |clients: &mut [&mut Client]| {
            for _ in 0..30 {
                seq += 1;
                clients[0].write(1000, OPUS, seq, seq as u32 * 960, false, &[seq as u8; 80]);
                run_for(clients, Duration::from_millis(5));
            }
        };
        talk(&mut clients);
        for client in &mut clients {
            let mut entropy = [0; 32];
            getrandom::fill(&mut entropy).unwrap();
            let local_ice = IceCredentials::from_entropy(entropy);
            client.restart(&local_ice);
            client
                .plane
                .send(Command::RestartIce {
                    transport: client.transport,
                    local_ice,
                })
                .unwrap();
            let remote = client.description();
            client
                .plane
                .send(Command::SetRemote {
                    transport: client.transport,
                    remote,
                })
                .unwrap();
        }
        talk(&mut clients);
        run_for(&mut clients, Duration::from_secs(3));
        talk(&mut clients);
        run(&mut clients, "all audio arrives", |clients| {
            clients[1].received(3000).len() == 90
        });
        assert!(
            !subscriber.saw(|event| matches!(
                event,
                EventKind::Failed { .. } | EventKind::IceDisconnected
            ))
        );
        plane.shutdown();
    }
}

#[test]
fn a_transport_whose_events_nobody_takes_is_closed() {
    let plane = plane(1, UdpPorts::Single(0));
    let client = Client::new(&plane, ShardId(0), Over::Udp);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(stats(&plane)[0].transports, 1);
    drop(client);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(stats(&plane)[0].transports, 0);
    plane.shutdown();
    assert!(
        plane
            .send(Command::CloseTransport {
                transport: plane.new_transport_id(ShardId(0))
            })
            .is_err()
    );
}

#[test]
fn commands_for_what_does_not_exist_do_no_harm() {
    let plane = plane(2, UdpPorts::Single(0));
    let nobody = plane.new_transport_id(ShardId(1));
    let nothing = plane.new_subscription_id(nobody);
    let publication = plane.new_publication_id(nobody);
    for command in [
        Command::CloseTransport { transport: nobody },
        Command::Unsubscribe {
            subscription: nothing,
        },
        Command::RequestKeyframe { publication },
        Command::AddRemoteCandidate {
            transport: nobody,
            candidate: "nonsense".into(),
        },
    ] {
        plane.send(command).unwrap();
    }
    let elsewhere = plane.new_transport_id(ShardId(9));
    assert!(
        plane
            .send(Command::CloseTransport {
                transport: elsewhere
            })
            .is_err()
    );
    assert!(plane.candidates(ShardId(9)).is_empty());
    assert_eq!(stats(&plane).len(), 2);
    plane.shutdown();
}
