//! What a person sees once the service accepts.

use std::fmt::Write;

use crate::config::Settings;
use crate::config::value::Durability;
use crate::listeners::needs_advertised;
use crate::{Addresses, VERSION};

/// The banner: listeners with a line to paste each, data folder, durability, how to stop.
#[must_use]
pub(crate) fn banner(settings: &Settings, addresses: &Addresses, cluster_id: &str) -> String {
    let mut text = format!("levada {VERSION}, cluster {cluster_id}\n\n");
    match addresses.kafka {
        Some(address) => {
            let reach = reachable(address);
            let _ = writeln!(text, "  Kafka   {address}   try: kcat -b {reach} -L");
        }
        None => text.push_str("  Kafka   off\n"),
    }
    match addresses.sqs {
        Some(address) => {
            let reach = reachable(address);
            let _ = writeln!(
                text,
                "  SQS     {address}   try: aws sqs create-queue --queue-name q --endpoint-url http://{reach}"
            );
        }
        None => text.push_str("  SQS     off\n"),
    }
    match addresses.http {
        Some(address) => {
            let reach = reachable(address);
            let _ = writeln!(
                text,
                "  HTTP    {address}   try: curl http://{reach}/metrics"
            );
        }
        None => text.push_str("  HTTP    off\n"),
    }
    let _ = writeln!(text, "  Data    {}", settings.storage.data);
    text.push_str(match settings.storage.durability {
        Durability::Fsync => {
            "  Acks    after the record is on stable storage (durability = \"fsync\")\n"
        }
        Durability::Os => {
            "  Acks    BEFORE THE RECORD IS ON DISK (durability = \"os\"): power loss loses acknowledged records\n"
        }
    });
    text.push_str("  Stop    Ctrl-C, or SIGTERM\n");
    if settings.server.insecure {
        text.push_str(
            "\nWARNING: --insecure: whoever reaches a listener can read, write and delete everything.\n",
        );
    }
    if needs_advertised(settings, addresses).is_some() {
        text.push_str(
            "\nWARNING: the Kafka listener stands on every address of this machine and kafka.advertised is\n\
             not set. Clients are sent back to the address that they reached, which fails behind\n\
             NAT or a load balancer: set --kafka-advertised HOST:PORT there.\n",
        );
    }
    text
}

/// An address that can be pasted: "any address" is not one.
fn reachable(address: std::net::SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("127.0.0.1:{}", address.port()),
        false => address.to_string(),
    }
}
