//! Which keys LiveKit's configuration has, and what Kith does with them.

use serde_json::Value;

/// What Kith does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// Takes it.
    Taken,
    /// Will take it in a later version: a warning, when it asks for something.
    Later,
    /// Does not need it: it tunes the inside of the Go server, or is out of date there.
    NoEffect,
}

use Support::{Later, NoEffect, Taken};

/// Sections and their keys; the empty section is the top level. A section that is also a key of its parent section
/// with a `Support` is a free map: its inner keys are the user's own.
const SECTIONS: &[(&str, &[(&str, Support)])] = &[
    (
        "",
        &[
            ("port", Taken),
            ("bind_addresses", Taken),
            ("prometheus_port", Taken),
            ("keys", Taken),
            ("key_file", Taken),
            ("region", Taken),
            ("log_level", Taken),
            ("development", Taken),
            ("redis", Later),
            ("turn", Later),
            ("webhook", Later),
            ("ingress", Later),
            ("sip", Later),
            ("node_selector", Later),
            ("enable_data_tracks", Later),
            ("enable_participant_data_blob", Later),
            ("debug_handler", NoEffect),
            ("debug_handler_port", NoEffect),
            ("signal_relay", NoEffect),
            ("psrpc", NoEffect),
            ("node_stats", NoEffect),
            ("api", NoEffect),
            ("metric", NoEffect),
            ("trace", NoEffect),
        ],
    ),
    (
        "prometheus",
        &[("port", Taken), ("username", Taken), ("password", Taken)],
    ),
    (
        "rtc",
        &[
            ("udp_port", Taken),
            ("tcp_port", Taken),
            ("port_range_start", Taken),
            ("port_range_end", Taken),
            ("node_ip", Taken),
            ("use_external_ip", Taken),
            ("stun_servers", Taken),
            ("enable_loopback_candidate", Taken),
            ("use_ice_lite", Taken),
            ("allow_tcp_fallback", Taken),
            ("use_stun_port_as_ice", Later),
            ("turn_servers", Later),
            ("external_ip_only", Later),
            ("use_mdns", Later),
            ("interfaces", Later),
            ("ips", Later),
            ("force_tcp", Later),
            ("congestion_control", Later),
            ("pli_throttle", Later),
            ("tcp_fallback_rtt_threshold", Later),
            ("allow_udp_unstable_fallback", Later),
            ("reconnect_on_publication_error", Later),
            ("reconnect_on_subscription_error", Later),
            ("reconnect_on_data_channel_error", Later),
            ("datachannel_slow_threshold", Later),
            ("datachannel_lossy_target_latency", Later),
            ("datachannel_data_track_target_latency", Later),
            ("enable_warp", NoEffect),
            ("batch_io", NoEffect),
            ("sctp_min_cwnd", NoEffect),
            ("sctp_fast_rtx_wnd", NoEffect),
            ("sctp_cwnd_ca_step", NoEffect),
            ("strict_acks", NoEffect),
            ("packet_buffer_size", NoEffect),
            ("packet_buffer_size_video", NoEffect),
            ("packet_buffer_size_audio", NoEffect),
            ("data_channel_max_buffered_amount", NoEffect),
            ("forward_stats", NoEffect),
            ("enable_rtp_stream_restart_detection", NoEffect),
        ],
    ),
    (
        "room",
        &[
            ("auto_create", Taken),
            ("enabled_codecs", Taken),
            ("max_participants", Taken),
            ("empty_timeout", Taken),
            ("departure_timeout", Taken),
            ("enable_remote_unmute", Taken),
            ("playout_delay", Later),
            ("sync_streams", Later),
            ("enable_full_room_in_webhooks", Later),
            ("room_configurations", Later),
            ("create_room_timeout", NoEffect),
            ("create_room_attempts", NoEffect),
            ("update_batch_target_size", NoEffect),
            ("max_metadata_size", NoEffect),
            ("max_room_name_length", NoEffect),
            ("max_participant_identity_length", NoEffect),
        ],
    ),
    (
        "limit",
        &[
            ("num_tracks", Taken),
            ("bytes_per_sec", Taken),
            ("subscription_limit_video", Taken),
            ("subscription_limit_audio", Taken),
            ("max_metadata_size", Taken),
            ("max_attributes_size", Taken),
            ("max_room_name_length", Taken),
            ("max_participant_identity_length", Taken),
            ("max_participant_name_length", Taken),
            ("signal_message_size_limit", Taken),
            ("max_api_request_body_size", Taken),
            ("max_data_blob_key_length", Later),
            ("max_data_blobs_size", Later),
            ("max_data_track_custom_encoding_length", Later),
            ("agent_signal_message_size_limit", Later),
        ],
    ),
    (
        "audio",
        &[
            ("active_level", Taken),
            ("min_percentile", Taken),
            ("update_interval", Taken),
            ("smooth_intervals", Taken),
            ("active_red_encoding", Taken),
            ("enable_loss_proxying", Later),
        ],
    ),
    (
        "video",
        &[
            ("dynacast_pause_delay", Later),
            ("codec_regression_threshold", Later),
            ("stream_tracker_manager", NoEffect),
        ],
    ),
    (
        "agents",
        &[
            ("target_load", Later),
            ("enable_user_data_recording", Later),
            ("enable_user_data_redaction", Later),
        ],
    ),
    (
        "logging",
        &[
            ("json", Taken),
            ("level", Taken),
            ("component_levels", Later),
            ("sample", NoEffect),
            ("sample_initial", NoEffect),
            ("sample_interval", NoEffect),
            ("item_sample_initial", NoEffect),
            ("item_sample_interval", NoEffect),
            ("item_sample_seconds", NoEffect),
            ("pion_level", NoEffect),
        ],
    ),
];

