//! `cargo xtask`: the chores of this repository, each one runnable by hand and by CI.
//!
//! xtask stands outside the floors: it starts processes, reads clocks and files, and links no
//! crate of the broker, so that it still runs when one of them does not compile.
#![allow(clippy::disallowed_methods)]

mod backends;
mod bench;
mod broker;
mod count;
mod fuzz;
mod hostile;
mod interop;
mod mixed;
mod mutants;
mod process;
mod profile;
mod proofs;
mod queue_bench;
mod queues;
mod reliability;
mod report;
mod scale;
mod sim;
mod stages;
mod test;
mod tidy;
mod toolchain;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Chores of the Levada repository",
    version
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that CI checks, in stages, with a table of times at the end
    Test(test::Options),
    /// Floors, file and function sizes, module docs, banned words
    Tidy(tidy::Options),
    /// Real clients of many languages against one broker
    Interop(interop::Options),
    /// One script of requests against Apache Kafka and Levada, every difference reviewed
    Diff(proofs::DiffOptions),
    /// Apache Kafka's message classes against our codec
    Oracle,
    /// The ports' conformance suites on SeaweedFS and PostgreSQL, killed in the middle
    Backends(backends::Options),
    /// Levada, the floor and every peer under the same loads, in turns: figures into bench/
    Bench(bench::Options),
    /// Instructions of the hot paths under Valgrind, held against the committed ones
    Count(count::Options),
    /// What the server's time goes to under the loads of the bench, beside the floor
    Profile(profile::Options),
    /// Levada alone with up to a million partitions, 10,000 connections, 100,000 groups
    Scale(scale::Options),
    /// Producers beside a backfill, rewriting and a flood; an hour at 70 % of the peak: into bench/
    Mixed(mixed::Options),
    /// kill -9 under load, every promise checked after each restart
    Kill(proofs::KillOptions),
    /// The same on storage that drops every unsynced byte at the kill
    Power(proofs::KillOptions),
    /// Deliberate faults in our code, each of which the tests must find
    Mutants(mutants::Options),
    /// Standstill, a full disk, failing devices, damaged files: one kind after the other (root)
    Faults(proofs::FaultsOptions),
    /// A mixed load for an hour with a fault every few seconds: nothing lost, nothing grows (root)
    Soak(proofs::SoakOptions),
    /// The whole service under simulated time, network and disk, replayed from seeds
    Sim(sim::Options),
    /// Every parser against a fuzzer, one after the other (libFuzzer, through cargo-fuzz)
    Fuzz(fuzz::Options),
    /// Attacks on a running broker: memory, descriptors, log and another client's latency (Linux)
    Hostile(hostile::Options),
    /// SQS clients of two protocols against a running Levada, and kills under their load
    Queues(queues::Options),
    /// Queues beside ElasticMQ, moto, RabbitMQ and NATS, and many of them: figures into bench/
    QueueBench(queue_bench::Options),
    /// The tables of docs/reliability.md from what the proofs wrote down
    Reliability(reliability::Options),
    /// Metadata's one address through destination NAT and haproxy, in network namespaces (root)
    Network,
}

fn main() {
    let arguments = Arguments::parse();
    let outcome = match arguments.chore {
        Chore::Test(options) => test::run(&options),
        Chore::Tidy(options) => tidy::run(&options),
        Chore::Interop(options) => interop::run(&options),
        Chore::Diff(options) => proofs::diff(&options),
        Chore::Oracle => proofs::oracle(),
        Chore::Backends(options) => backends::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Count(options) => count::run(&options),
        Chore::Profile(options) => profile::run(&options),
        Chore::Scale(options) => scale::run(&options),
        Chore::Mixed(options) => mixed::run(&options),
        Chore::Kill(options) => proofs::kill(&options, false),
        Chore::Power(options) => proofs::kill(&options, true),
        Chore::Mutants(options) => mutants::run(&options),
        Chore::Faults(options) => proofs::faults(&options),
        Chore::Soak(options) => proofs::soak(&options),
        Chore::Sim(options) => sim::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Hostile(options) => hostile::run(&options),
        Chore::Queues(options) => queues::run(&options),
        Chore::QueueBench(options) => queue_bench::run(&options),
        Chore::Reliability(options) => reliability::run(&options),
        Chore::Network => proofs::network(),
    };
    match outcome {
        Ok(tally) => {
            tally.print();
            std::process::exit(i32::from(tally.failed > 0));
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            println!("0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
