//! Configuration files: what is taken, warned about and refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use kith_server::config::{Config, ConfigError, PortRange, parse_keys};

fn parse(text: &str) -> Config {
    Config::parse(text)
        .unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
        .config
}

fn error(text: &str) -> String {
    match Config::parse(text) {
        Ok(loaded) => panic!("taken: {:?}", loaded.config),
        Err(error) => error.to_string(),
    }
}

#[test]
fn nothing_gives_the_defaults() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "rtc:\nroom:\nkeys:\nlogging:\nbind_addresses:\n",
    ] {
        assert_eq!(parse(text), Config::default(), "{text:?}");
    }
    let config = Config::default();
    assert_eq!(config.port, 7880);
    assert_eq!(config.rtc.tcp_port, 7881);
    assert_eq!(
        config.rtc.udp_ports(),
        PortRange {
            first: 50_000,
            last: 60_000
        }
    );
    assert_eq!(
        (config.room.empty_timeout, config.room.departure_timeout),
        (300, 20)
    );
}

#[test]
fn a_typical_file_is_read() {
    let config = parse(
        r#"
port: 7000
bind_addresses: ["127.0.0.1", "::1"]
rtc:
  udp_port: 50000-50003
  tcp_port: 7001
  use_external_ip: yes
  node_ip: 192.0.2.7
room:
  auto_create: no
  empty_timeout: 10
  enabled_codecs:
    - mime: audio/opus
    - mime: video/h264
      fmtp_line: profile-level-id=42e01f
limit: {max_metadata_size: 10, bytes_per_sec: 1_000_000}
audio: {active_level: 30}
logging: {level: warn, json: true}
prometheus: {port: 6789, username: me, password: "1234"}
keys:
  APIabc: 0123456789
  other: yes
"#,
    );
    assert_eq!(
        config.rtc.udp_port,
        Some(PortRange {
            first: 50_000,
            last: 50_003
        })
    );
    assert!(config.rtc.use_external_ip);
    assert!(!config.room.auto_create);
    assert!(config.room.enabled_codecs.contains("video/H264"));
    assert!(!config.room.enabled_codecs.contains("video/VP8"));
    assert_eq!(
        config.room.enabled_codecs.0[1].fmtp_line,
        "profile-level-id=42e01f"
    );
    assert_eq!(config.limit.bytes_per_sec, 1_000_000);
    assert_eq!(config.limit.max_room_name_length, 256);
    assert_eq!(config.audio.active_level, 30);
    assert_eq!(config.audio.update_interval, 400);
    assert!(config.logging.json);
    // Secrets are text, whatever they look like.
    assert_eq!(config.keys.0["APIabc"], "0123456789");
    assert_eq!(config.keys.0["other"], "yes");
    assert_eq!(config.listen_addresses().unwrap().len(), 2);
    assert!(!format!("{config:?}").contains("0123456789"));
    assert!(!format!("{config:?}").contains("1234"));
}

