//! Statuses, texts and headers that clients compare.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod front;

use front::{UPGRADE, alice, ask, start, token};
use kith_server::{
    auth::{Claims, VideoGrants},
    signal::JoinError,
};

fn grants() -> VideoGrants {
    VideoGrants {
        room_join: true,
        room: "r".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn health_is_ok_and_browsers_get_the_page() {
    let server = start("").await;
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let answer = server
            .ask(&format!("{method} / HTTP/1.1\r\nAccept: */*"))
            .await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "OK"),
            "{method}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    let head = server.ask("HEAD / HTTP/1.1").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let page = server
        .ask("GET / HTTP/1.1\r\nAccept: text/html,application/xhtml+xml")
        .await;
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    let script = server.get("/page/app.js").await;
    assert_eq!(
        (script.status, script.header("content-type")),
        (200, "text/javascript; charset=utf-8")
    );
    for path in [
        "/page/",
        "/page/../Cargo.toml",
        "/page/%2e%2e/Cargo.toml",
        "/page/nothing.js",
    ] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404_in_livekit_s_words() {
    let server = start("").await;
    for path in [
        "/settings/regions",
        "/rtc/",
        "/rtc/v2",
        "/metrics",
        "/debug/rooms",
        "/dev/token?room=r&identity=i",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, "404 page not found"),
            "{path}"
        );
    }
    for path in ["/rtc", "/rtc/v1"] {
        let answer = server.get(path).await;
        assert_eq!(
            (
                answer.status,
                answer.body.as_str(),
                answer.header("content-type")
            ),
            (404, "", ""),
            "{path}"
        );
    }
    // One leading slash too many is dropped.
    assert_eq!(server.get("//").await.body, "OK");
    assert_eq!(server.get("//rtc/validate").await.status, 401);
}

#[tokio::test]
async fn every_answer_may_be_read_across_origins() {
    let server = start("").await;
    let origin = "\r\nOrigin: https://app.example";
    for (path, status) in [
        ("/", 200),
        ("/rtc/v1", 404),
        ("/nothing", 404),
        ("/rtc?access_token=junk", 401),
    ] {
        let answer = server.ask(&format!("GET {path} HTTP/1.1{origin}")).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.example",
            "{path}"
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            "*",
            "{path}"
        );
        assert_eq!(answer.header("vary"), "Origin", "{path}");
    }
    for path in [
        "/rtc/validate",
        "/rtc/v1/validate",
        "/rtc/v1/validate?access_token=junk",
    ] {
        for origin in ["", origin] {
            let answer = server.ask(&format!("GET {path} HTTP/1.1{origin}")).await;
            assert_eq!(
                (answer.status, answer.header("access-control-allow-origin")),
                (401, "*"),
                "{path}"
            );
        }
    }
    let large = "POST / HTTP/1.1\r\nOrigin: https://app.example\r\nContent-Length: 99999999";
    let answer = ask(server.address, large, b"").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (413, "request body too large")
    );
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.example"
    );
}

#[tokio::test]
async fn preflights_need_no_token() {
    let server = start("").await;
    let ask = |method: &str| {
        format!(
            "OPTIONS /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nOrigin: https://app.example\r\n\
             Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: authorization,content-type"
        )
    };
    for method in ["GET", "POST", "PATCH", "DELETE", "HEAD"] {
        let answer = server.ask(&ask(method)).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.example"
        );
        assert_eq!(answer.header("access-control-allow-methods"), method);
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "authorization,content-type"
        );
        assert_eq!(answer.header("access-control-max-age"), "86400");
    }
    let answer = server.ask(&ask("PUT")).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, "")
    );
    // Without the asked method it is a plain request.
    let answer = server
        .ask("OPTIONS /nothing HTTP/1.1\r\nOrigin: https://app.example")
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_bad_token_is_refused_on_every_path() {
    let server = start("").await;
    for path in ["/", "/nothing", "/rtc", "/rtc/validate"] {
        let answer = server.get(&format!("{path}?access_token=junk")).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (401, "invalid authorization token"),
            "{path}"
        );
    }
    let good = alice();
    let header = |value: &str| {
        format!("GET /rtc/validate?access_token={good} HTTP/1.1\r\nAuthorization: {value}")
    };
    for value in ["bearer x", "x", "Basic eDp5", "Bearer"] {
        let answer = server.ask(&header(value)).await;
        let text = "invalid authorization header. Must start with Bearer ";
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (401, text),
            "{value}"
        );
    }
    let answer = server.ask(&header("Bearer junk")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, "invalid authorization token")
    );
    // An empty header counts as none; a good one counts.
    assert_eq!(server.ask(&header("")).await.status, 200);
    assert_eq!(
        server.ask(&header(&format!("Bearer {good} "))).await.status,
        200
    );
}

