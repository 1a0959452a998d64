#![allow(warnings)]
mod common;
use common::*;
use std::time::Duration;
use kith_transport::*;
use str0m::config::DtlsVersion;

struct L;
impl log::Log for L {
    fn enabled(&self, _: &log::Metadata) -> bool { true }
    fn log(&self, r: &log::Record) { if r.target().starts_with("sctp_proto") { println!("{} {}", r.target(), r.args()); } }
    fn flush(&self) {}
}
#[test]
fn dbg() {
    for seed in 0..6 {
        let role = [DtlsRole::Client, DtlsRole::Server][seed as usize % 2];
        let mut world = World::with_str0m(role, DtlsVersion::Auto, DataChannelSpec::livekit());
        world.random = Random::new(seed);
        world.loss = 0.25;
        world.connect();
        world.run(Duration::from_secs(20));
        let ok = world.kith().opened(&DataLabel::Reliable);
        println!("seed {seed} {role:?} {ok} {:?}", world.str0m().channels);
        if !ok {
            log::set_logger(&L).ok(); log::set_max_level(log::LevelFilter::Trace);
            let mut world = World::with_str0m(role, DtlsVersion::Auto, DataChannelSpec::livekit());
            world.random = Random::new(seed);
            world.loss = 0.25;
            world.connect();
            for i in 0..100 { println!("--- t={:?} next {:?}", world.elapsed(), world.kith().transport.poll_timeout().map(|t| t - world.now)); world.run(Duration::from_millis(100)); }
            break;
        }
    }
}
