//! Who the client is: its parameters, its User-Agent, its address.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use kith_proto::livekit::{ClientInfo, client_info};

use super::Query;

/// Capabilities that one client may announce; today there are two.
const MAX_CAPABILITIES: usize = 32;

/// Longest User-Agent that is looked at, bytes. Real ones have 100 to 300.
const MAX_USER_AGENT: usize = 1024;

/// The client's address: of the proxy's headers, else of the connection.
#[must_use]
pub fn client_ip(headers: &HeaderMap, remote: IpAddr) -> IpAddr {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text("x-forwarded-for").and_then(|list| list.split(',').next());
    [text("cf-connecting-ip"), forwarded, text("x-real-ip")]
        .into_iter()
        .flatten()
        .find_map(|address| address.trim().parse::<IpAddr>().ok())
        .unwrap_or(remote)
        .to_canonical()
}

/// What a v0 client says about itself in the query.
pub(super) fn client_info(query: &Query) -> ClientInfo {
    ClientInfo {
        sdk: sdk(query.get("sdk").unwrap_or_default()).into(),
        version: query.text("version"),
        protocol: query.number("protocol"),
        os: query.text("os"),
        os_version: query.text("os_version"),
        device_model: query.text("device_model"),
        browser: query.text("browser"),
        browser_version: query.text("browser_version"),
        network: query.text("network"),
        client_protocol: query.number("client_protocol"),
        capabilities: query
            .get("capabilities")
            .unwrap_or_default()
            .split(',')
            .filter_map(|name| client_info::Capability::from_str_name(name.trim()))
            .map(Into::into)
            .take(MAX_CAPABILITIES)
            .collect(),
        ..Default::default()
    }
}

fn sdk(name: &str) -> client_info::Sdk {
    use client_info::Sdk;
    match name {
        "js" => Sdk::Js,
        "ios" | "swift" => Sdk::Swift,
        "android" => Sdk::Android,
        "flutter" => Sdk::Flutter,
        "go" => Sdk::Go,
        "unity" => Sdk::Unity,
        "reactnative" => Sdk::ReactNative,
        "rust" => Sdk::Rust,
        "python" => Sdk::Python,
        "cpp" => Sdk::Cpp,
        "unityweb" => Sdk::UnityWeb,
        "node" => Sdk::Node,
        "unreal" => Sdk::Unreal,
        "esp32" => Sdk::Esp32,
        "dotnet" => Sdk::Dotnet,
        _ => Sdk::Unknown,
    }
}

/// Fills what a browser client left out from its User-Agent.
pub(super) fn fill_from_user_agent(info: &mut ClientInfo, headers: &HeaderMap) {
    use client_info::Sdk;
    if !matches!(
        info.sdk(),
        Sdk::Js | Sdk::ReactNative | Sdk::Flutter | Sdk::Unity | Sdk::Unknown
    ) {
        return;
    }
    let Some(agent) = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    if agent.len() > MAX_USER_AGENT {
        return;
    }
    if info.browser.is_empty()
        && let Some((browser, version)) = browser(agent)
    {
        browser.clone_into(&mut info.browser);
        if info.browser_version.is_empty() {
            info.browser_version = version;
        }
    }
    if info.os.is_empty()
        && let Some((os, version)) = operating_system(agent)
    {
        os.clone_into(&mut info.os);
        if info.os_version.is_empty() {
            info.os_version = version;
        }
    }
}

/// Name and version of the browser. The order counts: Edge says that it is Chrome, Chrome says that it is Safari.
fn browser(agent: &str) -> Option<(&'static str, String)> {
    const MARKS: [(&str, &str); 9] = [
        ("OBS-Studio/", "OBS Studio"),
        ("OBS/", "OBS Studio"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
    ];
    MARKS.iter().find_map(|&(mark, name)| {
        let (_, rest) = agent.split_once(mark)?;
        (name != "Safari" || agent.contains("Safari/")).then(|| (name, version(rest)))
    })
}

fn operating_system(agent: &str) -> Option<(&'static str, String)> {
    const MARKS: [(&str, &str); 7] = [
        ("Windows NT ", "Windows"),
        ("iPhone OS ", "iOS"),
        ("CPU OS ", "iOS"),
        ("Android ", "Android"),
        ("Mac OS X ", "macOS"),
        ("CrOS ", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    MARKS.iter().find_map(|&(mark, name)| {
        let (_, rest) = agent.split_once(mark)?;
        Some((name, version(rest)))
    })
}

/// Leading digits and dots; iOS and macOS write `_` for the dot.
fn version(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_ascii_digit() || matches!(letter, '.' | '_'))
        .map(|letter| if letter == '_' { '.' } else { letter })
        .collect()
}
