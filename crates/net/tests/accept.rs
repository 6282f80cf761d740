//! Accepting over loopback: limits, PROXY headers, drain.
#![allow(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_net::{Connection, Drain, Listener, ListenerSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Starts a service that tells each client its two addresses, then echoes until the drain.
async fn start(settings: ListenerSettings) -> (SocketAddr, Drain, Env) {
    let (env, drain) = (Env::real(), Drain::new());
    let listener = Listener::bind(env.clone(), "127.0.0.1:0", settings)
        .await
        .unwrap();
    let address = listener.local_addr();
    let stopping = Arc::new(drain.stopping().clone());
    let serve = move |mut connection: Connection| {
        let stopping = Arc::clone(&stopping);
        async move {
            let hello = format!("{} {}\n", connection.peer, connection.local);
            let _ = connection.stream.write_all(hello.as_bytes()).await;
            let mut byte = [0];
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    read = connection.stream.read(&mut byte) => match read {
                        Ok(1) => { let _ = connection.stream.write_all(&byte).await; }
                        _ => return,
                    },
                }
            }
        }
    };
    env.spawn("accept", drain.track(listener.run(drain.clone(), serve)));
    (address, drain, env)
}

async fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn one_connection_over_the_limit_is_closed_and_a_freed_place_is_given_again() {
    let settings = ListenerSettings {
        connections_max: 1,
        ..Default::default()
    };
    let (address, drain, env) = start(settings).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    line(&mut first).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 8]).await.unwrap_or(0), 0);
    drop(first);
    // The place comes back when the service has seen the end of the first connection.
    loop {
        let mut third = TcpStream::connect(address).await.unwrap();
        if matches!(third.read(&mut [0; 8]).await, Ok(n) if n > 0) {
            break;
        }
    }
    drain.drain(&env, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn addresses_come_from_the_socket_or_from_the_proxy_header() {
    let (address, drain, env) = start(ListenerSettings::default()).await;
    let mut direct = TcpStream::connect(address).await.unwrap();
    let mine = direct.local_addr().unwrap();
    assert_eq!(line(&mut direct).await, format!("{mine} {address}"));
    drain.drain(&env, Duration::from_secs(5)).await;

    let settings = ListenerSettings {
        proxy_protocol: true,
        ..Default::default()
    };
    let (address, drain, env) = start(settings).await;
    let mut proxied = TcpStream::connect(address).await.unwrap();
    proxied
        .write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 9092\r\nx")
        .await
        .unwrap();
    assert_eq!(line(&mut proxied).await, "192.0.2.7:5000 198.51.100.1:9092");
    assert_eq!(proxied.read_u8().await.unwrap(), b'x');
    let mut bare = TcpStream::connect(address).await.unwrap();
    bare.write_all(b"not a header at all").await.unwrap();
    assert_eq!(bare.read(&mut [0; 8]).await.unwrap_or(0), 0);
    drain.drain(&env, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_drain_stops_accepting_and_waits_for_the_connections() {
    let (address, drain, env) = start(ListenerSettings::default()).await;
    let mut open = TcpStream::connect(address).await.unwrap();
    line(&mut open).await;
    assert_eq!(drain.drain(&env, Duration::from_secs(5)).await, 0);
    assert_eq!(open.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_refused_with_its_name() {
    let (address, _drain, env) = start(ListenerSettings::default()).await;
    let again = Listener::bind(env, &address.to_string(), ListenerSettings::default()).await;
    let error = again.err().unwrap().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}
