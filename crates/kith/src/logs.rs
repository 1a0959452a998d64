//! Logs: text or JSON on standard error.

use std::io::{IsTerminal as _, stderr};

use kith_server::config::LoggingConfig;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Starts logging. `RUST_LOG` wins over the configuration.
pub(crate) fn start(config: &LoggingConfig) -> anyhow::Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        _ => {
            let level: LevelFilter = config.level.parse()?;
            // What libraries have to say at debug level is for those who work on them.
            let libraries = level.min(LevelFilter::INFO);
            EnvFilter::try_new(format!(
                "{libraries},kith={level},kith_server={level},kith_net={level},kith_sfu={level},kith_transport={level},kith_sdp={level}"
            ))?
        }
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    if config.json {
        logs.json().flatten_event(true).init();
    } else {
        logs.with_ansi(stderr().is_terminal()).init();
    }
    Ok(())
}
