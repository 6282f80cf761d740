//! Starts a broker for a test and ends it: ours, or a real Apache Kafka of one node.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{process, toolchain};

const START_WAIT_MAX: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(5);

/// Which broker a test talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Levada,
    Kafka,
}

/// A running broker; ended with SIGKILL when dropped.
pub struct Broker {
    child: Child,
    /// `host:port` of the Kafka listener.
    pub address: String,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // A script that started the server does not take it along.
        let below = process::tree(self.child.id()).unwrap_or_default();
        if let [_, children @ ..] = &below[..]
            && !children.is_empty()
        {
            let mut kill = process::command("kill");
            kill.arg("-KILL").args(children.iter().map(u32::to_string));
            kill.stderr(Stdio::null()).status().ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The release binary that tests start; `LEVADA_BIN` names another one.
pub fn levada_binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("LEVADA_BIN") {
        return binary.into();
    }
    process::target().join("release/levada")
}

impl Broker {
    /// Starts one over `folder`, which keeps its data and its log, and waits until it accepts.
    ///
    /// # Errors
    /// When it does not start within a minute; the end of its log is in the message.
    pub fn start(kind: Kind, folder: &Path) -> Result<Broker> {
        fs::create_dir_all(folder)?;
        match kind {
            Kind::Levada => start_levada(folder, &[]),
            Kind::Kafka => start_kafka(folder, &TEST_JVM, ""),
        }
    }

    /// Starts Levada with more `flags` of `levada serve`.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_levada_with(folder: &Path, flags: &[&str]) -> Result<Broker> {
        fs::create_dir_all(folder)?;
        start_levada(folder, flags)
    }

    /// Starts Apache Kafka as it is run for load: with the optimising compiler, and with more
    /// `properties`, a line each.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_kafka_for_load(folder: &Path, properties: &str) -> Result<Broker> {
        fs::create_dir_all(folder)?;
        start_kafka(folder, &["-Xmx1g", "-Xms1g"], properties)
    }

    /// Starts any server over `folder`, which keeps its log, and waits until `address`, asked with
    /// its process id, finds where it listens.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_program(
        command: Command,
        folder: &Path,
        address: impl Fn(u32) -> Option<String>,
    ) -> Result<Broker> {
        fs::create_dir_all(folder)?;
        let mut broker = Broker {
            child: spawn(command, folder)?,
            address: String::new(),
        };
        broker.wait(folder, address)?;
        Ok(broker)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Quick to start; what a test needs.
const TEST_JVM: [&str; 3] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

fn start_levada(folder: &Path, flags: &[&str]) -> Result<Broker> {
    let data = folder.join("data");
    let mut command = Command::new(levada_binary());
    command
        .args(["serve", "--kafka", "127.0.0.1:0", "--data"])
        .arg(&data)
        .args(flags);
    if !flags.contains(&"--http") {
        command.args(["--http", "off"]);
    }
    if !flags.contains(&"--sqs") {
        command.args(["--sqs", "off"]);
    }
    let ready = data.join("ready.json");
    Broker::start_program(command, folder, |pid| {
        let text = fs::read_to_string(&ready).ok()?;
        let ready: serde_json::Value = serde_json::from_str(&text).ok()?;
        // A file of an earlier run names another process.
        let is_ours = ready.get("pid")?.as_u64()? == u64::from(pid);
        is_ours.then(|| {
            ready
                .get("kafka")
                .and_then(|kafka| kafka.as_str())
                .map(str::to_owned)
        })?
    })
}

fn start_kafka(folder: &Path, jvm: &[&str], more: &str) -> Result<Broker> {
    let jars = toolchain::kafka_jars()?;
    let (address, controller) = (free_address()?, free_address()?);
    let properties = folder.join("server.properties");
    let text = kafka_properties(&address, &controller, &folder.join("data"));
    fs::write(&properties, text + more)?;
    let mut format = java(&jars, &TEST_JVM);
    format
        .arg("kafka.tools.StorageTool")
        .args(["format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"]);
    format
        .arg(&properties)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !format.status()?.success() {
        bail!(
            "Apache Kafka's storage tool cannot format {}",
            folder.display()
        );
    }
    let mut command = java(&jars, jvm);
    command.arg("kafka.Kafka").arg(&properties);
    Broker::start_program(command, folder, |_| accepting(&address))
}

fn java(jars: &str, jvm: &[&str]) -> Command {
    let mut java = process::command("java");
    java.args(jvm).args(["-cp", jars]);
    java
}

/// A node that is broker and controller, with the settings that make its behaviour repeatable.
fn kafka_properties(address: &str, controller: &str, data: &Path) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        data.display()
    )
}

fn spawn(mut command: Command, folder: &Path) -> Result<Child> {
    let log = fs::File::create(folder.join("broker.log"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::show(&command)))
}

impl Broker {
    /// Waits until `address` finds where the broker listens.
    fn wait(&mut self, folder: &Path, address: impl Fn(u32) -> Option<String>) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(found) = address(self.child.id()) {
                self.address = found;
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || started.elapsed() > START_WAIT_MAX {
                let log = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(10).collect();
                bail!(
                    "the broker did not start ({ended:?}); its log ends, last line first: {tail:?}"
                );
            }
            thread::sleep(START_POLL);
        }
    }
}

/// The address, once somebody accepts there.
pub fn accepting(address: &str) -> Option<String> {
    std::net::TcpStream::connect(address)
        .ok()
        .map(|_| address.to_owned())
}

/// A loopback address that nobody uses at the moment.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
