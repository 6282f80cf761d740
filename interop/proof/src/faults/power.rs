//! A device that loses what was not synced. `cargo xtask power` does the same with real clients.

use anyhow::Result;

use super::Bench;
use crate::kill;
use crate::load::Shape;
use crate::load::server::levada;

/// These rounds are quick.
const ROUNDS_FACTOR: u32 = 2;

pub fn run(bench: &mut Bench<'_>) -> Result<()> {
    let rounds = bench.plan.rounds * ROUNDS_FACTOR;
    let outcome = kill::run(&kill::Plan {
        command: levada(&bench.plan.binary, &[]),
        folder: bench.folder.clone(),
        rounds,
        shape: Shape {
            seed: bench.plan.seed,
            ..Shape::default()
        },
        power: true,
        stop_at_violation: false,
    })?;
    bench.outcome.rounds = outcome.rounds;
    bench.outcome.fired = u64::from(outcome.rounds);
    bench.outcome.acknowledged = outcome.acknowledged;
    bench.outcome.commits = outcome.commits;
    bench.outcome.checked = outcome.checked;
    bench.outcome.violations = outcome.violations;
    Ok(())
}
