//! The floor: what no broker can beat on this machine. It does what a durable log cannot leave out
//! (read frames from the socket, write them to storage, sync, acknowledge; write cached bytes to the
//! socket) and nothing else: no index, no checks, no recovery.
//!
//! It speaks just enough of Kafka's protocol that `levada bench` drives it: so floor and broker are
//! measured by one load generator, whose own share of the machine is the same for both.
//!
//! Both ways to write (past the page cache, through it) are measured, since which one is faster
//! depends on the size of the writes; the floor of a figure is the better of the two.
#![allow(clippy::disallowed_methods)]

mod answer;
mod chunk;
mod cold;
mod connection;
mod limits;
mod log;
mod topics;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(
    name = "levada-floor",
    about = "What no broker can beat on this machine"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take and hand out records; the address goes to DIR/address
    Serve(ServeArgs),
    /// Measure disk, memory and loopback, and print them as JSON
    Limits {
        /// Folder on the disk that is measured
        #[arg(long)]
        data: PathBuf,
    },
    /// Touch memory and give it back: what is measured next gets pages that the machine has at hand
    Warm {
        #[arg(long)]
        mib: usize,
    },
    /// Take a folder's files out of the page cache
    Cool {
        #[arg(long)]
        data: PathBuf,
    },
    /// Read a folder's files cold, one after the other, and print the speed as JSON
    Read {
        #[arg(long)]
        data: PathBuf,
        /// Only files with this ending: what is set aside on the disk was never written
        #[arg(long)]
        ending: String,
        /// Most bytes that are read
        #[arg(long, default_value_t = u64::MAX)]
        bytes: u64,
    },
}

#[derive(clap::Args)]
pub struct ServeArgs {
    #[arg(long)]
    data: PathBuf,
    /// What happens before an acknowledgement
    #[arg(long, value_enum, default_value_t = Durability::Synced)]
    durability: Durability,
    /// Past the page cache, or through it
    #[arg(long, value_enum, default_value_t = Path::Direct)]
    path: Path,
    /// Who writes and syncs: the connection's own thread, or one thread for all
    #[arg(long, value_enum, default_value_t = Commit::Inline)]
    commit: Commit,
    /// MiB of records that are kept for consumers, touched beforehand; none are kept without
    #[arg(long, default_value_t = 0)]
    keep_mib: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    Synced,
    Unsynced,
    Discarded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Path {
    Direct,
    Buffered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Commit {
    Inline,
    Thread,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Limits { data } => limits::print(&data),
        Command::Cool { data } => cold::print_cooled(&data),
        Command::Warm { mib } => {
            chunk::touch(mib << 20);
            Ok(())
        }
        Command::Read {
            data,
            ending,
            bytes,
        } => cold::print_sequential(&data, &ending, bytes),
    }
}

fn serve(args: &ServeArgs) -> Result<()> {
    std::fs::create_dir_all(&args.data)?;
    let topics = Arc::new(topics::Topics::new(args.keep_mib << 20));
    let log = log::Log::open(args, topics.clone())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::fs::write(args.data.join("address.new"), address.to_string())?;
    std::fs::rename(args.data.join("address.new"), args.data.join("address"))?;
    for stream in listener.incoming() {
        let stream = stream.context("no connection can be accepted")?;
        let (log, topics) = (log.clone(), topics.clone());
        std::thread::spawn(move || connection::run(stream, &log, &topics, address.port()));
    }
    Ok(())
}
