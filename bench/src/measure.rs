//! Rounds, medians and minima.
//!
//! The machine may be busy with other things. A step is short, some 20 µs where that is possible; a round is many steps, of which the
//! median counts, so that steps which were interrupted do not; rounds of what is measured and of its floor alternate, and of all
//! rounds the smallest counts. Steps that cannot be short are measured in CPU time of the thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::counting;
use crate::model::{Case, MAX_DATAGRAM, Model, Out, SlabOut, SocketOut};
use crate::source::Source;

const ROUNDS: usize = 9;
const ROUND_TIME: Duration = Duration::from_millis(60);
/// Bursts until histories and tables have their size.
const WARM_UP: usize = 150;
/// Packets forwarded in one step, at least.
const STEP: usize = 64;

/// Steps of more packets than this take long enough to be interrupted often, and for a system call to make no difference.
const LONG_STEP: usize = 400;

/// Takes the time of a step.
struct Stopwatch {
    real: Instant,
    /// CPU time of this thread, if the step is long.
    processor: Option<Duration>,
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Stopwatch {
    fn start(long: bool) -> Self {
        Stopwatch {
            processor: long.then(cpu_time),
            real: Instant::now(),
        }
    }

    fn nanos(&self) -> f64 {
        let real = self.real.elapsed();
        let time = self.processor.map_or(real, |before| cpu_time() - before);
        time.as_nanos() as f64
    }
}

/// A row of the table, ns per forwarded packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The smallest of the rounds' medians, and their median.
    pub(crate) best: f64,
    pub(crate) usual: f64,
    /// The smallest of the floor's.
    pub(crate) floor: f64,
    /// Allocations while packets were forwarded, and these packets.
    pub(crate) allocations: u64,
    pub(crate) packets: u64,
    /// Datagrams per message to the kernel.
    pub(crate) per_message: f64,
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MAX, f64::min)
}

/// A model that is being fed.
pub(crate) struct Running {
    case: Case,
    model: Model,
    source: Source,
    /// Bursts per step, and the next one's publication.
    bursts: usize,
    next: usize,
}

impl Running {
    pub(crate) fn new(case: Case, out: &mut impl Out, after: impl Fn()) -> Self {
        let bursts = (STEP / (case.burst * case.subscribers)).clamp(1, 8);
        let (model, source) = case.build(bursts * case.burst);
        let mut running = Running {
            case,
            model,
            source,
            bursts,
            next: 0,
        };
        let out: &mut dyn FnMut(&mut Running) = &mut |running| {
            running.step(out, false);
            after();
        };
        // Long enough for every active track, within reason.
        for n in 0..(WARM_UP.max(case.active * 70)).div_ceil(running.bursts) {
            out(&mut running);
            if n == 0 {
                running.model.report();
            }
        }
        running.model.report();
        running
    }

    /// One step: prepares packets and takes the time of what a shard would do, in CPU time if it is `long`. Returns ns, packets
    /// forwarded and allocations.
    fn step(&mut self, out: &mut impl Out, long: bool) -> (f64, u64, u64) {
        let count = self.bursts * self.case.burst;
        let datagrams = self.source.make(self.next, self.case.burst, count);
        self.next = (self.next + self.bursts) % self.case.active;
        let (forwarded, allocations) = (self.model.forwarded, counting::allocations());
        let start = Stopwatch::start(long);
        for burst in datagrams.chunks_mut(self.case.burst) {
            self.model.process_burst(burst, out);
        }
        let time = start.nanos();
        let allocations = counting::allocations() - allocations;
        let forwarded = self.model.forwarded - forwarded;
        self.model.settle();
        (time, forwarded, allocations)
    }

    fn round(&mut self, row: &mut Row, out: &mut impl Out, after: impl Fn()) -> f64 {
        let mut steps = Vec::with_capacity(8192);
        let expected = self.bursts * self.case.burst * self.case.subscribers;
        let until = Instant::now() + ROUND_TIME;
        while steps.len() < 5 || (Instant::now() < until && steps.len() < 8192) {
            let (ns, packets, allocations) = self.step(out, expected > LONG_STEP);
            assert_eq!(packets as usize, expected, "every packet goes to everybody");
            row.packets += packets;
            row.allocations += allocations;
            steps.push(ns / packets as f64);
            after();
        }
        median(&mut steps)
    }

    /// The sealed length of a packet, and one of them.
    fn sample(&mut self) -> Vec<u8> {
        struct Keep(Vec<u8>);
        impl Out for Keep {
            fn send(
                &mut self,
                _: usize,
                fill: impl FnOnce(&mut [u8]) -> Option<usize>,
            ) -> Option<usize> {
                self.0.resize(MAX_DATAGRAM, 0);
                let len = fill(&mut self.0)?;
                self.0.truncate(len);
                Some(len)
            }
            fn flush(&mut self) {}
        }
        let mut keep = Keep(Vec::new());
        self.step(&mut keep, false);
        keep.0
    }
}

