//! The network: a link in each direction between every client and the node.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::random::Random;

/// How one direction of a link behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Probability that a datagram is lost, 0 to 1.
    pub loss: f64,
    /// Time that every datagram takes.
    pub delay: Duration,
    /// Up to this much more, equally distributed. Datagrams do not overtake each other by it.
    pub jitter: Duration,
    /// Probability that a datagram is held back by `reorder_by`, so that later ones overtake it.
    pub reorder: f64,
    /// See `reorder`.
    pub reorder_by: Duration,
    /// What the narrowest hop carries, if that is a limit.
    pub bottleneck: Option<Bottleneck>,
}

/// A hop with a rate and a queue before it that drops what does not fit (drop tail).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bottleneck {
    /// Bits per second.
    pub bitrate: f64,
    /// Longest time that a datagram waits before it is dropped.
    pub queue: Duration,
}

impl Conditions {
    /// Nothing but this delay.
    #[must_use]
    pub const fn perfect(delay: Duration) -> Self {
        Conditions {
            loss: 0.0,
            delay,
            jitter: Duration::ZERO,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
            bottleneck: None,
        }
    }

    /// This delay, and this loss.
    #[must_use]
    pub const fn lossy(delay: Duration, loss: f64) -> Self {
        Conditions {
            loss,
            ..Self::perfect(delay)
        }
    }
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the node.
    Up,
    /// From the node to the client.
    Down,
}

/// What happened on one direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Datagrams sent.
    pub sent: u64,
    /// Of these, lost at random.
    pub lost: u64,
    /// Of these, dropped by a full queue.
    pub dropped: u64,
}

#[derive(Debug)]
struct Link {
    conditions: Conditions,
    random: Random,
    /// When the queue before the bottleneck is empty.
    drained: Option<Instant>,
    /// When the last datagram that keeps its order arrives.
    last_arrival: Option<Instant>,
    counters: LinkCounters,
}

/// A datagram that arrives.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// Breaks ties: datagrams that arrive at one moment do so in the order in which they were sent.
    number: u64,
    /// The client at the other end of the link.
    pub client: usize,
    /// Which way it goes.
    pub direction: Direction,
    /// The bytes.
    pub data: Vec<u8>,
}

/// All links. Two per client.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    links: Vec<[Link; 2]>,
    in_flight: BinaryHeap<Reverse<Arrival>>,
    number: u64,
}

impl Network {
    /// A network without links.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Network {
            seed,
            links: Vec::new(),
            in_flight: BinaryHeap::new(),
            number: 0,
        }
    }

    /// Adds the link of the next client.
    pub fn add_link(&mut self, conditions: Conditions) {
        let stream = self.links.len() as u64 * 2;
        self.links.push([stream, stream + 1].map(|stream| Link {
            conditions,
            random: Random::new(self.seed, stream),
            drained: None,
            last_arrival: None,
            counters: LinkCounters::default(),
        }));
    }

    /// Changes a direction of a link, for what is sent from now on. Its randomness begins anew, so that what happened before
    /// (handshakes, whose bytes and lengths no seed decides) has no influence.
    pub fn set(&mut self, client: usize, direction: Direction, conditions: Conditions) {
        let seed = self.seed;
        if let Some(link) = self.link(client, direction) {
            link.conditions = conditions;
            link.random = Random::new(seed, client as u64 * 2 + direction as u64);
            link.counters = LinkCounters::default();
        }
    }

    /// Counters of a direction of a link since it was last [set](Self::set).
    #[must_use]
    pub fn counters(&self, client: usize, direction: Direction) -> LinkCounters {
        self.links
            .get(client)
            .and_then(|links| links.get(direction as usize))
            .map(|link| link.counters)
            .unwrap_or_default()
    }

    /// Puts a datagram on the wire.
    pub fn send(&mut self, now: Instant, client: usize, direction: Direction, data: Vec<u8>) {
        self.number += 1;
        let number = self.number;
        let Some(link) = self.link(client, direction) else {
            return;
        };
        let Some(at) = link.arrival(now, data.len()) else {
            return;
        };
        self.in_flight.push(Reverse(Arrival {
            at,
            number,
            client,
            direction,
            data,
        }));
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(next)| next.at)
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Arrival> {
        if self.next_arrival()? > now {
            return None;
        }
        self.in_flight.pop().map(|Reverse(arrival)| arrival)
    }

    fn link(&mut self, client: usize, direction: Direction) -> Option<&mut Link> {
        self.links.get_mut(client)?.get_mut(direction as usize)
    }
}

