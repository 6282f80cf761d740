//! A broker that answers anything: our client must end every call with a value or an error.
//!
//! The first byte chooses what the client does, the second whether the broker tells honestly which
//! versions and topics there are. Then the answers' bodies follow, each with its length (two bytes)
//! before it; when there are no more, the broker is gone.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use levada_client::admin::OffsetAt;
use levada_client::group::protocol::{read_assignment, read_subscription};
use levada_client::{
    Client, ClientOptions, ClientResult, ConnectionOptions, Consumer, ConsumerOptions,
    GroupConsumer, GroupOptions,
};
use levada_env::Env;
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::{
    ApiVersion, ApiVersionsResponse, Coordinator, FindCoordinatorResponse, MetadataResponse,
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use levada_wire_kafka::{ApiKey, Array, Message, Reader, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connection::runtime;

/// Topic that the honest part of the broker has, with one partition.
pub const TOPIC: &str = "t";
/// What an answer may bring; larger ones are refused before memory is taken.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// A client that retries is cut off: what matters has happened.
const CALL_WAIT: Duration = Duration::from_millis(40);
/// Answers that one exchange may ask for.
const ANSWERS_MAX: usize = 64;

/// What the client is told to do, by the input's first byte.
const CALLS: u8 = 9;

pub fn check(input: &[u8]) {
    let [call, honesty, rest @ ..] = input else {
        return;
    };
    let bytes = Bytes::copy_from_slice(rest);
    let _ = read_assignment(&bytes);
    let _ = read_subscription(&bytes);
    let (call, is_honest) = (*call % CALLS, honesty & 1 == 0);
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let broker = tokio::spawn(broker(listener, address, is_honest, bytes));
        let _ = tokio::time::timeout(CALL_WAIT, run(call, is_honest, address)).await;
        broker.abort();
        if let Err(ended) = broker.await {
            assert!(!ended.is_panic(), "the broker of the test: {ended}");
        }
    });
}

async fn run(call: u8, is_honest: bool, address: SocketAddr) -> ClientResult<()> {
    let options = ClientOptions {
        connection: ConnectionOptions {
            connect_timeout: CALL_WAIT,
            request_timeout: CALL_WAIT,
            response_bytes_max: ANSWER_BYTES_MAX,
            ..ConnectionOptions::default()
        },
        retry_timeout: Duration::ZERO,
        ..ClientOptions::new(&address.to_string())
    };
    let client = Client::connect(&Env::real(), options).await?;
    if !is_honest {
        return Ok(()); // Its brokers could be anywhere.
    }
    match call {
        0 | 1 => consume(&client).await?,
        2 => drop(client.describe_group("g").await?),
        3 => drop(client.list_groups().await?),
        4 => drop(client.committed_offsets("g", None).await?),
        5 => drop(client.topic_configs(TOPIC).await?),
        6 => drop(
            client
                .list_offsets(TOPIC, &[(0, OffsetAt::Latest), (0, OffsetAt::Earliest)])
                .await?,
        ),
        7 => drop(client.log_sizes(None).await?),
        _ => share(&client).await?,
    }
    Ok(())
}

fn consumer_options() -> ConsumerOptions {
    ConsumerOptions {
        wait_max: Duration::from_millis(1),
        batch_bytes_max: BATCH_BYTES_MAX,
        ..ConsumerOptions::default()
    }
}

async fn consume(client: &Client) -> ClientResult<()> {
    let mut consumer = Consumer::new(client, consumer_options());
    consumer.assign([(TOPIC.to_owned(), 0, 5)]);
    for _ in 0..ANSWERS_MAX {
        let batch = consumer.poll(CALL_WAIT).await?;
        let _ = consumer.lag();
        let Some(batch) = batch else { continue };
        let _ = batch.next_offset();
        for record in batch.records()? {
            record?;
        }
    }
    Ok(())
}

async fn share(client: &Client) -> ClientResult<()> {
    let options = GroupOptions {
        consumer: consumer_options(),
        ..GroupOptions::new("g", &[TOPIC])
    };
    let mut member = GroupConsumer::new(client, options);
    for _ in 0..ANSWERS_MAX {
        member.poll(CALL_WAIT).await?;
    }
    Ok(())
}

/// Takes connections one after the other, until the answers are used up.
async fn broker(listener: TcpListener, address: SocketAddr, is_honest: bool, bytes: Bytes) {
    let answers = std::sync::Arc::new(std::sync::Mutex::new(bytes));
    let mut serving = tokio::task::JoinSet::new();
    for _ in 0..ANSWERS_MAX {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        let answers = std::sync::Arc::clone(&answers);
        serving.spawn(serve(socket, address, is_honest, move || {
            let mut rest = answers.lock().expect("nobody panics");
            next_answer(&mut rest)
        }));
    }
}

/// Cuts the next answer off.
pub fn next_answer(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(rest.try_get_u16().ok()?);
    Some(rest.split_to(length.min(rest.len())))
}

async fn serve(
    mut socket: TcpStream,
    address: SocketAddr,
    is_honest: bool,
    next: impl Fn() -> Option<Bytes>,
) -> Option<()> {
    loop {
        let size = socket.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(size).ok()?];
        socket.read_exact(&mut frame).await.ok()?;
        let header = RequestHeader::decode(&mut Reader::new(frame.into())).ok()?;
        let key = ApiKey::try_from(header.api_key).ok()?;
        let mut writer = Writer::framed();
        let correlation_id = header.correlation_id;
        ResponseHeader { correlation_id }.encode(&mut writer, key, header.api_version);
        match key {
            ApiKey::ApiVersions if is_honest => versions().encode(&mut writer, header.api_version),
            ApiKey::Metadata if is_honest => {
                metadata(address).encode(&mut writer, header.api_version);
            }
            // Always: the client would go and ask whoever it names, wherever that is.
            ApiKey::FindCoordinator => coordinator(address).encode(&mut writer, header.api_version),
            _ => writer.raw(&next()?),
        }
        socket.write_all(&writer.finish().into_bytes()).await.ok()?;
    }
}

/// Everything that we know, in every version.
fn versions() -> ApiVersionsResponse {
    let known = ApiKey::ALL.iter().filter_map(|key| {
        let versions = key.valid_versions()?;
        Some(ApiVersion {
            api_key: key.code(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        })
    });
    ApiVersionsResponse {
        api_keys: known.collect(),
        ..Default::default()
    }
}

fn coordinator(address: SocketAddr) -> FindCoordinatorResponse {
    let (host, port) = (address.ip().to_string(), i32::from(address.port()));
    FindCoordinatorResponse {
        node_id: 1,
        host: host.as_str().into(),
        port,
        coordinators: vec![Coordinator {
            key: "g".into(),
            node_id: 1,
            host: host.as_str().into(),
            port,
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn metadata(address: SocketAddr) -> MetadataResponse {
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: address.ip().to_string().as_str().into(),
            port: address.port().into(),
            ..Default::default()
        }],
        controller_id: 1,
        topics: vec![MetadataResponseTopic {
            name: Some(TOPIC.into()),
            topic_id: levada_wire_kafka::Uuid([7; 16]),
            partitions: Array::Rows(vec![MetadataResponsePartition {
                leader_id: 1,
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    }
}
