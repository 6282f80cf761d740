//! Attacks on the budgets: whole requests, whose answers nobody takes or that wait for long.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use levada_records::Producer;
use levada_wire_kafka::header::RequestHeader;
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{Request, Writer};

use super::attacks::connect;
use super::client::{fetch, now_ms, produce};
use super::{BAD_TOPIC, Target, WIDE_PARTITIONS, WIDE_TOPIC};
use crate::batch;
use crate::connection::Connection;

/// What requests may take beside their bytes on the wire, which are what the budget counts: a
/// partition of a fetch has 28 bytes there and some 200 as it waits.
pub const DECODED_MB_MAX: u64 = 48 * 7;

/// Connections that send on and never read.
const UNREAD: usize = 40;
/// Batches of this size are what their fetches are answered with.
const LARGE_BYTES: usize = 900_000;
const LARGE_BATCHES: usize = 20;
/// Connections whose requests all wait for long.
const POLLING: usize = 16;
/// Requests of one connection that wait; as many as are taken.
const POLLS: usize = 64;
const POLL_WAIT_MS: i32 = 60_000;
const PAUSE: Duration = Duration::from_millis(20);
/// A frame is given up when the socket takes nothing for so long.
const WRITE_WAIT: Duration = Duration::from_millis(50);

fn frame<R: Request>(request: &R, version: i16) -> Vec<u8> {
    let mut writer = Writer::framed();
    RequestHeader {
        api_key: R::KEY.code(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("hostile".into()),
    }
    .encode(&mut writer);
    request.encode(&mut writer, version);
    writer.finish().into_bytes().to_vec()
}

/// Writes as much of `frame` as the socket takes; how much that was.
fn push(stream: &mut TcpStream, frame: &[u8]) -> usize {
    let mut sent = 0;
    while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(bytes) if bytes > 0 => sent += bytes,
            _ => break,
        }
    }
    sent
}

/// Requests without end on connections that read no answer.
pub fn unread(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let mut connection = Connection::open(target.address)?;
    let value = vec![b'x'; LARGE_BYTES];
    for _ in 0..LARGE_BATCHES {
        let records = batch::single(&value, now_ms(), Producer::NONE);
        let answer = connection.call(9, &produce(BAD_TOPIC, records))?;
        let code = answer.responses[0].partition_responses[0].error_code;
        ensure!(code == 0, "produce: error {code}");
    }
    let asks = frame(&fetch(BAD_TOPIC, 0, 0), 11);
    let mut streams = Vec::new();
    for _ in 0..UNREAD {
        let stream = connect(target.address)?;
        stream.set_write_timeout(Some(WRITE_WAIT))?;
        streams.push((stream, 0));
    }
    ready.store(true, Ordering::Release);
    let mut bytes = 0;
    while !target.is_over() {
        for (stream, sent) in &mut streams {
            // Whole frames in their order, however they are cut.
            let part = push(stream, asks.get(*sent..).unwrap_or_default());
            bytes += part;
            *sent = (*sent + part) % asks.len();
        }
        thread::sleep(PAUSE);
    }
    Ok(format!(
        "{} fetches of 16 MiB sent on {UNREAD} connections, no answer read",
        bytes / asks.len()
    ))
}

/// Large requests that all wait for something that never happens.
pub fn polls(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let mut request = fetch(BAD_TOPIC, 0, POLL_WAIT_MS);
    request.min_bytes = i32::MAX;
    request.max_bytes = i32::MAX;
    let one = request.topics[0].partitions[0].clone();
    request.topics[0].topic = WIDE_TOPIC.into();
    let partitions = (0..WIDE_PARTITIONS).map(|partition| FetchPartition {
        partition,
        partition_max_bytes: 1,
        ..one.clone()
    });
    request.topics[0].partitions = partitions.collect();
    let asks = frame(&request, 11);
    let mut streams = Vec::new();
    let mut sent = 0;
    for _ in 0..POLLING {
        let mut stream = connect(target.address)?;
        stream.set_write_timeout(Some(WRITE_WAIT))?;
        for _ in 0..POLLS {
            let part = push(&mut stream, &asks);
            sent += part;
            if part < asks.len() {
                break;
            }
        }
        streams.push(stream);
    }
    ready.store(true, Ordering::Release);
    while !target.is_over() {
        thread::sleep(PAUSE);
    }
    Ok(format!(
        "{} MiB of fetches that wait, on {POLLING} connections",
        sent >> 20
    ))
}
