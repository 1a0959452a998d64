//! `kith`: starts a server from a configuration and stops it on a signal.

mod arguments;
mod greeting;
mod logs;
mod stop;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use kith_server::server::Server;

use crate::arguments::{Arguments, Setup};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logs may not be set up yet, or be JSON; a person reads this.
            eprintln!("kith: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Setup {
        config,
        keys,
        warnings,
        notes,
    } = arguments.setup()?;
    logs::start(&config.logging)?;
    for warning in warnings {
        tracing::warn!("configuration: {warning}");
    }
    for note in notes {
        tracing::debug!("configuration: {note}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("kith-control")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = stop::signals()?;
        let server = Server::start(config.clone(), keys.clone()).await?;
        greeting::print(&config, &keys, &server)?;
        server.run(stop).await;
        tracing::info!("stopped");
        Ok(())
    })
}
