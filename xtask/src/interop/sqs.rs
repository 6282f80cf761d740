//! The clients of the SQS API: how each is installed, run, and asked for its version.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::clients::{Api, Client, pinned};
use crate::{process, toolchain};

/// What each SDK does.
const SDK: &[&str] = &[
    "queues",
    "round_trip",
    "batches",
    "limits",
    "visibility",
    "long_polls",
    "delays",
    "fifo",
    "dead_letters",
    "purge",
    "tags",
    "errors",
];
/// What both Pythons do: the same, many receivers, and a Kafka client on the same topic.
const BOTO3: &[&str] = &[
    "queues",
    "round_trip",
    "batches",
    "limits",
    "visibility",
    "long_polls",
    "delays",
    "fifo",
    "dead_letters",
    "purge",
    "tags",
    "errors",
    "competing",
    "with_kafka",
];

/// Every client, in the order of the table.
pub const ALL: &[Client] = &[
    Client {
        name: "boto3",
        api: Api::Sqs,
        checks: BOTO3,
        prepare: || boto3("boto3", "interop/sqs/requirements.txt"),
        version: || pinned("../sqs/requirements.txt", "boto3=="),
        seconds_max: 60,
    },
    Client {
        name: "boto3-query",
        api: Api::Sqs,
        checks: BOTO3,
        prepare: || boto3("boto3-query", "interop/sqs/requirements-query.txt"),
        version: || pinned("../sqs/requirements-query.txt", "boto3=="),
        seconds_max: 60,
    },
    Client {
        name: "aws-cli",
        api: Api::Sqs,
        checks: &["docs/sqs.md", "docs/from-sqs.md"],
        prepare: aws_cli,
        version: || pinned("../sqs/requirements.txt", "awscli=="),
        seconds_max: 120,
    },
    Client {
        name: "aws-sdk-js-v3",
        api: Api::Sqs,
        checks: SDK,
        prepare: || node("aws-sdk-js.js"),
        version: || pinned("../sqs/javascript/package.json", "client-sqs\": \""),
        seconds_max: 60,
    },
    Client {
        name: "aws-sdk-java-v2",
        api: Api::Sqs,
        checks: SDK,
        prepare: java,
        version: || pinned("../sqs/java/pom.xml", "<sqs-java.version>"),
        seconds_max: 60,
    },
    Client {
        name: "aws-sdk-go-v2",
        api: Api::Sqs,
        checks: SDK,
        prepare: go,
        version: || pinned("../sqs/go/go.mod", "service/sqs v"),
        seconds_max: 60,
    },
    Client {
        name: "aws-sdk-rust",
        api: Api::Sqs,
        checks: SDK,
        prepare: rust,
        version: || pinned("../sqs/rust/Cargo.toml", "aws-sdk-sqs = { version = \"="),
        seconds_max: 60,
    },
    Client {
        name: "sqs-consumer",
        api: Api::Sqs,
        checks: &["consume", "failure", "heartbeat", "stop"],
        prepare: || node("sqs-consumer.js"),
        version: || pinned("../sqs/javascript/package.json", "sqs-consumer\": \""),
        seconds_max: 90,
    },
    Client {
        name: "celery",
        api: Api::Sqs,
        checks: &["tasks", "countdown", "retries", "killed"],
        prepare: celery,
        version: || pinned("../sqs/celery/requirements.txt", "celery[sqs]=="),
        seconds_max: 180,
    },
];

/// Where a broker over this folder serves SQS.
///
/// # Errors
/// When it does not, or has not started.
pub fn address(folder: &Path) -> Result<String> {
    let ready = fs::read_to_string(folder.join("data/ready.json"))?;
    let ready: serde_json::Value = serde_json::from_str(&ready)?;
    let address = ready.get("sqs").and_then(|address| address.as_str());
    let address = address.context("ready.json names no address for SQS")?;
    Ok(address.to_owned())
}

fn boto3(name: &str, requirements: &str) -> Result<Command> {
    let mut command = process::command(toolchain::python_with(name, requirements)?);
    command.arg("interop/sqs/client.py").arg(name);
    Ok(command)
}

/// The commands of the pages, with `aws` and `python3` of the environment first on the path.
fn aws_cli() -> Result<Command> {
    let python = toolchain::python_with("boto3", "interop/sqs/requirements.txt")?;
    let programs = python.parent().context("a Python has a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = process::command(&python);
    command.arg("interop/sqs/pages.py");
    command.env("PATH", format!("{}:{path}", programs.display()));
    Ok(command)
}

fn node(program: &str) -> Result<Command> {
    toolchain::npm("interop/sqs/javascript")?;
    let mut command = process::command("node");
    command.arg(format!("interop/sqs/javascript/{program}"));
    Ok(command)
}

fn java() -> Result<Command> {
    let jars = toolchain::sqs_jars()?;
    let mut command = process::command("java");
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &jars]);
    command.arg("interop/sqs/java/Client.java");
    Ok(command)
}

fn go() -> Result<Command> {
    let programs = toolchain::go("go-sqs", "interop/sqs/go", &["."])?;
    Ok(process::command(programs.join("sqs")))
}

fn rust() -> Result<Command> {
    let programs = toolchain::cargo_build("rust-sqs", "interop/sqs/rust")?;
    Ok(process::command(programs.join("levada-interop-sqs-rust")))
}

fn celery() -> Result<Command> {
    let requirements = "interop/sqs/celery/requirements.txt";
    let mut command = process::command(toolchain::python_with("celery", requirements)?);
    command.arg("interop/sqs/celery/client.py");
    Ok(command)
}