/// A key of the file that LiveKit does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownKey {
    pub(super) path: String,
    pub(super) nearest: Option<String>,
}

/// What was found about the keys of a file.
#[derive(Debug, Default)]
pub(super) struct KeyReport {
    pub(super) unknown: Vec<UnknownKey>,
    /// Known keys that ask for something that Kith cannot do yet.
    pub(super) later: Vec<String>,
    /// Known keys that mean nothing to Kith.
    pub(super) no_effect: Vec<String>,
}

pub(super) fn check_keys(file: &Value) -> KeyReport {
    let mut report = KeyReport::default();
    let Value::Object(top) = file else {
        return report;
    };
    for (key, value) in top {
        if let Some(support) = support("", key) {
            report.add(key.clone(), support, value);
        } else if section(key).is_some() {
            // An empty section is `null`; anything else that is no map is refused by the typed reading.
            let Value::Object(inner) = value else {
                continue;
            };
            for (inner_key, value) in inner {
                let path = format!("{key}.{inner_key}");
                match support(key, inner_key) {
                    Some(support) => report.add(path, support, value),
                    None => report.unknown.push(UnknownKey {
                        nearest: nearest(key, inner_key),
                        path,
                    }),
                }
            }
        } else {
            report.unknown.push(UnknownKey {
                nearest: nearest("", key),
                path: key.clone(),
            });
        }
    }
    report
}

impl KeyReport {
    fn add(&mut self, path: String, support: Support, value: &Value) {
        match support {
            Taken => {}
            Later if asks_for_nothing(value) => {}
            Later => self.later.push(path),
            NoEffect => self.no_effect.push(path),
        }
    }
}

/// `turn: {enabled: false}` and the like.
fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(asks_for_nothing),
        Value::Object(fields) => {
            fields.get("enabled") == Some(&Value::Bool(false))
                || fields.values().all(asks_for_nothing)
        }
    }
}

fn section(name: &str) -> Option<&'static [(&'static str, Support)]> {
    SECTIONS
        .iter()
        .find(|(section, _)| *section == name)
        .map(|(_, keys)| *keys)
}

fn support(section_name: &str, key: &str) -> Option<Support> {
    section(section_name)?
        .iter()
        .find(|(known, _)| *known == key)
        .map(|(_, support)| *support)
}

/// The known key that was probably meant: the most similar one of the same section, or the same name elsewhere.
fn nearest(section_name: &str, key: &str) -> Option<String> {
    let join = |section: &str, key: &str| {
        if section.is_empty() {
            key.to_owned()
        } else {
            format!("{section}.{key}")
        }
    };
    let siblings = section(section_name)
        .unwrap_or_default()
        .iter()
        .map(|(known, _)| *known);
    let sections = SECTIONS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| section_name.is_empty() && !name.is_empty());
    let similar = siblings
        .chain(sections)
        .map(|known| (distance(known, key), known))
        .min()
        // A third of the letters may be wrong.
        .filter(|(distance, known)| *distance <= 1.max(known.len().min(key.len()) / 3))
        .map(|(_, known)| join(section_name, known));
    similar.or_else(|| {
        let (name, _) = SECTIONS.iter().find(|(name, keys)| {
            *name != section_name && keys.iter().any(|(known, _)| *known == key)
        })?;
        Some(join(name, key))
    })
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    // One row of the table at a time: `row` holds the distances of all prefixes of `right` to the prefix of `left`.
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (above_first, letter) in left.chars().enumerate() {
        let mut diagonal = above_first;
        let mut before = above_first + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(right.chars()) {
            let above = *cell;
            *cell = (diagonal + usize::from(letter != other))
                .min(above + 1)
                .min(before + 1);
            diagonal = above;
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = above_first + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
