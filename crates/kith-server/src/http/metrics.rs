//! Metrics for Prometheus on a port of their own. Every path answers.

use std::{convert::Infallible, fmt::Write as _, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::watch};

use super::{Front, serve, text};
use crate::config::PrometheusConfig;

pub(super) async fn serve_connection(
    front: Arc<Front>,
    stream: TcpStream,
    stopped: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(answer(&front, request.headers())) }
    });
    let connection = serve::builder().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    serve::finish(connection.as_mut(), stopped, |connection| {
        connection.graceful_shutdown()
    })
    .await;
}

fn answer(front: &Front, headers: &HeaderMap) -> Response<Body> {
    if !allowed(&front.config.prometheus, headers) {
        let mut response = text(StatusCode::UNAUTHORIZED, "Unauthorized");
        let challenge = header::HeaderValue::from_static("Basic realm=\"Protected Area\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    let mut out = String::new();
    front.write_metrics(&mut out);
    front.rooms.write_metrics(&mut out);
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        out,
    )
        .into_response()
}

fn allowed(config: &PrometheusConfig, headers: &HeaderMap) -> bool {
    if config.username.is_empty() {
        return true;
    }
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded.trim()).ok());
    let wanted = format!("{}:{}", config.username, config.password.0);
    given.is_some_and(|given| equal(&given, wanted.as_bytes()))
}

/// Compares in a time that tells nothing but the length.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |differs, (left, right)| differs | (left ^ right))
            == 0
}

impl Front {
    pub(super) fn open_sockets(&self) -> usize {
        self.sockets.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn write_metrics(&self, out: &mut String) {
        let version = env!("CARGO_PKG_VERSION");
        family(
            out,
            "kith_build_info",
            "gauge",
            "The version that runs.",
            &format!("{{version=\"{version}\"}} 1"),
        );
        family(
            out,
            "kith_uptime_seconds",
            "gauge",
            "Time since the start.",
            &format!(" {}", self.started.elapsed().as_secs()),
        );
        family(
            out,
            "kith_signal_sockets",
            "gauge",
            "Open signalling sockets.",
            &format!(" {}", self.open_sockets()),
        );
        let process = Process::read();
        for (name, kind, help, value) in [
            (
                "process_cpu_seconds_total",
                "counter",
                "User and system time.",
                process.cpu_seconds,
            ),
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory.",
                process.resident_bytes,
            ),
            (
                "process_open_fds",
                "gauge",
                "Open file descriptors.",
                process.open_files,
            ),
            ("process_threads", "gauge", "Threads.", process.threads),
        ] {
            if let Some(value) = value {
                family(out, name, kind, help, &format!(" {value}"));
            }
        }
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, sample: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{sample}"
    );
}

/// What the kernel says about this process; nothing where there is no `/proc`.
#[derive(Default)]
struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    open_files: Option<f64>,
    threads: Option<f64>,
}

impl Process {
    fn read() -> Self {
        // Linux reports times in ticks of 1/100 s to user space on every platform that matters, and memory in pages; the
        // status file has bytes.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The command name in parentheses may hold anything; fields are counted behind it.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let number = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<f64>().ok())
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<f64>().ok()
        };
        Self {
            cpu_seconds: number(11)
                .zip(number(12))
                .map(|(user, system)| (user + system) / TICKS),
            resident_bytes: line("VmRSS:").map(|kilobytes| kilobytes * 1024.0),
            open_files: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| entries.count() as f64),
            threads: line("Threads:"),
        }
    }
}
