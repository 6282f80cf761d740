//! `levada`: the service and the commands around it.
//!
//! Data goes to stdout, messages to stderr. Exit codes: see [`error::CliError`].

mod commands;
mod context;
mod error;
mod lines;
mod logging;
mod output;
mod places;
mod remote;
mod settings;
mod signals;
mod sqs;
mod units;
mod when;

use std::io;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use levada_env::Env;
use tokio::runtime::Runtime;

use crate::context::Context;
use crate::error::CliResult;
use crate::output::Format;
use crate::settings::SettingArgs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FIRST_STEPS: &str = "\
First steps:
  levada serve                               in one terminal; it prints its addresses
  echo hello | levada produce greetings      in another
  levada consume greetings
  levada consume greetings -g readers -f     as a member of a group, until Ctrl-C
  levada group describe readers
  levada queue create jobs                   or as a queue
  levada demo                                or all of it at once, on real events

Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 cannot reach the
server, 4 refused by the server, 130 interrupted.";

/// Levada: publish once, read anywhere. A Kafka-protocol service with one durable log.
#[derive(Parser)]
#[command(
    name = "levada",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = FIRST_STEPS
)]
struct Cli {
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service in the foreground: Kafka on 127.0.0.1:9092, data in ./levada-data
    Serve(commands::serve::Args),
    /// Run the service and replay a year of real events through it, with two groups that read
    Demo(commands::demo::Args),
    /// Show and check the service's settings
    Config(commands::config::Args),
    /// Create, list, describe, alter and delete topics
    Topic(commands::topic::Args),
    /// Write records to a topic
    Produce(commands::produce::Args),
    /// Read records from a topic
    Consume(commands::consume::Args),
    /// Look at consumer groups, their lag and their offsets
    Group(commands::group::Args),
    /// Create queues, send, receive and acknowledge messages, move dead letters
    Queue(commands::queue::Args),
    /// Check a broker from this machine and say what is wrong
    Doctor(commands::doctor::Args),
    /// Measure a broker
    Bench(commands::bench::Args),
    /// Print the completion script of a shell
    Completions(commands::completions::Args),
}

impl Command {
    /// The settings of the service, if the command runs one.
    fn service_settings(&self) -> Option<&SettingArgs> {
        match self {
            Command::Serve(args) => Some(&args.settings),
            Command::Demo(args) => Some(&args.settings),
            _ => None,
        }
    }
}

/// Keeps the kernel from backing a few scattered kilobytes with pages of 2 MiB each, which the
/// allocator asks for: under changing load that made ten live megabytes 240 resident ones.
fn use_small_pages() {
    // Refused by an old kernel: memory is larger then, and nothing else.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Threads for what blocks: reads of cold data, snapshots, files made and removed. More at once gain
/// nothing on a disk, and each keeps some memory; what comes meanwhile waits its turn.
const BLOCKING_THREADS_MAX: usize = 16;

/// Threads that serve connections when the setting is 0: one core is left to the log's thread, which
/// does half of the work. With one thread more, each request wakes a thread that finds nothing to do:
/// on two cores 15% more CPU, and fewer records a second.
fn worker_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (cores - 1).max(1)
}

/// The runtime that the command needs: for the service with as many threads as its settings say.
fn runtime(command: &Command, env: &Env) -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(settings) = command.service_settings() {
        // Settings that are not valid are told by the command, which loads them again.
        let loaded = settings.load(env).ok();
        let wanted = loaded.map_or(0, |loaded| loaded.settings.server.worker_threads);
        builder.worker_threads(match wanted {
            0 => worker_threads(),
            wanted => wanted as usize,
        });
    }
    builder
        .enable_all()
        .thread_name("levada")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
}

fn main() -> ExitCode {
    use_small_pages();
    let cli = Cli::parse();
    let env = Env::real();
    let runtime = match runtime(&cli.command, &env) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("levada: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let context = Context::new(env, cli.output);
        dispatch(cli.command, context).await
    });
    // What still runs (a blocked read of stdin, say) must not hold up the exit.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                eprintln!("levada: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(command: Command, context: Context) -> CliResult {
    match command {
        Command::Serve(args) => commands::serve::run(args, context).await,
        Command::Demo(args) => commands::demo::run(args, context).await,
        Command::Config(args) => commands::config::run(args, context).await,
        Command::Topic(args) => commands::topic::run(args, context).await,
        Command::Produce(args) => commands::produce::run(args, context).await,
        Command::Consume(args) => commands::consume::run(args, context).await,
        Command::Group(args) => commands::group::run(args, context).await,
        Command::Queue(args) => commands::queue::run(args, context).await,
        Command::Doctor(args) => commands::doctor::run(args, context).await,
        Command::Bench(args) => commands::bench::run(args, context).await,
        Command::Completions(args) => {
            commands::completions::run(&args, &context, &mut Cli::command())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
    #[test]
    fn the_service_gets_as_many_threads_as_its_setting_says() {
        let workers = |line: &[&str]| {
            let cli = Cli::try_parse_from(line).unwrap();
            let runtime = runtime(&cli.command, &Env::real()).unwrap();
            runtime.metrics().num_workers()
        };
        for command in ["serve", "demo"] {
            let given = ["levada", command, "--server-worker-threads", "3"];
            assert_eq!(workers(&given), 3);
            assert_eq!(workers(&["levada", command]), worker_threads());
        }
    }
}
