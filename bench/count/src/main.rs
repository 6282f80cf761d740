//! The hot paths in one thread, so that their instructions can be counted: the whole service, its
//! own listener on loopback, and a client that sends the same frames again and again.
//!
//! What a start costs is in the count too: whoever counts runs two lengths and takes the
//! difference (`cargo xtask count`). The client's own share is small and the same in every run.
#![allow(clippy::disallowed_methods)]

mod frames;
mod http;
mod wire;

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use levada_client::admin::NewTopic;
use levada_client::{Client, ClientOptions};
use levada_env::{Env, RealFs};
use levada_server::Service;
use levada_server::config::{Layers, Settings};

use frames::{BATCH_RECORDS, Frames, RECORD_BYTES, SMALL_BYTES};
use http::Http;
use wire::Wire;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests that a client sends together where it sends many.
const TOGETHER: u64 = 64;
/// Batches that lie ready for fetches: one answer is full with them.
const READY_BATCHES: u64 = 32;
const TOPIC: &str = "counted";

#[derive(Parser)]
#[command(name = "levada-count", about = "Run one hot path a number of times")]
struct Arguments {
    kind: Kind,
    /// How often: requests, or round trips
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A batch of 64 KiB in 1 KiB records, one request at a time
    ProduceBatch,
    /// One record of 100 B a request, 64 requests at a time
    ProduceOne,
    /// 1 MiB of batches that lie in memory
    FetchBatches,
    /// One record produced, and handed to a fetch that waited for it
    HandOver,
    /// One message of 100 B to a queue, by SendMessage
    QueueSendOne,
    /// Ten of them, by SendMessageBatch
    QueueSendTen,
    /// Ten sent, received and deleted
    QueueRoundTen,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(arguments.kind, arguments.count))
}

async fn run(kind: Kind, count: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Simulated: nothing leaves the thread. Files and sockets are the machine's.
    let env = Env::simulated(1, Arc::new(RealFs));
    let settings = settings(&folder.path().join("data").display().to_string())?;
    let service = Service::start(env.clone(), settings).await?;
    let kafka = service.addresses().kafka.context("the listener is on")?;
    let client = Client::connect(&env, ClientOptions::new(&kafka.to_string())).await?;
    let new = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(1),
        ..NewTopic::default()
    };
    client.create_topic(&new, false).await?;
    let topic = client.topic_afresh(TOPIC, true).await?;
    let frames = Frames { topic: topic.id };
    let mut wire = Wire::open(kafka).await?;
    match kind {
        Kind::ProduceBatch => {
            let frame = frames.produce(&env, BATCH_RECORDS, RECORD_BYTES)?;
            for _ in 0..count {
                wire.produce(&frame, 1).await?;
            }
        }
        Kind::ProduceOne => {
            let frame = frames.produce(&env, 1, SMALL_BYTES)?;
            let together = frame.repeat(TOGETHER as usize);
            for _ in 0..count.div_ceil(TOGETHER) {
                wire.produce(&together, TOGETHER).await?;
            }
        }
        Kind::FetchBatches => {
            let frame = frames.produce(&env, BATCH_RECORDS, RECORD_BYTES)?;
            for _ in 0..READY_BATCHES {
                wire.produce(&frame, 1).await?;
            }
            for _ in 0..count {
                wire.fetch(&frames.fetch(0)).await?;
            }
        }
        Kind::HandOver => hand_over(&env, &frames, kafka, &mut wire, count).await?,
        Kind::QueueSendOne | Kind::QueueSendTen | Kind::QueueRoundTen => {
            let sqs = service.addresses().sqs.context("the listener is on")?;
            queue(kind, sqs, count).await?;
        }
    }
    drop((wire, client));
    service.stop().await.map_err(anyhow::Error::msg)?;
    Ok(())
}

/// The reader asks first, so that it waits; then the record comes.
async fn hand_over(
    env: &Env,
    frames: &Frames,
    kafka: std::net::SocketAddr,
    writer: &mut Wire,
    count: u64,
) -> Result<()> {
    let frame = frames.produce(env, 1, SMALL_BYTES)?;
    let mut reader = Wire::open(kafka).await?;
    for offset in 0..count {
        reader.send(&frames.fetch(i64::try_from(offset)?)).await?;
        writer.produce(&frame, 1).await?;
        reader.take_fetched().await?;
    }
    Ok(())
}

async fn queue(kind: Kind, sqs: std::net::SocketAddr, count: u64) -> Result<()> {
    let mut http = Http::open(sqs).await?;
    let body = "m".repeat(SMALL_BYTES);
    let request = match kind {
        Kind::QueueSendOne => http.send_one(&body),
        _ => http.send_ten(&body),
    };
    for _ in 0..count {
        http.send(&request).await?;
        if kind == Kind::QueueRoundTen {
            http.receive_and_delete().await?;
        }
    }
    Ok(())
}

fn settings(data: &str) -> Result<Settings> {
    let flags = [
        ("storage.data", data),
        ("kafka.listen", "127.0.0.1:0"),
        ("http.listen", "off"),
        ("sqs.listen", "127.0.0.1:0"),
        // Preparing files goes by time, which differs from run to run.
        ("storage.pool_bytes_max", "0"),
        ("storage.reserve_bytes", "0"),
    ];
    let layers = Layers {
        flags: flags.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
        ..Layers::default()
    };
    Ok(layers.combine(None)?.settings)
}