#[tokio::test]
async fn validate_and_handshake_refuse_alike() {
    let mut server = start("").await;
    let long = "x".repeat(257);
    let with_video = |video: Option<VideoGrants>| {
        let mut claims = Claims::new("alice", VideoGrants::default());
        claims.video = video;
        claims
    };
    let cases: [(Option<Claims>, &str, u16, &str); 9] = [
        (None, "", 401, "no permissions to access the room"),
        (
            Some(with_video(None)),
            "",
            401,
            "no permissions to access the room",
        ),
        (
            Some(with_video(Some(VideoGrants {
                room_admin: true,
                room: "r".into(),
                ..Default::default()
            }))),
            "",
            401,
            "permissions denied",
        ),
        (
            Some(Claims::new("", grants())),
            "",
            400,
            "identity cannot be empty",
        ),
        (
            Some(Claims::new(&long, grants())),
            "",
            400,
            "participant identity length exceeds limits: max length 256",
        ),
        (
            Some(with_video(Some(VideoGrants {
                room_join: true,
                ..Default::default()
            }))),
            "",
            400,
            "no room name",
        ),
        (
            Some(with_video(Some(VideoGrants {
                room_join: true,
                room: long.clone(),
                ..Default::default()
            }))),
            "",
            400,
            "room name length exceeds limits: max length 256",
        ),
        (
            Some(Claims::new(
                "alice",
                VideoGrants {
                    can_publish: Some(false),
                    ..grants()
                },
            )),
            "&publish=x",
            401,
            "no permissions to access the room",
        ),
        (
            Some(Claims::new("alice", grants())),
            "&join_request=!",
            400,
            "cannot base64 decode wrapped join request",
        ),
    ];
    for (claims, query, status, text) in cases {
        let token = claims.map(|claims| token(&claims)).unwrap_or_default();
        let validate = server
            .get(&format!("/rtc/validate?access_token={token}{query}"))
            .await;
        assert_eq!((validate.status, validate.body.as_str()), (status, text));
        let handshake = server
            .ask(&format!(
                "GET /rtc?access_token={token}{query} HTTP/1.1\r\n{UPGRADE}"
            ))
            .await;
        assert_eq!((handshake.status, handshake.body.as_str()), (status, text));
    }
    let good = alice();
    for path in ["/rtc/v1/validate?x=1", "/rtc/v1/validate?join_request="] {
        let answer = server.get(&format!("{path}&access_token={good}")).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, "join_request is required")
        );
    }
    let answer = server
        .get(&format!("/rtc/validate?access_token={good}"))
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "success"));
    let join_request = include_str!("fixtures/join_request/livekit-client_2.17.0.query").trim();
    let join_request = join_request.strip_prefix("access_token=TOKEN&").unwrap();
    let answer = server
        .get(&format!(
            "/rtc/v1/validate?{join_request}&access_token={good}"
        ))
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "success"));
    assert!(server.joins.try_recv().is_err(), "nobody joined");
}

