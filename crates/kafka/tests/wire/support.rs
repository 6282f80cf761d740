//! A listener to test and a client that sends whatever it is told.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use levada_engine::Engine;
use levada_engine::testing::memory_engine;
use levada_env::Env;
use levada_kafka::{KafkaListener, KafkaSettings};
use levada_net::{Listener, ListenerSettings};
use levada_records::{Batch, BatchBuilder, Compression, NewRecord, Producer};
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{KStr, Message, Reader, Records, Request, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Service {
    pub engine: Engine,
    pub listener: KafkaListener,
    pub address: SocketAddr,
}

pub async fn start() -> Service {
    // A folder that is there: the test's own.
    let settings = KafkaSettings {
        log_dir: ".".to_owned(),
        ..KafkaSettings::default()
    };
    start_with(settings).await
}

pub async fn start_with(settings: KafkaSettings) -> Service {
    start_on(settings, ListenerSettings::default()).await
}

pub async fn start_on(settings: KafkaSettings, socket: ListenerSettings) -> Service {
    let engine = memory_engine(Env::real()).await;
    serve(engine, settings, socket).await
}

pub async fn serve(engine: Engine, settings: KafkaSettings, socket: ListenerSettings) -> Service {
    let env = Env::real();
    let socket = Listener::bind(env.clone(), "127.0.0.1:0", socket);
    let socket = socket.await.unwrap();
    let listener = KafkaListener::start(env, engine.clone(), settings, socket);
    let address = listener.local_addr();
    Service {
        engine,
        listener,
        address,
    }
}

impl Service {
    pub async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
            correlation_id: 0,
        }
    }
}

pub struct Client {
    pub stream: TcpStream,
    /// Of the last request.
    pub correlation_id: i32,
}

pub fn frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> Bytes {
    let mut writer = Writer::framed();
    let header = RequestHeader {
        api_key: R::KEY.code(),
        api_version: version,
        correlation_id,
        client_id: Some(KStr::from_static("test")),
    };
    header.encode(&mut writer);
    request.encode(&mut writer, version);
    writer.finish().into_bytes()
}

impl Client {
    /// Sends a request; its answer has to be received with [`Client::receive`].
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) {
        self.correlation_id += 1;
        let bytes = frame(request, version, self.correlation_id);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next frame, or `None` at the end of the connection.
    pub async fn frame(&mut self) -> Option<Bytes> {
        let read = async {
            let size = self.stream.read_i32().await.ok()?;
            let mut bytes = vec![0; size as usize];
            self.stream.read_exact(&mut bytes).await.ok()?;
            Some(Bytes::from(bytes))
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("an answer in time")
    }

    /// The next answer, which must be that of the request with this correlation id.
    pub async fn receive<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        let mut reader = Reader::new(self.frame().await.expect("an answer"));
        let header = ResponseHeader::decode(&mut reader, R::KEY, version).unwrap();
        assert_eq!(header.correlation_id, correlation_id);
        let response = R::Response::decode(&mut reader, version).unwrap();
        reader.expect_end().unwrap();
        response
    }

    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.send(request, version).await;
        self.receive::<R>(version, self.correlation_id).await
    }

    /// Sends bytes as a frame.
    pub async fn send_frame(&mut self, body: &[u8]) {
        let mut bytes = BytesMut::new();
        bytes.put_i32(body.len() as i32);
        bytes.put_slice(body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    pub async fn assert_closed(&mut self) {
        assert_eq!(self.frame().await, None, "the connection is closed");
    }
}

/// One batch of records with these values.
pub fn batch(values: &[&str]) -> Bytes {
    keyed_batch(None, values)
}

pub fn keyed_batch(key: Option<&str>, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.push(&NewRecord {
            timestamp_ms: 1_700_000_000_000,
            key: key.map(str::as_bytes),
            value: Some(value.as_bytes()),
            ..Default::default()
        });
    }
    builder.finish(Producer::NONE).unwrap()
}

pub fn produce(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: KStr::from(topic),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(Records::from(records)),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn fetch(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: KStr::from(topic),
            partitions: vec![FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn metadata(topics: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some(KStr::from(*name)),
        ..Default::default()
    };
    MetadataRequest {
        topics: Some(topics.iter().map(topic).collect()),
        ..Default::default()
    }
}

/// The one partition of an answer.
pub fn produced(response: &ProduceResponse) -> &PartitionProduceResponse {
    &response.responses[0].partition_responses[0]
}

pub fn fetched(response: &FetchResponse) -> &PartitionData {
    &response.responses[0].partitions[0]
}

/// The values of the records in an answer's partition.
pub fn values(partition: &PartitionData) -> Vec<String> {
    let bytes = partition.records.clone().unwrap().into_bytes();
    let mut values = Vec::new();
    for batch in levada_records::Batches::new(bytes) {
        let (_, bytes) = batch.unwrap();
        for record in Batch::verify(&bytes, 1 << 20).unwrap().records() {
            let value = record.unwrap().value.unwrap();
            values.push(String::from_utf8(value.to_vec()).unwrap());
        }
    }
    values
}
