//! How the peers are started on a fresh folder, each on an address of its own.
//!
//! Each fails when the server does not accept within a minute.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::broker::{Broker, accepting, free_address};
use crate::{process, toolchain};

/// `jetstream`: more lines of that block.
pub fn nats(folder: &Path, jetstream: &str) -> Result<Broker> {
    fs::create_dir_all(folder)?;
    let (address, config) = (free_address()?, folder.join("nats.conf"));
    let store = folder.join("data");
    let text = format!(
        "listen: \"{address}\"\njetstream {{\n  store_dir: \"{}\"\n{jetstream}}}\n",
        store.display()
    );
    fs::write(&config, text)?;
    let mut nats = process::command(toolchain::nats()?);
    nats.arg("-c").arg(&config);
    Broker::start_program(nats, folder, |_| accepting(&address))
}

/// All of it in one append-only file, synced as `appendfsync` says.
pub fn redis(folder: &Path, appendfsync: &str) -> Result<Broker> {
    let (address, data) = (free_address()?, folder.join("data"));
    fs::create_dir_all(&data)?;
    let mut redis = process::command("redis-server");
    redis.args([
        "--bind",
        "127.0.0.1",
        "--port",
        port(&address),
        "--save",
        "",
    ]);
    redis.args(["--appendonly", "yes", "--appendfsync", appendfsync]);
    redis.arg("--dir").arg(&data);
    Broker::start_program(redis, folder, |_| accepting(&address))
}

/// The port mapper that Erlang needs, as a child that ends with the server, then the server; not
/// Debian's wrapper, which would change the user.
const RABBIT: &str = "epmd -port \"$ERL_EPMD_PORT\" & exec /usr/lib/rabbitmq/bin/rabbitmq-server";

/// A node of its own: nothing of it lies outside `folder`. Reached over the stream protocol, or AMQP.
pub fn rabbit(folder: &Path, is_stream: bool) -> Result<Broker> {
    fs::create_dir_all(folder)?;
    let (amqp, stream) = (free_address()?, free_address()?);
    let config = folder.join("rabbitmq.conf");
    let mut text = format!("listeners.tcp.1 = {amqp}\n");
    if is_stream {
        text.push_str(&format!("stream.listeners.tcp.1 = {stream}\n"));
    }
    fs::write(&config, text)?;
    let plugins = folder.join("plugins");
    let enabled = if is_stream { "rabbitmq_stream" } else { "" };
    fs::write(&plugins, format!("[{enabled}].\n"))?;
    let mut rabbit = process::command("sh");
    rabbit.args(["-c", RABBIT]);
    rabbit
        .env("HOME", folder)
        .env("RABBITMQ_NODENAME", "levada@localhost");
    rabbit.env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
    rabbit.env("RABBITMQ_CONFIG_FILE", &config);
    rabbit.env("RABBITMQ_ENABLED_PLUGINS_FILE", &plugins);
    rabbit.env("RABBITMQ_MNESIA_BASE", folder.join("data"));
    rabbit.env("RABBITMQ_LOG_BASE", folder.join("log"));
    rabbit.env("RABBITMQ_DIST_PORT", free_port()?);
    rabbit
        .env("ERL_EPMD_PORT", free_port()?)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1");
    let address = if is_stream { stream } else { amqp };
    Broker::start_program(rabbit, folder, |_| accepting(&address))
}

/// Its SQLite file stands in the folder where it starts: it takes relative paths only.
pub fn nisshi(folder: &Path, storage: &str) -> Result<Broker> {
    let (address, data) = (free_address()?, folder.join("data"));
    fs::create_dir_all(&data)?;
    let url = format!("tcp://{address}");
    let mut nisshi = process::command(toolchain::nisshi(false)?);
    nisshi
        .current_dir(&data)
        .args(["--storage-engine", storage]);
    nisshi.args(["--listener-url", &url, "--advertised-listener-url", &url]);
    Broker::start_program(nisshi, folder, |_| accepting(&address))
}

/// A bookie, and ZooKeeper for what it registers, in one process.
pub fn bookkeeper(folder: &Path) -> Result<Broker> {
    let address = free_address()?;
    let mut java = process::command("java");
    java.args([
        "-Xmx1g",
        "-Xms1g",
        "-cp",
        &toolchain::bookkeeper()?,
        "Server",
    ]);
    java.args([&free_port()?, port(&address)]);
    let data = folder.join("data");
    java.arg(&data);
    Broker::start_program(java, folder, |_| {
        data.join("ready").exists().then(|| address.clone())
    })
}

/// With an H2 database for its messages if `stored`, else all in memory as it is by default.
pub fn elasticmq(folder: &Path, stored: bool) -> Result<Broker> {
    fs::create_dir_all(folder)?;
    let (address, config) = (free_address()?, folder.join("elasticmq.conf"));
    let port = port(&address);
    let mut text = format!(
        "include classpath(\"application.conf\")\n\
         node-address {{ protocol = http, host = \"127.0.0.1\", port = {port}, context-path = \"\" }}\n\
         rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = \"127.0.0.1\" }}\n\
         rest-stats {{ enabled = false }}\n"
    );
    if stored {
        let file = folder.join("messages");
        text.push_str(&format!(
            "messages-storage {{ enabled = true, uri = \"jdbc:h2:{}\" }}\n",
            file.display()
        ));
    }
    fs::write(&config, text)?;
    let mut java = process::command("java");
    java.args(["-Xmx1g", "-Xms1g"]);
    java.arg(format!("-Dconfig.file={}", config.display()));
    java.args(["-cp", &toolchain::elasticmq()?, "org.elasticmq.server.Main"]);
    Broker::start_program(java, folder, |_| accepting(&address))
}

/// Everything in its memory.
pub fn moto(folder: &Path) -> Result<Broker> {
    let address = free_address()?;
    let mut moto = process::command(toolchain::moto()?);
    moto.args(["-H", "127.0.0.1", "-p", port(&address)]);
    Broker::start_program(moto, folder, |_| accepting(&address))
}

fn free_port() -> Result<String> {
    Ok(port(&free_address()?).to_owned())
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or("0", |(_, port)| port)
}
