//! The endpoints over a real socket.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use levada_env::Env;
use levada_http::{Health, HttpSettings, Phase, Registry, serve};
use levada_net::{Drain, Listener, ListenerSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Running {
    address: std::net::SocketAddr,
    health: Health,
    drain: Drain,
    env: Env,
}

async fn start(settings: HttpSettings) -> Running {
    let env = Env::real();
    let listener = Listener::bind(env.clone(), "127.0.0.1:0", ListenerSettings::default())
        .await
        .unwrap();
    let (address, health, drain) = (listener.local_addr(), Health::new(), Drain::new());
    tokio::spawn(serve(
        listener,
        drain.clone(),
        settings,
        health.clone(),
        Registry::new(Vec::new()),
    ));
    Running {
        address,
        health,
        drain,
        env,
    }
}

impl Running {
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await
    }
}

#[tokio::test]
async fn readiness_follows_the_phase_and_health_does_not() {
    let running = start(HttpSettings::default()).await;
    assert!(running.get("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 503"));
    running.health.set(Phase::Ready);
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 200"));
    running.health.set(Phase::Draining);
    let answer = running.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("stopping\n"));
    assert!(running.get("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn metrics_say_that_they_are_openmetrics() {
    let running = start(HttpSettings::default()).await;
    let answer = running.get("/metrics").await;
    assert!(answer.contains("application/openmetrics-text"), "{answer}");
    assert!(answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn an_unknown_path_gets_a_hint_and_a_wrong_method_its_own_error() {
    let running = start(HttpSettings::default()).await;
    let answer = running.get("/kafka").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("/metrics"));
    let answer = running
        .ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn garbage_and_an_endless_head_end_the_connection_and_only_that() {
    let running = start(HttpSettings {
        header_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    })
    .await;
    running.ask("\0\0\0\x10garbage").await;
    // A head that never ends is dropped at the timeout, without an answer or with an error.
    let answer = running.ask("GET / HTTP/1.1\r\nHost").await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert!(running.get("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_drain() {
    let running = start(HttpSettings::default()).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let ended = running
        .drain
        .drain(&running.env, Duration::from_secs(5))
        .await;
    assert_eq!(ended, 0);
}
