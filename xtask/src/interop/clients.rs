//! The clients: how each is installed, run, and asked for its version.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::{process, toolchain};

/// One client program under `interop/clients`.
pub struct Client {
    pub name: &'static str,
    /// Installs what it needs; the command still lacks its two arguments, bootstrap and run id.
    pub prepare: fn() -> Result<Command>,
    pub version: fn() -> Option<String>,
    /// It is ended after so many seconds.
    pub seconds_max: u64,
}

/// The checks that every client reports, in the order of the table.
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

/// Every client, in the order of the table.
pub const ALL: &[Client] = &[
    Client {
        name: "java",
        prepare: java,
        version: kafka_version,
        seconds_max: 60,
    },
    Client {
        name: "kafka-tools",
        prepare: kafka_tools,
        version: kafka_version,
        seconds_max: 150,
    },
    Client {
        name: "kcat",
        prepare: kcat,
        version: kcat_version,
        seconds_max: 60,
    },
    Client {
        name: "confluent-kafka-python",
        prepare: || python("confluent-kafka-python"),
        version: || pinned("lib/requirements.txt", "confluent-kafka=="),
        seconds_max: 60,
    },
    Client {
        name: "kafka-python",
        prepare: || python("kafka-python"),
        version: || pinned("lib/requirements.txt", "kafka-python=="),
        seconds_max: 60,
    },
    Client {
        name: "aiokafka",
        prepare: || python("aiokafka"),
        version: || pinned("lib/requirements.txt", "aiokafka=="),
        seconds_max: 60,
    },
    Client {
        name: "franz-go",
        prepare: || go("franz-go"),
        version: || pinned("go/go.mod", "github.com/twmb/franz-go v"),
        seconds_max: 60,
    },
    Client {
        name: "sarama",
        prepare: || go("sarama"),
        version: || pinned("go/go.mod", "github.com/IBM/sarama v"),
        seconds_max: 60,
    },
    Client {
        name: "kafkajs",
        prepare: kafkajs,
        version: || pinned("kafkajs/package.json", "\"kafkajs\": \""),
        seconds_max: 60,
    },
    Client {
        name: "confluent-kafka-javascript",
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
        prepare: || Ok(process::command(toolchain::rust_rdkafka()?)),
        version: || pinned("rust-rdkafka/Cargo.toml", "rdkafka = { version = \"="),
        seconds_max: 60,
    },
];

/// Where a client stands in the table.
pub fn position(name: &str) -> Option<usize> {
    ALL.iter().position(|client| client.name == name)
}

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
    Ok(process::command(toolchain::go()?.join(client)))
}

fn kafkajs() -> Result<Command> {
    toolchain::npm("kafkajs")?;
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
fn pinned(manifest: &str, mark: &str) -> Option<String> {
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
