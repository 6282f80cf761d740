//! The Kafka listener as a stranger sees it: a socket. Frames arrive in pieces, requests pass their
//! handlers and a real engine in memory; then another client must still be served.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use levada_engine::testing::memory_engine;
use levada_env::Env;
use levada_kafka::{KafkaListener, KafkaSettings};
use levada_net::{Listener, ListenerSettings};
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::ApiVersionsRequest;
use levada_wire_kafka::{ApiKey, Message, Reader, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here may take longer: what does has hung.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests of one connection are bounded, and so are the bytes of one exchange.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A runtime for one input: with it everything ends that the input began.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The first byte says in what pieces the rest is sent: 0 whole, else so many bytes at first.
pub fn check(input: &[u8]) {
    let Some((&piece, stream)) = input.split_first() else {
        return;
    };
    runtime().block_on(async {
        let (listener, address) = listen().await;
        let exchange = exchange(address, usize::from(piece), stream);
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("a connection that has ended is let go");
        let served = still_serves(address);
        tokio::time::timeout(PATIENCE, served)
            .await
            .expect("another client is served");
        drop(listener);
    });
}

async fn listen() -> (KafkaListener, SocketAddr) {
    let env = Env::real();
    let engine = memory_engine(env.clone()).await;
    let socket = Listener::bind(env.clone(), "127.0.0.1:0", ListenerSettings::default());
    let socket = socket.await.expect("a free port");
    let settings = KafkaSettings {
        frame_bytes_max: 1 << 20,
        ..KafkaSettings::default()
    };
    let listener = KafkaListener::start(env, engine, settings, socket);
    let address = listener.local_addr();
    (listener, address)
}

async fn exchange(address: SocketAddr, piece: usize, stream: &[u8]) {
    let mut socket = TcpStream::connect(address).await.expect("it accepts");
    let (first, rest) = stream.split_at(piece.min(stream.len()));
    // It may have closed the connection already.
    for part in [first, rest] {
        let _ = socket.write_all(part).await;
        tokio::task::yield_now().await;
    }
    let _ = socket.shutdown().await;
    let mut answers = Vec::new();
    let _ = socket
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answers)
        .await;
    let mut answers = &answers[..];
    // Whatever came out are whole frames with a correlation id, unless the connection was reset.
    while let Some((size, rest)) = answers.split_first_chunk::<4>() {
        let size = i32::from_be_bytes(*size);
        assert!(size >= 4, "an answer of {size} bytes");
        match rest.get(size as usize..) {
            Some(behind) => answers = behind,
            None => break,
        }
    }
}

async fn still_serves(address: SocketAddr) {
    let mut socket = TcpStream::connect(address).await.expect("it accepts");
    let request = frame(ApiKey::ApiVersions, 0, 77, &ApiVersionsRequest::default());
    socket.write_all(&request).await.expect("it reads");
    let size = socket.read_i32().await.expect("it answers");
    let mut bytes = vec![0; size as usize];
    socket.read_exact(&mut bytes).await.expect("it answers");
    let mut reader = Reader::new(Bytes::from(bytes));
    let header = ResponseHeader::decode(&mut reader, ApiKey::ApiVersions, 0).expect("a header");
    assert_eq!(header.correlation_id, 77);
}

/// A request with its size before it.
pub fn frame<M: Message>(key: ApiKey, version: i16, correlation_id: i32, body: &M) -> Bytes {
    let mut writer = Writer::framed();
    RequestHeader {
        api_key: key.code(),
        api_version: version,
        correlation_id,
        client_id: Some("fuzz".into()),
    }
    .encode(&mut writer);
    body.encode(&mut writer, version);
    let mut bytes = BytesMut::new();
    bytes.put(writer.finish().into_bytes());
    bytes.freeze()
}
