//! One connection's thread: reads frames, hands produce requests to the log, answers the rest.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::{
    ApiVersion, ApiVersionsResponse, FetchRequest, ListOffsetsPartitionResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse, MetadataRequest,
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use levada_wire_kafka::{ApiKey, Array, KStr, Message, Reader, Writer};

use crate::chunk::CHUNK_BYTES;
use crate::log::{Group, Log, Produce};
use crate::topics::{Fetch, Topics};

const SIZE_BYTES: usize = 4;
/// Behind size, key, version and correlation id.
const CLIENT_ID_AT: usize = 12;
/// A frame larger than this is read to its end and no further, if another thread commits it.
const READ_ALONE_BYTES_MIN: usize = 16 * 1024;
const LATEST: i64 = -1;
/// What is spoken: one version of each, but of ApiVersions, which a client asks for unseen.
const VERSIONS: [(ApiKey, i16, i16); 5] = [
    (ApiKey::Produce, 9, 9),
    (ApiKey::Fetch, 12, 12),
    (ApiKey::ListOffsets, 7, 7),
    (ApiKey::Metadata, 9, 9),
    (ApiKey::ApiVersions, 0, 3),
];

/// Serves until the client goes.
pub fn run(stream: TcpStream, log: &Log, topics: &Topics, port: u16) {
    let served = serve(Arc::new(stream), log, topics, port);
    if let Err(error) = served {
        eprintln!("levada-floor: {error:#}");
    }
}

fn serve(stream: Arc<TcpStream>, log: &Log, topics: &Topics, port: u16) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut chunk = log.pool.take();
    loop {
        let limit = match size_at(chunk.bytes(), 0) {
            Some(size) if log.is_threaded() && size > READ_ALONE_BYTES_MIN => {
                size + SIZE_BYTES - chunk.bytes().len()
            }
            _ => CHUNK_BYTES,
        };
        let read = (&*stream).read(chunk.room(limit))?;
        if read == 0 {
            log.pool.give(chunk);
            return Ok(());
        }
        chunk.fill(read);
        let mut produces = Vec::new();
        let mut done = 0;
        while let Some(size) = size_at(chunk.bytes(), done) {
            let frame = done..done + SIZE_BYTES + size;
            if frame.end > chunk.bytes().len() {
                if frame.len() > CHUNK_BYTES {
                    bail!("a request of {size} bytes");
                }
                break;
            }
            let bytes = &chunk.bytes()[frame.clone()];
            if bytes[SIZE_BYTES..].starts_with(&ApiKey::Produce.code().to_be_bytes()) {
                produces.push(parse_produce(bytes, done).context("a produce request cut short")?);
            } else {
                answer(&stream, &bytes[SIZE_BYTES..], topics, port)?;
            }
            done = frame.end;
        }
        if produces.is_empty() {
            chunk.drop_front(done);
            continue;
        }
        let mut next = log.pool.take();
        next.put(&chunk.bytes()[done..]);
        log.submit(Group {
            chunk: std::mem::replace(&mut chunk, next),
            bytes: done,
            produces,
            stream: stream.clone(),
        });
    }
}

fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..)?.first_chunk()?;
    usize::try_from(i32::from_be_bytes(*field)).ok()
}

/// Finds topic and batch in a frame of Produce version 9 with one of each; `offset` is where the
/// frame stands in its chunk.
fn parse_produce(frame: &[u8], offset: usize) -> Option<Produce> {
    let correlation_id = i32::from_be_bytes(*frame.get(8..)?.first_chunk()?);
    let client_id = i16::from_be_bytes(*frame.get(CLIENT_ID_AT..)?.first_chunk()?);
    // No tags, no transactional id, acks, a timeout, one topic.
    let mut at = CLIENT_ID_AT + 2 + usize::try_from(client_id).unwrap_or(0) + 1 + 1 + 2 + 4 + 1;
    let topic = compact(frame, &mut at)?;
    at += 1 + 4; // one partition, its index
    let batch = compact(frame, &mut at)?;
    let shift = |range: Range<usize>| range.start + offset..range.end + offset;
    Some(Produce {
        correlation_id,
        topic: shift(topic),
        batch: shift(batch),
    })
}

