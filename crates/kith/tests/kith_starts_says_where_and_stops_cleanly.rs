//! The binary from the outside: what it prints, how it stops, what it refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

fn kith() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kith"));
    for name in [
        "LIVEKIT_CONFIG",
        "LIVEKIT_KEYS",
        "LIVEKIT_KEY_FILE",
        "LIVEKIT_PORT",
        "NODE_IP",
        "UDP_PORT",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn free_tcp() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn free_udp() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Ends the process when a test fails before it did.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "kith does not stop");
            sleep(Duration::from_millis(20));
        }
    }
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn development_mode_prints_a_token_that_works_and_a_link() {
    let (port, udp, tcp) = (free_tcp(), free_udp(), free_tcp());
    let mut kith = kith();
    kith.args([
        "--dev",
        "--port",
        &port.to_string(),
        "--udp-port",
        &udp.to_string(),
    ]);
    kith.args(["--config-body", &format!("rtc: {{tcp_port: {tcp}}}")]);
    let mut kith = Running(kith.spawn().unwrap());
    let mut token = None;
    let link = format!("http://localhost:{port}/");
    for line in BufReader::new(kith.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(text) = line.trim().strip_prefix("token") {
            token = Some(text.trim().to_owned());
        }
        if line.contains(&link) {
            break;
        }
    }
    let token = token.unwrap();
    assert!(get(port, "/").ends_with("\r\n\r\nOK"));
    assert!(get(port, &format!("/rtc/validate?access_token={token}")).ends_with("success"));
    assert!(get(port, "/dev/token?room=r&identity=i").contains("\"token\""));
    kith.signal("TERM");
    assert_eq!(kith.wait().code(), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_configuration_file_is_enough_and_logs_can_be_json() {
    let (port, udp, metrics) = (free_tcp(), free_udp(), free_tcp());
    let file = std::env::temp_dir().join(format!("kith-test-{}.yaml", std::process::id()));
    let text = format!(
        "port: {port}\nbind_addresses: [127.0.0.1]\nkeys: {{k: a-secret-of-at-least-32-characters-}}\n\
         rtc: {{udp_port: {udp}, tcp_port: 0}}\nlogging: {{json: true, level: info}}\nprometheus: {{port: {metrics}}}\n\
         redis: {{address: \"localhost:1\"}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut kith = Running(kith().arg("--config").arg(&file).spawn().unwrap());
    let mut printed = String::new();
    let mut lines = BufReader::new(kith.0.stdout.take().unwrap());
    while !printed.contains("media") {
        assert_ne!(
            lines.read_line(&mut printed).unwrap(),
            0,
            "ended: {printed}"
        );
    }
    assert!(!printed.contains("token"));
    assert!(get(port, "/dev/token?room=r&identity=i").contains("404 page not found"));
    assert!(get(metrics, "/metrics").contains("kith_build_info"));
    kith.signal("INT");
    assert_eq!(kith.wait().code(), Some(0));
    let mut logs = String::new();
    kith.0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut logs)
        .unwrap();
    assert!(
        logs.lines()
            .all(|line| line.starts_with('{') && line.ends_with('}')),
        "{logs}"
    );
    assert!(logs.contains("`redis` is not supported yet"), "{logs}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_it_cannot_start_with_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    for (arguments, part) in [
        (vec![], "one of key-file or keys must be provided"),
        (vec!["--config", "/nowhere.yaml"], "/nowhere.yaml"),
        (
            vec!["--dev", "--config-body", "rtc: {tcp_prot: 1}"],
            "did you mean `rtc.tcp_port`?",
        ),
        (vec!["--keys", "a:b"], "key: secret"),
        (vec!["--dev", "--bind", "nonsense"], "nonsense"),
        (vec!["--dev", "--udp-port", "9-8"], "9-8"),
        (
            vec!["--dev", "--bind", "127.0.0.1", "--port", &taken],
            "cannot listen on 127.0.0.1",
        ),
    ] {
        let output = kith().args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}