impl Link {
    /// When a datagram of this length that is sent now arrives, if it does.
    fn arrival(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Conditions {
            loss,
            delay,
            jitter,
            reorder,
            reorder_by,
            bottleneck,
        } = self.conditions;
        self.counters.sent += 1;
        if self.random.chance(loss) {
            self.counters.lost += 1;
            return None;
        }
        let mut at = now;
        if let Some(Bottleneck { bitrate, queue }) = bottleneck {
            let begins = self.drained.map_or(now, |drained| drained.max(now));
            if begins - now > queue {
                self.counters.dropped += 1;
                return None;
            }
            at = begins + Duration::from_secs_f64(len as f64 * 8.0 / bitrate);
            self.drained = Some(at);
        }
        at += delay + jitter.mul_f64(self.random.fraction());
        if self.random.chance(reorder) {
            return Some(at + reorder_by);
        }
        // What does not overtake arrives after what was sent before.
        at = self.last_arrival.map_or(at, |last| last.max(at));
        self.last_arrival = Some(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(conditions: Conditions, count: u64) -> Vec<(Duration, u8)> {
        let mut network = Network::new(7);
        network.add_link(conditions);
        let start = Instant::now();
        for number in 0..count {
            let at = start + Duration::from_millis(number);
            network.send(at, 0, Direction::Down, vec![number as u8; 1000]);
        }
        let far = start + Duration::from_secs(100);
        std::iter::from_fn(|| network.receive(far))
            .map(|arrival| (arrival.at - start, arrival.data[0]))
            .collect()
    }

    #[test]
    fn a_perfect_link_delays() {
        let delay = Duration::from_millis(50);
        let expected: Vec<_> = (0..9)
            .map(|n| (delay + Duration::from_millis(n), n as u8))
            .collect();
        assert_eq!(arrivals(Conditions::perfect(delay), 9), expected);
    }

    #[test]
    fn loss_is_about_what_was_asked_for_and_reordering_overtakes() {
        let lossy = Conditions::lossy(Duration::ZERO, 0.2);
        let count = arrivals(lossy, 10_000).len();
        assert!((7_800..8_200).contains(&count), "{count}");
        let reordering = Conditions {
            reorder: 0.1,
            reorder_by: Duration::from_millis(5),
            jitter: Duration::from_millis(3),
            ..Conditions::perfect(Duration::ZERO)
        };
        let order: Vec<u8> = arrivals(reordering, 200).iter().map(|it| it.1).collect();
        assert_eq!(order.len(), 200);
        assert!(!order.is_sorted());
    }

    #[test]
    fn a_bottleneck_carries_its_rate_and_drops_the_rest() {
        // 1000 bytes each ms are 8 Mbit/s; a queue of 20 ms in front of 4 Mbit/s.
        let narrow = Conditions {
            bottleneck: Some(Bottleneck {
                bitrate: 4e6,
                queue: Duration::from_millis(20),
            }),
            ..Conditions::perfect(Duration::ZERO)
        };
        let arrived = arrivals(narrow, 200);
        // Half of them in 200 ms, and what was in the queue at the end.
        assert!((100..=112).contains(&arrived.len()), "{}", arrived.len());
        assert!(
            arrived
                .windows(2)
                .all(|pair| pair[1].0 - pair[0].0 >= Duration::from_micros(1999))
        );
    }
}