#[test]
fn a_udp_port_may_be_a_number_or_text() {
    for text in ["7882", "\"7882\"", "7882-7882"] {
        let config = parse(&format!("rtc:\n  udp_port: {text}\n"));
        assert_eq!(
            config.rtc.udp_port,
            Some(PortRange {
                first: 7882,
                last: 7882
            }),
            "{text}"
        );
    }
    for text in ["0", "70000", "9-8", "x", "-1", "[1]"] {
        error(&format!("rtc:\n  udp_port: {text}\n"));
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    assert_eq!(
        error("rtc:\n  tcp_prot: 1\n"),
        "unknown key `rtc.tcp_prot`; did you mean `rtc.tcp_port`?"
    );
    assert_eq!(
        error("pport: 1\n"),
        "unknown key `pport`; did you mean `port`?"
    );
    assert_eq!(
        error("rooms: {}\n"),
        "unknown key `rooms`; did you mean `room`?"
    );
    assert_eq!(
        error("tcp_port: 1\n"),
        "unknown key `tcp_port`; did you mean `rtc.tcp_port`?"
    );
    assert_eq!(error("zzz: 1\n"), "unknown key `zzz`");
    let both = error("zzz: 1\nlogging: {leve: info}\n");
    assert!(
        both.contains("`zzz`") && both.contains("did you mean `logging.level`?"),
        "{both}"
    );
}

#[test]
fn keys_of_later_features_are_taken_with_a_warning() {
    let loaded = Config::parse(
        "redis: {address: localhost:6379}\nturn: {enabled: false, udp_port: 3478}\nrtc: {strict_acks: true, force_tcp: false}\n\
         room: {sync_streams: true}\nvideo: {dynacast_pause_delay: 5s}\n",
    )
    .unwrap();
    let warnings = loaded.warnings.join("\n");
    for key in ["redis", "room.sync_streams", "video.dynacast_pause_delay"] {
        assert!(warnings.contains(&format!("`{key}`")), "{warnings}");
    }
    assert_eq!(loaded.warnings.len(), 3, "{warnings}");
    assert!(loaded.notes[0].contains("`rtc.strict_acks`"));
}

#[test]
fn old_names_still_count() {
    let config = parse("prometheus_port: 6000\nlog_level: debug\n");
    assert_eq!(
        (config.prometheus.port, config.logging.level.as_str()),
        (6000, "debug")
    );
    let config = parse("log_level: debug\nlogging: {level: error}\n");
    assert_eq!(config.logging.level, "error");
}

#[test]
fn values_that_make_no_sense_are_refused_by_name() {
    for (text, part) in [
        ("port: 65536\n", "line 1"),
        ("port: abc\n", "line 1"),
        ("bind_addresses: [not-an-ip]\n", "bind_addresses"),
        ("rtc: {node_ip: here}\n", "rtc.node_ip"),
        (
            "rtc: {port_range_start: 9, port_range_end: 8}\n",
            "port_range_end",
        ),
        ("prometheus: {username: me}\n", "prometheus"),
        ("audio: {active_level: 128}\n", "audio.active_level"),
        ("audio: {min_percentile: 101}\n", "audio.min_percentile"),
        ("audio: {update_interval: 0}\n", "audio.update_interval"),
        ("logging: {level: loud}\n", "logging.level"),
        ("keys: {a: \"\"}\n", "keys"),
        ("rtc: 5\n", "line 1"),
        ("room: {empty_timeout: -1}\n", "line 1"),
        ("a: [\n", "line"),
        ("port: 1\nport: 2\n", "duplicate"),
    ] {
        let error = error(text);
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn messages_show_no_secret() {
    let message = error("keys:\n  APIx: topsecret\nport: abc\n");
    assert!(!message.contains("topsecret"), "{message}");
}

#[test]
fn keys_come_from_lines() {
    let keys = parse_keys("a: s1\nb: s2\n").unwrap();
    assert_eq!(keys["b"], "s2");
    assert!(parse_keys("a:s1").is_err());
    assert!(parse_keys("").unwrap().is_empty());
}

#[test]
fn a_key_file_wins_and_must_be_private() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let path = std::env::temp_dir().join(format!("kith-keys-{}", std::process::id()));
    fs::write(&path, "file: secret\n").unwrap();
    let mut config = parse("keys: {inline: secret}\n");
    config.key_file = path.to_string_lossy().into_owned();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        config.api_keys(&mut Vec::new()),
        Err(ConfigError::KeyFileOpen(_))
    ));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut warnings = Vec::new();
    let keys = config.api_keys(&mut warnings).unwrap();
    assert_eq!(keys.first(), Some("file"));
    assert_eq!(warnings.len(), 1, "a short secret is worth a word");
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        config.api_keys(&mut Vec::new()),
        Err(ConfigError::Read { .. })
    ));
    assert!(matches!(
        Config::default().api_keys(&mut Vec::new()),
        Err(ConfigError::NoKeys)
    ));
}

#[test]
fn development_mode_fills_what_the_file_leaves_open() {
    let mut config = Config::default();
    config.make_dev();
    assert_eq!(
        config.rtc.udp_ports(),
        PortRange {
            first: 7882,
            last: 7882
        }
    );
    assert_eq!(config.listen_addresses().unwrap().len(), 2);
    assert!(config.rtc.enable_loopback_candidate);
    assert_eq!(
        config.api_keys(&mut Vec::new()).unwrap().first(),
        Some("devkey")
    );
    let mut config = parse(
        "bind_addresses: [\"\"]\nrtc: {udp_port: 9000}\nkeys: {k: s}\nlogging: {level: warn}\n",
    );
    config.make_dev();
    assert_eq!(config.rtc.udp_ports().first, 9000);
    assert_eq!(config.api_keys(&mut Vec::new()).unwrap().first(), Some("k"));
    assert_eq!(config.logging.level, "warn");
    assert!(config.listen_addresses().unwrap()[0].ip().is_unspecified());
}