/// A compact string or compact bytes at `at`, which moves behind it.
fn compact(frame: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let mut length = 0usize;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *frame.get(*at)?;
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let range = *at..*at + length.checked_sub(1)?;
    *at = range.end;
    (range.end <= frame.len()).then_some(range)
}

fn answer(stream: &Arc<TcpStream>, frame: &[u8], topics: &Topics, port: u16) -> Result<()> {
    let mut reader = Reader::new(Bytes::copy_from_slice(frame));
    let header = RequestHeader::decode(&mut reader)?;
    let (key, version) = (ApiKey::try_from(header.api_key), header.api_version);
    let id = header.correlation_id;
    match key {
        Ok(ApiKey::ApiVersions) => send(stream, id, ApiKey::ApiVersions, version, &api_versions()),
        Ok(key @ ApiKey::Metadata) => {
            let request = MetadataRequest::decode(&mut reader, version)?;
            send(stream, id, key, version, &metadata(request, port))
        }
        Ok(key @ ApiKey::ListOffsets) => {
            let request = ListOffsetsRequest::decode(&mut reader, version)?;
            send(stream, id, key, version, &list_offsets(&request, topics))
        }
        Ok(ApiKey::Fetch) => {
            let request = FetchRequest::decode(&mut reader, version)?;
            let topic = request.topics.first().context("a fetch of no topic")?;
            let partition = topic
                .partitions
                .first()
                .context("a fetch of no partition")?;
            let fetch = Fetch {
                stream: stream.clone(),
                correlation_id: id,
                offset: partition.fetch_offset,
                bytes_max: usize::try_from(partition.partition_max_bytes)?,
            };
            topics.fetch(topic.topic.as_bytes(), fetch);
            Ok(())
        }
        _ => bail!("the floor does not know request {}", header.api_key),
    }
}

fn send(
    mut stream: &TcpStream,
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    body: &impl Message,
) -> Result<()> {
    let mut writer = Writer::framed();
    ResponseHeader { correlation_id }.encode(&mut writer, key, version);
    body.encode(&mut writer, version);
    for piece in writer.finish().pieces() {
        stream.write_all(piece)?;
    }
    Ok(())
}

fn api_versions() -> ApiVersionsResponse {
    let versions = VERSIONS
        .iter()
        .map(|(key, min_version, max_version)| ApiVersion {
            api_key: key.code(),
            min_version: *min_version,
            max_version: *max_version,
        });
    ApiVersionsResponse {
        api_keys: versions.collect(),
        ..Default::default()
    }
}

/// Every topic that is asked for is there, with one partition.
fn metadata(request: MetadataRequest, port: u16) -> MetadataResponse {
    let asked = request.topics.into_iter().flatten();
    let topics = asked.map(|topic| MetadataResponseTopic {
        name: topic.name,
        partitions: Array::Rows(vec![MetadataResponsePartition {
            leader_id: 1,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        }]),
        ..Default::default()
    });
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: KStr::from("127.0.0.1"),
            port: i32::from(port),
            rack: None,
        }],
        controller_id: 1,
        topics: topics.collect(),
        ..Default::default()
    }
}

fn list_offsets(request: &ListOffsetsRequest, topics: &Topics) -> ListOffsetsResponse {
    let answers = request.topics.iter().map(|topic| {
        let end = topics.end(topic.name.as_bytes());
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                offset: if partition.timestamp == LATEST {
                    end
                } else {
                    0
                },
                ..Default::default()
            });
        ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        }
    });
    ListOffsetsResponse {
        topics: answers.collect(),
        ..Default::default()
    }
}