#[tokio::test]
async fn what_the_rooms_refuse_is_an_http_status() {
    let server = start("").await;
    let good = alice();
    for (error, status, text) in [
        (
            JoinError::RoomNotFound,
            404,
            "requested room does not exist",
        ),
        (
            JoinError::RoomFull(2),
            403,
            "room is full: it has 2 participants already",
        ),
        (
            JoinError::NodeLimit,
            503,
            "node has exceeded its configured limit",
        ),
        (JoinError::ShuttingDown, 503, "server is shutting down"),
    ] {
        *server.rooms.refusal.lock().unwrap() = Some(error);
        let validate = server
            .get(&format!("/rtc/validate?access_token={good}"))
            .await;
        assert_eq!((validate.status, validate.body.as_str()), (status, text));
        let handshake = server
            .ask(&format!(
                "GET /rtc?access_token={good} HTTP/1.1\r\n{UPGRADE}"
            ))
            .await;
        assert_eq!((handshake.status, handshake.body.as_str()), (status, text));
    }
}

#[tokio::test]
async fn a_broken_handshake_begins_no_session() {
    let mut server = start("").await;
    let good = alice();
    let bad = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: eA==";
    assert_eq!(
        server
            .ask(&format!("GET /rtc?access_token={good} HTTP/1.1\r\n{bad}"))
            .await
            .status,
        400
    );
    let no_key = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    assert_eq!(
        server
            .ask(&format!(
                "GET /rtc?access_token={good} HTTP/1.1\r\n{no_key}"
            ))
            .await
            .status,
        400
    );
    assert!(server.joins.try_recv().is_err());
}

#[tokio::test]
async fn tokens_are_given_out_in_development_only_and_to_the_own_page_only() {
    let server = start("development: true").await;
    let path = "/dev/token?room=r&identity=ada&name=Ada";
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = serde_json::from_str::<serde_json::Value>(&answer.body).unwrap()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        server
            .get(&format!("/rtc/validate?access_token={token}"))
            .await
            .body,
        "success"
    );
    let host = server.address;
    let own =
        format!("GET {path} HTTP/1.1\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin");
    assert_eq!(server.ask(&own).await.status, 200);
    for foreign in [
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
    ] {
        assert_eq!(
            server
                .ask(&format!("GET {path} HTTP/1.1\r\n{foreign}"))
                .await
                .status,
            403,
            "{foreign}"
        );
    }
    for path in [
        "/dev/token",
        "/dev/token?room=r",
        &format!("/dev/token?room=r&identity={}", "x".repeat(257)),
    ] {
        assert_eq!(server.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn metrics_have_a_port_of_their_own() {
    let server = start("prometheus: {port: 1}").await;
    let metrics = server.metrics.unwrap();
    for path in ["/metrics", "/", "/anything"] {
        let answer = ask(metrics, &format!("GET {path} HTTP/1.1"), b"").await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("content-type")
                .starts_with("text/plain; version=0.0.4")
        );
        for family in [
            "kith_build_info{",
            "process_resident_memory_bytes ",
            "kith_signal_sockets 0",
            "stub_rooms 7",
        ] {
            assert!(answer.body.contains(family), "{family} in\n{}", answer.body);
        }
    }
    let server = start("prometheus: {port: 1, username: u, password: p}").await;
    let metrics = server.metrics.unwrap();
    for header in [
        "",
        "\r\nAuthorization: Basic dTp4",
        "\r\nAuthorization: Bearer dTpw",
        "\r\nAuthorization: Basic !",
    ] {
        let answer = ask(metrics, &format!("GET /metrics HTTP/1.1{header}"), b"").await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, "Basic realm=\"Protected Area\"")
        );
    }
    let answer = ask(
        metrics,
        "GET /metrics HTTP/1.1\r\nAuthorization: Basic dTpw",
        b"",
    )
    .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn long_request_lines_are_taken() {
    let server = start("").await;
    let path = format!(
        "/rtc/validate?access_token={}&x={}",
        alice(),
        "y".repeat(48 * 1024)
    );
    assert_eq!(server.get(&path).await.status, 200);
    let answer = server.get(&format!("/?x={}", "y".repeat(300 * 1024))).await;
    assert!(matches!(answer.status, 414 | 431), "{answer:?}");
}
