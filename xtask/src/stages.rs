//! The stages of `cargo xtask test`, in the order in which they run: what is cheap and breaks
//! often comes first.

use anyhow::Result;

use crate::backends;
use crate::bench;
use crate::broker::Kind;
use crate::count;
use crate::hostile;
use crate::interop;
use crate::process;
use crate::proofs;
use crate::queue_bench;
use crate::queues;
use crate::report::Tally;
use crate::sim;
use crate::test::Options;
use crate::tidy;

/// The short forms of `cargo xtask kill` (200 rounds by hand), `power` (50) and `faults` (10).
const KILL_ROUNDS: u32 = 40;
const POWER_ROUNDS: u32 = 12;
const FAULTS_ROUNDS: u32 = 3;
/// ... and of each attack of `cargo xtask hostile` (20 s by hand).
const HOSTILE_SECONDS: u64 = 3;

/// One stage: its name for `--only`, a line that says what it does, and how it runs.
pub struct Stage {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Options) -> Result<Tally>,
}

/// Every stage.
pub const ALL: &[Stage] = &[
    Stage {
        name: "fmt",
        about: "cargo fmt --check",
        run: fmt,
    },
    Stage {
        name: "tidy",
        about: "floors, sizes, module docs, banned words",
        run: tidy,
    },
    Stage {
        name: "clippy",
        about: "clippy over all targets, warnings denied",
        run: clippy,
    },
    Stage {
        name: "unit",
        about: "every Rust test of the workspace",
        run: unit,
    },
    Stage {
        name: "backends",
        about: "the ports' conformance suites on real servers",
        run: backends,
    },
    Stage {
        name: "sim",
        about: "200 simulated runs with faults, each history checked",
        run: sim,
    },
    Stage {
        name: "build",
        about: "the release binary",
        run: build,
    },
    Stage {
        name: "count",
        about: "instructions of the hot paths, within 3% of the committed ones",
        run: count,
    },
    Stage {
        name: "clients",
        about: "the client matrix",
        run: clients,
    },
    Stage {
        name: "queues",
        about: "SQS clients of both protocols, and kills under their load",
        run: queues,
    },
    Stage {
        name: "docs",
        about: "docs/compatibility.md says what the clients did",
        run: docs,
    },
    Stage {
        name: "network",
        about: "one address in metadata through destination NAT and haproxy",
        run: network,
    },
    Stage {
        name: "oracle",
        about: "Apache Kafka's message classes against our codec",
        run: oracle,
    },
    Stage {
        name: "diff",
        about: "one script of requests against Apache Kafka and Levada",
        run: diff,
    },
    Stage {
        name: "hostile",
        about: "attacks on a running broker, in short",
        run: hostile,
    },
    Stage {
        name: "bench",
        about: "every load of the benchmark on Levada and the floor, in short, its answers checked",
        run: bench,
    },
    Stage {
        name: "kill",
        about: "kill -9 under load, in short",
        run: kill,
    },
    Stage {
        name: "power",
        about: "kill -9 on storage that drops what was not synced, in short",
        run: power,
    },
    Stage {
        name: "power-unsynced",
        about: "the same with the sync taken out: it must find a loss",
        run: power_unsynced,
    },
    Stage {
        name: "faults",
        about: "standstill, full disk, failing device, damaged files, in short",
        run: faults,
    },
];

fn fmt(_: &Options) -> Result<Tally> {
    Ok(Tally::of(process::run(
        process::cargo().args(["fmt", "--all", "--check"]),
    )?))
}

fn tidy(_: &Options) -> Result<Tally> {
    tidy::run(&tidy::Options::default())
}

fn clippy(_: &Options) -> Result<Tally> {
    let mut clippy = process::cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]);
    Ok(Tally::of(process::run(&mut clippy)?))
}

fn unit(_: &Options) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut cargo = process::cargo();
    cargo.args([
        "test",
        "--workspace",
        "--all-features",
        "--no-fail-fast",
        "--quiet",
    ]);
    let ok = process::run_lines(&mut cargo, |line| tally += result_line(line))?;
    if !ok && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

fn backends(_: &Options) -> Result<Tally> {
    backends::run(&backends::Options::default())
}

fn sim(_: &Options) -> Result<Tally> {
    sim::run(&sim::Options::short())
}

fn build(_: &Options) -> Result<Tally> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--quiet", "--package", "levada-cli"]);
    Ok(Tally::of(process::run(&mut cargo)?))
}

fn count(_: &Options) -> Result<Tally> {
    count::run(&count::Options::default())
}

fn clients(options: &Options) -> Result<Tally> {
    let client = options.client.clone();
    Ok(interop::run_clients(&interop::Options {
        client,
        against: Kind::Levada,
    })?
    .1)
}

fn queues(_: &Options) -> Result<Tally> {
    queues::run_short()
}

fn docs(_: &Options) -> Result<Tally> {
    interop::check_docs()
}

fn network(_: &Options) -> Result<Tally> {
    proofs::network()
}

fn oracle(_: &Options) -> Result<Tally> {
    proofs::oracle()
}

fn diff(_: &Options) -> Result<Tally> {
    proofs::diff(&proofs::DiffOptions {
        against: Kind::Levada,
        verbose: false,
    })
}

fn hostile(_: &Options) -> Result<Tally> {
    hostile::run(&hostile::Options {
        seconds: HOSTILE_SECONDS,
        attack: hostile::SHORT.map(str::to_owned).to_vec(),
    })
}

fn bench(_: &Options) -> Result<Tally> {
    let mut tally = bench::run(&bench::Options::smoke())?;
    tally += queue_bench::run(&queue_bench::Options::smoke())?;
    Ok(tally)
}

fn kill(_: &Options) -> Result<Tally> {
    proofs::kill(&short(KILL_ROUNDS, false), false)
}

fn power(_: &Options) -> Result<Tally> {
    proofs::kill(&short(POWER_ROUNDS, false), true)
}

fn power_unsynced(_: &Options) -> Result<Tally> {
    proofs::kill(&short(POWER_ROUNDS, true), true)
}

fn faults(_: &Options) -> Result<Tally> {
    proofs::faults(&proofs::FaultsOptions {
        rounds: FAULTS_ROUNDS,
        seed: 1,
        kinds: Vec::new(),
    })
}

fn short(rounds: u32, without_sync: bool) -> proofs::KillOptions {
    proofs::KillOptions {
        rounds,
        seed: 1,
        without_sync,
    }
}

/// Counts of a line `test result: ok. 3 passed; 0 failed; …` of cargo's test runner.
fn result_line(line: &str) -> Tally {
    let Some(rest) = line.strip_prefix("test result: ") else {
        return Tally::default();
    };
    let count = |what: &str| {
        let words: Vec<&str> = rest
            .split([' ', ';', '.'])
            .filter(|word| !word.is_empty())
            .collect();
        let at = words.iter().position(|word| *word == what).unwrap_or(0);
        at.checked_sub(1)
            .and_then(|at| words[at].parse().ok())
            .unwrap_or(0)
    };
    Tally {
        passed: count("passed"),
        failed: count("failed"),
        skipped: count("ignored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_s_result_line_is_counted() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            result_line(line),
            Tally {
                passed: 12,
                failed: 3,
                skipped: 1
            }
        );
        assert_eq!(result_line("running 3 tests"), Tally::default());
    }
}
