//! Brokers that send what is not the protocol, nothing at all, or an old version of it.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use levada_client::{Client, ClientError, ClientOptions, Connection, ConnectionOptions};
use levada_env::{Env, SeededRandom};
use levada_wire_kafka::messages::{ApiVersion, ApiVersionsResponse, MetadataRequest};
use levada_wire_kafka::{ApiKey, ErrorCode, Message, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A broker that treats each connection as `script` says; gives its address.
async fn broker<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(script(socket));
        }
    });
    address
}

fn options() -> ConnectionOptions {
    ConnectionOptions {
        connect_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_millis(300),
        response_bytes_max: 1 << 20,
        ..ConnectionOptions::default()
    }
}

/// Reads one request: its version and correlation id.
async fn read_request(socket: &mut TcpStream) -> std::io::Result<(i16, i32)> {
    let size = socket.read_i32().await?;
    socket.read_i16().await?;
    let version = socket.read_i16().await?;
    let id = socket.read_i32().await?;
    let mut rest = vec![0; size as usize - 8];
    socket.read_exact(&mut rest).await?;
    Ok((version, id))
}

async fn answer(
    socket: &mut TcpStream,
    id: i32,
    body: &impl Message,
    version: i16,
) -> std::io::Result<()> {
    let mut writer = Writer::framed();
    writer.i32(id);
    body.encode(&mut writer, version);
    socket.write_all(&writer.finish().into_bytes()).await
}

#[tokio::test]
async fn random_answers_end_in_an_error_and_never_in_a_panic() {
    let env = Env::real();
    for seed in 0..60 {
        let address = broker(move |mut socket| async move {
            let random = SeededRandom::new(seed);
            let (_, id) = read_request(&mut socket).await?;
            let length = random.below(200) as i32 + 4;
            // Every third time the frame is honest and only its body is not.
            let honest = seed % 3 == 0;
            socket
                .write_i32(if honest {
                    length
                } else {
                    random.next_u64() as i32
                })
                .await?;
            socket
                .write_i32(if honest { id } else { random.next_u64() as i32 })
                .await?;
            for _ in 0..length - 4 {
                socket.write_u8(random.next_u64() as u8).await?;
            }
            Ok(())
        })
        .await;
        assert!(
            Connection::open(&env, &address, &options()).await.is_err(),
            "seed {seed}"
        );
    }
}

#[tokio::test]
async fn a_size_beyond_the_limit_is_refused_before_memory_is_taken() {
    let address = broker(|mut socket| async move {
        read_request(&mut socket).await?;
        socket.write_i32(i32::MAX).await?;
        // Held open: the size alone must be enough.
        read_request(&mut socket).await.map(drop)
    })
    .await;
    let error = Connection::open(&Env::real(), &address, &options())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn other_protocols_are_known_by_their_first_bytes() {
    for (begin, guess) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
        (b"SSH-2.0-x\r\n", "SSH"),
        (b"-ERR what?\r\n", "'-ERR'"),
    ] {
        let address = broker(move |mut socket| async move {
            read_request(&mut socket).await?;
            socket.write_all(begin).await
        })
        .await;
        let error = Connection::open(&Env::real(), &address, &options())
            .await
            .err()
            .unwrap();
        assert!(matches!(error, ClientError::NotKafka { .. }), "{error}");
        assert!(error.to_string().contains(guess), "{error}");
    }
    let closes = broker(|_| async { Ok(()) }).await;
    let error = Connection::open(&Env::real(), &closes, &options()).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("is that a Kafka listener"), "{error}");
}

#[tokio::test]
async fn silence_ends_in_a_timeout_and_a_closed_door_in_words() {
    let silent = broker(|mut socket| async move {
        let _ = socket.read_to_end(&mut Vec::new()).await;
        Ok(())
    })
    .await;
    let error = Connection::open(&Env::real(), &silent, &options())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    let error = Client::connect(&Env::real(), ClientOptions::new("127.0.0.1:1"))
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().starts_with("cannot reach 127.0.0.1:1: "),
        "{error}"
    );
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_its_own_version() {
    let address = broker(|mut socket| async move {
        let (newest, id) = read_request(&mut socket).await?;
        let offers = |max_version| ApiVersionsResponse {
            error_code: if max_version < newest {
                ErrorCode::UnsupportedVersion.code()
            } else {
                0
            },
            api_keys: vec![ApiVersion {
                api_key: ApiKey::ApiVersions.code(),
                min_version: 0,
                max_version,
            }],
            ..Default::default()
        };
        answer(&mut socket, id, &offers(1), 0).await?;
        let (version, id) = read_request(&mut socket).await?;
        assert_eq!(version, 1);
        let mut fine = offers(1);
        fine.error_code = 0;
        fine.api_keys.push(ApiVersion {
            api_key: ApiKey::Metadata.code(),
            min_version: 0,
            max_version: 4,
        });
        answer(&mut socket, id, &fine, 1).await?;
        read_request(&mut socket).await.map(drop)
    })
    .await;
    let connection = Connection::open(&Env::real(), &address, &options())
        .await
        .unwrap();
    assert_eq!(connection.version::<MetadataRequest>().unwrap(), 4);
    let error = connection.version_up_to::<MetadataRequest>(-1).unwrap_err();
    assert!(error.to_string().contains("Metadata"), "{error}");
}

#[tokio::test]
async fn an_answer_out_of_turn_ends_the_connection() {
    let address = broker(|mut socket| async move {
        let (version, id) = read_request(&mut socket).await?;
        answer(
            &mut socket,
            id + 1,
            &ApiVersionsResponse::default(),
            version,
        )
        .await?;
        read_request(&mut socket).await.map(drop)
    })
    .await;
    let error = Connection::open(&Env::real(), &address, &options())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}