impl Row {
    fn new() -> Self {
        Row {
            best: 0.0,
            usual: 0.0,
            floor: 0.0,
            allocations: 0,
            packets: 0,
            per_message: 0.0,
        }
    }

    fn conclude(mut self, rounds: &mut [f64], floors: &[f64]) -> Self {
        self.best = least(rounds);
        self.usual = median(rounds);
        self.floor = least(floors);
        self
    }
}

/// Without the kernel; the floor is sealing packets of the same length with the same keys in the same order.
pub(crate) fn in_memory(case: Case) -> Row {
    let mut out = SlabOut::new();
    let mut running = Running::new(case, &mut out, || ());
    let sample = running.sample();
    let mut ready = SlabOut::new();
    for place in ready.slab.chunks_exact_mut(sample.len()) {
        place.copy_from_slice(&sample);
    }
    let mut row = Row::new();
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rounds.push(running.round(&mut row, &mut out, || ()));
        floors.push(seal_round(&running, &mut ready, sample.len()));
    }
    row.conclude(&mut rounds, &floors)
}

fn seal_round(running: &Running, out: &mut SlabOut, sealed: usize) -> f64 {
    let case = running.case;
    let mut steps = Vec::with_capacity(8192);
    let until = Instant::now() + ROUND_TIME / 2;
    while steps.len() < 5 || (Instant::now() < until && steps.len() < 8192) {
        let packets = running.bursts * case.burst * case.subscribers;
        let start = Stopwatch::start(packets > LONG_STEP);
        for _ in 0..running.bursts {
            for transport in running.model.transports() {
                for _ in 0..case.burst {
                    let sent = out.send(0, |room| {
                        transport
                            .seal_rtp(0, room, sealed - transport.srtp_overhead())
                            .ok()
                    });
                    black_box(sent);
                }
            }
            out.flush();
        }
        steps.push(start.nanos() / packets as f64);
    }
    median(&mut steps)
}

/// With the kernel, over loopback; the floor is sending datagrams of the same length that are ready.
pub(crate) fn over_sockets(case: Case) -> Row {
    let mut out = SocketOut::new(case.subscribers);
    let receivers: Vec<_> = out
        .receivers
        .iter()
        .map(|receiver| receiver.try_clone().unwrap())
        .collect();
    let drain = || {
        let mut buffer = [0; 2048];
        for receiver in &receivers {
            while receiver.recv(&mut buffer).is_ok() {}
        }
    };
    let mut running = Running::new(case, &mut out, drain);
    let sealed = running.sample().len();
    let mut row = Row::new();
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    (out.datagrams, out.messages) = (0, 0);
    for _ in 0..ROUNDS {
        rounds.push(running.round(&mut row, &mut out, drain));
        floors.push(send_round(&running, &mut out, sealed));
    }
    let mut row = row.conclude(&mut rounds, &floors);
    row.per_message = out.datagrams as f64 / out.messages.max(1) as f64;
    row
}

fn send_round(running: &Running, out: &mut SocketOut, len: usize) -> f64 {
    let case = running.case;
    let mut steps = Vec::with_capacity(8192);
    let until = Instant::now() + ROUND_TIME / 2;
    while steps.len() < 5 || (Instant::now() < until && steps.len() < 8192) {
        let packets = running.bursts * case.burst * case.subscribers;
        let start = Stopwatch::start(packets > LONG_STEP);
        for _ in 0..running.bursts {
            for to in 0..case.subscribers {
                for _ in 0..case.burst {
                    out.send(to, |_| Some(len));
                }
            }
            out.flush();
        }
        steps.push(start.nanos() / packets as f64);
        out.drain();
    }
    median(&mut steps)
}

/// Bytes that a down-track holds after a while of 2 Mbit/s, its place in the shard's table included.
pub(crate) fn down_track_bytes(case: Case) -> f64 {
    let mut out = SlabOut::new();
    let mut running = Running::new(case, &mut out, || ());
    let before = counting::bytes();
    let (count, each) = running.model.unsubscribe_all();
    let freed = before - counting::bytes();
    freed as f64 / count as f64 + each as f64
}

/// Fixed counts for an instruction counter: the same packets are prepared whatever `bursts` is, which says how many of them are
/// processed.
pub(crate) fn instructions(case: Case, bursts: usize, most: usize) {
    let mut out = SlabOut::new();
    let mut running = Running::new(case, &mut out, || ());
    let count = case.burst;
    let (mut model, mut source) = (running.model, running.source);
    for n in 0..most {
        let datagrams = source.make((running.next + n) % case.active, case.burst, count);
        if n < bursts {
            measured_burst(&mut model, datagrams, &mut out);
        }
        model.settle();
    }
    running.next = 0;
}

/// What the instruction counter looks at.
#[inline(never)]
fn measured_burst(model: &mut Model, datagrams: &mut [Vec<u8>], out: &mut SlabOut) {
    model.process_burst(datagrams, out);
}
