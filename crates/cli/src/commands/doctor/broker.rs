//! Checks of a broker, from where its clients stand.

use std::time::Duration;

use levada_client::admin::NewTopic;
use levada_client::connection::dial;
use levada_client::{
    Client, ClientError, Consumer, ConsumerOptions, Producer, ProducerOptions, ResetTo,
};
use levada_records::NewRecord;
use levada_wire_kafka::{ApiKey, ErrorCode};

use super::{Args, Check, Status};
use crate::context::Context;
use crate::remote::connect;

/// What every client of the last years needs.
const NEEDED: [ApiKey; 15] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DescribeConfigs,
    ApiKey::InitProducerId,
];
const CONNECT_MS_WARN: u128 = 100;
const CONNECT_MS_CRITICAL: u128 = 2000;
const PROBE_MS_WARN: u128 = 100;
const PROBE_MS_CRITICAL: u128 = 1000;
const REACH_TIMEOUT: Duration = Duration::from_secs(3);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Adds the checks; gives the reason when no broker answers at all.
pub async fn check(args: &Args, context: &Context, checks: &mut Vec<Check>) -> Option<String> {
    let start = context.env.monotonic();
    let client = match connect(&args.broker, context).await {
        Ok(client) => client,
        Err(error) => {
            let reason = error.to_string();
            let (found, advice) = reason.split_once('\n').unwrap_or((&reason, ""));
            let advice = format!(
                "{advice} From another machine its listener must not be bound to 127.0.0.1."
            );
            let advice = advice.trim_start();
            checks.push(Check::new("connect", Status::Critical, found, advice));
            return Some(reason);
        }
    };
    let took = context.env.monotonic().saturating_sub(start).as_millis();
    checks.push(Check::new(
        "connect",
        Status::at_most(&took, &CONNECT_MS_WARN, &CONNECT_MS_CRITICAL),
        format!("{} answers after {took} ms", args.broker.broker),
        "The way to the broker is slow: look at the network between, or at the broker's load.",
    ));
    checks.push(versions(&client).await);
    metadata(&client, context, checks).await;
    if let Some(topic) = &args.probe {
        checks.push(probe(&client, context, topic).await);
    }
    None
}

async fn versions(client: &Client) -> Check {
    let connection = match client.any().await {
        Ok(connection) => connection,
        Err(error) => return failed("versions", &error),
    };
    let offered = connection.offered();
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|key| !offered.iter().any(|(code, ..)| *code == key.code()))
        .map(|key| key.name())
        .collect();
    if missing.is_empty() {
        let produce = offered
            .iter()
            .find(|(code, ..)| *code == ApiKey::Produce.code());
        let most = produce.map_or(0, |(_, _, most)| *most);
        let found = format!("{} APIs, Produce up to version {most}", offered.len());
        return Check::ok("versions", found);
    }
    Check::new(
        "versions",
        Status::Critical,
        format!("missing: {}", missing.join(", ")),
        "This is no broker that Kafka's clients can work with.",
    )
}

fn failed(name: &'static str, error: &ClientError) -> Check {
    let advice = "The broker accepts connections but does not serve: look at its log.";
    Check::new(name, Status::Critical, error.to_string(), advice)
}

/// Whether the addresses that the cluster gives its clients lead anywhere from here.
async fn metadata(client: &Client, context: &Context, checks: &mut Vec<Check>) {
    let brokers = client.brokers();
    if brokers.is_empty() {
        let advice = "No client can go on from here: the broker names no broker, not even itself.";
        checks.push(Check::new(
            "metadata",
            Status::Critical,
            "no brokers",
            advice,
        ));
    }
    for broker in brokers {
        let address = broker.address();
        let advice = format!(
            "Clients are sent to {address} for broker {}. Set its advertised address to one that \
             they can reach.",
            broker.id
        );
        let wildcard = matches!(broker.host.as_str(), "0.0.0.0" | "::" | "");
        let (status, found) = match dial(&context.env, &address, REACH_TIMEOUT).await {
            _ if wildcard => (
                Status::Critical,
                format!("{address} is no address to go to"),
            ),
            Ok(_) => (
                Status::Ok,
                format!("broker {} at {address} is reachable", broker.id),
            ),
            Err(error) => (Status::Critical, error.to_string()),
        };
        checks.push(Check::new("metadata", status, found, &advice));
    }
}

/// Writes a record and reads it back.
async fn probe(client: &Client, context: &Context, topic: &str) -> Check {
    let work = context
        .env
        .timeout(PROBE_TIMEOUT, round_trip(client, context, topic));
    let advice = "Records pass slowly: look at the data folder's fsync speed (--data DIR --fsync) and at \
         the broker's load.";
    match work.await {
        Ok(Ok((written, read))) => {
            let (written, read) = (written.as_millis(), read.as_millis());
            Check::new(
                "probe",
                Status::at_most(&read, &PROBE_MS_WARN, &PROBE_MS_CRITICAL),
                format!("a record was acknowledged after {written} ms and read after {read} ms"),
                advice,
            )
        }
        Ok(Err(error)) => failed("probe", &error),
        Err(_) => {
            let found = format!("no record came back within {} s", PROBE_TIMEOUT.as_secs());
            Check::new("probe", Status::Critical, found, advice)
        }
    }
}

async fn round_trip(
    client: &Client,
    context: &Context,
    topic: &str,
) -> Result<(Duration, Duration), ClientError> {
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: Some(1),
        ..Default::default()
    };
    match client.create_topic(&new, false).await {
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
        result => result?,
    }
    client.topic_afresh(topic, true).await?;
    let options = ProducerOptions {
        linger: Duration::ZERO,
        idempotent: false,
        ..ProducerOptions::default()
    };
    let producer = Producer::start(client, options).await?;
    let record = NewRecord {
        timestamp_ms: context.env.now_ms(),
        value: Some(b"levada doctor was here"),
        ..Default::default()
    };
    // The first one also opens the connections.
    producer.send(topic, Some(0), &record).await?.wait().await?;
    let start = context.env.monotonic();
    let delivered = producer.send(topic, Some(0), &record).await?.wait().await?;
    let written = context.env.monotonic().saturating_sub(start);
    let mut consumer = Consumer::new(
        client,
        ConsumerOptions {
            reset: ResetTo::Fail,
            ..ConsumerOptions::default()
        },
    );
    consumer.assign([(topic.to_owned(), 0, delivered.offset)]);
    while consumer.poll(PROBE_TIMEOUT).await?.is_none() {}
    Ok((written, context.env.monotonic().saturating_sub(start)))
}
