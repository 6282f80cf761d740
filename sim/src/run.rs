//! One run from its seed: chaos, calm, one more restart, and the audit.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use levada_env::fault::Crash;
use turmoil::{Builder, Sim};

use crate::broker;
use crate::clients;
use crate::faults::{Fault, Fired};
use crate::history::check::{Report as Checked, check_all};
use crate::history::{History, Note, What};
use crate::injector::Injector;
use crate::plan::{CLIENT_HOSTS, Plan};
use crate::world::{Broker, Phase, World, set_now};

/// How far time goes in one step of the simulation.
const TICK: Duration = Duration::from_millis(2);
/// How long clients may take to end what they have begun, the broker to come back, the audit to
/// read: beyond it something is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run gave.
pub struct Outcome {
    pub seed: u64,
    pub history: History,
    pub fired: Fired,
    /// Calls that clients made.
    pub operations: u64,
    /// What the checks looked at.
    pub checked: Checked,
    /// What went wrong; empty: nothing.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Everything that must be the same when the seed runs again.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut text = format!("seed {}\n{}", self.seed, self.history);
        for (fault, times) in &self.fired {
            let _ = writeln!(text, "fired {times} {}", fault.text());
        }
        for violation in &self.violations {
            let _ = writeln!(text, "violation {violation}");
        }
        text
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    let world = World::new(Plan::of_seed(seed));
    let mut violations = catch_panics(|| play(&world));
    let history = world.recorder.history();
    let checked = check_all(&history);
    violations.extend(checked.violations.iter().map(ToString::to_string));
    let is_call = |what: &What| matches!(what, What::Invoke { .. });
    let calls = history.events.iter().filter(|event| is_call(&event.what));
    Outcome {
        seed,
        operations: calls.count() as u64,
        checked,
        fired: world.tally.total(&world.disk.counts()),
        history,
        violations,
    }
}

fn play(world: &Arc<World>) -> Result<(), String> {
    let mut sim = build(world);
    let mut injector = Injector::new(world.clone());
    let chaos = world.plan.chaos;
    while sim.elapsed() < chaos {
        let now = sim.elapsed();
        set_now(now);
        injector.inject(&mut sim, now);
        injector.tend(&mut sim, now);
        step(&mut sim)?;
    }
    injector.heal(&mut sim);
    world.set_phase(Phase::Calm);
    let began = sim.elapsed();
    let until = |sim: &mut Sim<'_>,
                 injector: &mut Injector,
                 what: &str,
                 done: &dyn Fn(&World, &mut Sim<'_>) -> bool| {
        let limit = sim.elapsed() + PATIENCE;
        while !done(world, sim) {
            let now = sim.elapsed();
            set_now(now);
            if now > limit {
                return Err(format!(
                    "{what} is stuck: {:?} for {PATIENCE:?}",
                    world.broker()
                ));
            }
            injector.tend(sim, now);
            step(sim)?;
        }
        Ok(())
    };
    let up = |world: &World, _: &mut Sim<'_>| world.broker() == Broker::Up;
    until(&mut sim, &mut injector, "the broker", &up)?;
    until(&mut sim, &mut injector, "a client", &|_, sim| {
        CLIENT_HOSTS.iter().all(|host| !sim.is_host_running(*host))
    })?;
    debug_assert!(sim.elapsed() >= began);
    set_now(sim.elapsed());
    pass_every_lease(world);
    restart(world, &mut sim, &mut injector);
    until(&mut sim, &mut injector, "the last start", &|world, _| {
        world.broker() != Broker::Up
    })?;
    until(&mut sim, &mut injector, "the last start", &up)?;
    world.recorder.note(Note::Audit);
    world.set_phase(Phase::Audit);
    until(&mut sim, &mut injector, "the audit", &|_, sim| {
        !sim.is_host_running("auditor")
    })
}

/// How far a clock that was set back may have put off what waits for it: more than all jumps of a run
/// together.
const EVERY_JUMP_MS: i64 = 12 * 3_600_000;

/// A clock that was set back hides messages for longer than an audit lasts.
fn pass_every_lease(world: &World) {
    if world.plan.faults.contains(&Fault::ClockJump) {
        let by_ms = EVERY_JUMP_MS;
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        world.skew_ms.fetch_add(by_ms, relaxed);
        world.recorder.note(Note::ClockJump { by_ms });
    }
}

fn restart(world: &World, sim: &mut Sim<'_>, injector: &mut Injector) {
    if world.plan.stops_cleanly {
        let stop = std::sync::atomic::Ordering::Relaxed;
        world.stop_asked.store(true, stop);
    } else {
        injector.crash(sim, Crash::LoseUnsynced, sim.elapsed());
    }
}

fn build<'a>(world: &Arc<World>) -> Sim<'a> {
    let mut sim = Builder::new()
        .rng_seed(world.plan.seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(3_600))
        .min_message_latency(Duration::ZERO)
        .max_message_latency(world.plan.latency_max)
        .tcp_capacity(64)
        .build();
    let own = world.clone();
    sim.host("broker", move || broker::run(own.clone()));
    for host in CLIENT_HOSTS {
        sim.client(host, clients::run(world.clone(), host));
    }
    sim.client("auditor", clients::audit(world.clone()));
    sim
}

fn step(sim: &mut Sim<'_>) -> Result<(), String> {
    sim.step().map(|_| ()).map_err(|error| error.to_string())
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Tells the panics of this thread to its run instead of the terminal: tasks swallow theirs.
pub fn hook_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string().replace('\n', " ");
        PANICS.with_borrow_mut(|panics| panics.push(text));
    }));
}

fn catch_panics(work: impl FnOnce() -> Result<(), String>) -> Vec<String> {
    PANICS.take();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    let mut violations = Vec::new();
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(why)) => violations.push(why),
        Err(_) => violations.push("the run itself panicked".to_owned()),
    }
    violations.extend(PANICS.take().into_iter().map(|why| format!("panic: {why}")));
    violations
}
