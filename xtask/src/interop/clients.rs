//! The clients: how each is installed, run, and asked for its version.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::{process, toolchain};

/// What a client speaks; it decides on the broker's listeners and the program's arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Arguments: bootstrap and run id.
    Kafka,
    /// Arguments: endpoint, bootstrap (for what both sides see) and run id.
    Sqs,
}

/// One client program under `interop/clients` or `interop/sqs`.
pub struct Client {
    pub name: &'static str,
    pub api: Api,
    /// What it reports, in the order of the page.
    pub checks: &'static [&'static str],
    /// Installs what it needs; the command still lacks its arguments.
    pub prepare: fn() -> Result<Command>,
    pub version: fn() -> Option<String>,
    /// It is ended after so many seconds.
    pub seconds_max: u64,
}

/// The checks that every Kafka client reports, in the order of the table.
pub const CHECKS: &[&str] = &[
    "connect",
    "produce-consume",
    "group-consume",
    "rebalance",
    "cooperative-sticky",
    "static-membership",
    "admin",
    "idempotence",
    "compression-none",
    "compression-gzip",
    "compression-snappy",
    "compression-lz4",
    "compression-zstd",
    "headers",
    "create-time",
    "append-time",
    "offsets-for-times",
    "large-value",
    "empty-null-values",
];

/// Every Kafka client, in the order of the table.
pub const ALL: &[Client] = &[
    Client {
        name: "java",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: java,
        version: kafka_version,
        seconds_max: 60,
    },
    Client {
        name: "kafka-tools",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: kafka_tools,
        version: kafka_version,
        seconds_max: 150,
    },
    Client {
        name: "kcat",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: kcat,
        version: kcat_version,
        seconds_max: 60,
    },
    Client {
        name: "confluent-kafka-python",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: || python("confluent-kafka-python"),
        version: || pinned("lib/requirements.txt", "confluent-kafka=="),
        seconds_max: 60,
    },
    Client {
        name: "kafka-python",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: || python("kafka-python"),
        version: || pinned("lib/requirements.txt", "kafka-python=="),
        seconds_max: 60,
    },
    Client {
        name: "aiokafka",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: || python("aiokafka"),
        version: || pinned("lib/requirements.txt", "aiokafka=="),
        seconds_max: 60,
    },
    Client {
        name: "franz-go",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: || go("franz-go"),
        version: || pinned("go/go.mod", "github.com/twmb/franz-go v"),
        seconds_max: 60,
    },
    Client {
        name: "sarama",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: || go("sarama"),
        version: || pinned("go/go.mod", "github.com/IBM/sarama v"),
        seconds_max: 60,
    },
    Client {
        name: "kafkajs",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: kafkajs,
        version: || pinned("kafkajs/package.json", "\"kafkajs\": \""),
        seconds_max: 60,
    },
    Client {
        name: "confluent-kafka-javascript",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: confluent_javascript,
        version: || {
            pinned(
                "confluent-kafka-javascript/package.json",
                "/kafka-javascript\": \"",
            )
        },
        seconds_max: 60,
    },
    Client {
        name: "rust-rdkafka",
        api: Api::Kafka,
        checks: CHECKS,
        prepare: || Ok(process::command(toolchain::rust_rdkafka()?)),
        version: || pinned("rust-rdkafka/Cargo.toml", "rdkafka = { version = \"="),
        seconds_max: 60,
    },
];

fn java() -> Result<Command> {
    let jars = toolchain::kafka_jars()?;
    let mut command = process::command("java");
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &jars]);
    command.arg(toolchain::client_folder("java").join("Client.java"));
    Ok(command)
}

fn kafka_tools() -> Result<Command> {
    let jars = toolchain::kafka_jars()?;
    let mut command = process::command(toolchain::client_folder("kafka-tools").join("client.sh"));
    command.env("JARS", jars);
    Ok(command)
}

fn kcat() -> Result<Command> {
    toolchain::debian("kcat", "kcat")?;
    Ok(process::command(
        toolchain::client_folder("kcat").join("client.sh"),
    ))
}

fn python(client: &str) -> Result<Command> {
    let mut command = process::command(toolchain::python()?);
    command.arg(toolchain::client_folder(client).join("client.py"));
    Ok(command)
}

fn go(client: &str) -> Result<Command> {
    let programs = toolchain::go("go", "interop/clients/go", &["./franz-go", "./sarama"])?;
    Ok(process::command(programs.join(client)))
}

fn kafkajs() -> Result<Command> {
    toolchain::npm("interop/clients/kafkajs")?;
    Ok(node("kafkajs"))
}

fn confluent_javascript() -> Result<Command> {
    toolchain::confluent_javascript()?;
    Ok(node("confluent-kafka-javascript"))
}

fn node(client: &str) -> Command {
    let mut command = process::command("node");
    command.arg(toolchain::client_folder(client).join("client.js"));
    command
}

fn kafka_version() -> Option<String> {
    pinned("../maven/pom.xml", "<kafka.version>")
}

fn kcat_version() -> Option<String> {
    let text = process::output(process::command("kcat").arg("-V"))?;
    Some(
        version_after(&text, "Version ")? + ", librdkafka " + &version_after(&text, "librdkafka ")?,
    )
}

/// The version that stands behind `mark` in a manifest under `interop/clients`.
pub fn pinned(manifest: &str, mark: &str) -> Option<String> {
    version_after(
        &fs::read_to_string(toolchain::client_folder(manifest)).ok()?,
        mark,
    )
}

fn version_after(text: &str, mark: &str) -> Option<String> {
    let rest = text.split_once(mark)?.1;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    Some(rest.get(..end)?.to_owned())
}
