//! Injects the faults of a plan between two steps of the simulation, and ends those that last.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use levada_env::SeededRandom;
use levada_env::fault::{Crash, FaultPlan};
use turmoil::Sim;

use crate::faults::Fault;
use crate::flip;
use crate::history::Note;
use crate::plan::CLIENT_HOSTS;
use crate::world::{Broker, World};

/// What has to be undone when a fault that lasts is over.
#[derive(Clone, Copy, Debug)]
enum Undo {
    Disk,
    Capacity,
    Link(&'static str),
    Loss(&'static str),
    Delay,
}

/// Does to the broker and its surroundings what the plan says.
pub struct Injector {
    world: Arc<World>,
    random: SeededRandom,
    next: Duration,
    lasting: Vec<(Duration, Undo)>,
    disk: FaultPlan,
    /// How the machine goes down once the broker has stopped at a poll or call.
    pending: Option<Crash>,
    /// When the broker starts again.
    start_at: Option<Duration>,
    copy_flipped: bool,
}

impl Injector {
    pub fn new(world: Arc<World>) -> Self {
        let random = SeededRandom::new(world.plan.seed ^ 0xfa17);
        let mut injector = Self {
            world,
            random,
            next: Duration::ZERO,
            lasting: Vec::new(),
            disk: FaultPlan::default(),
            pending: None,
            start_at: None,
            copy_flipped: false,
        };
        injector.next = injector.pause(Duration::from_millis(300));
        injector
    }

    /// Injects what is due, before the step that begins at `now`.
    pub fn inject(&mut self, sim: &mut Sim<'_>, now: Duration) {
        while let Some(index) = self.lasting.iter().position(|(until, _)| *until <= now) {
            let (_, undo) = self.lasting.remove(index);
            self.undo(sim, undo);
        }
        let faults = &self.world.plan.faults;
        if now < self.next || faults.is_empty() {
            return;
        }
        let fault = faults[self.random.below(faults.len() as u64) as usize];
        self.next = now + self.pause(self.world.plan.fault_every);
        self.begin(sim, fault, now);
    }

    /// Keeps the broker's host going: what has ended is crashed, what is down starts again.
    pub fn tend(&mut self, sim: &mut Sim<'_>, now: Duration) {
        if let Some(at) = self.start_at {
            if now >= at {
                self.start_at = None;
                sim.bounce("broker");
            }
            return;
        }
        let (at_poll, at_call) = (self.world.gate().is_closed(), self.world.disk.is_off());
        self.world.tally.add(Fault::CrashAtPoll, u64::from(at_poll));
        self.world.tally.add(Fault::CrashAtCall, u64::from(at_call));
        let how = match self.world.broker() {
            _ if at_poll || at_call => self.pending.take().unwrap_or(Crash::KeepSome),
            Broker::Failed(_) | Broker::Refused(_) | Broker::Stopped => Crash::Kill,
            Broker::Starting | Broker::Up => return,
        };
        self.crash(sim, how, now);
    }

    /// Ends every fault that lasts; nothing new begins unless asked for.
    pub fn heal(&mut self, sim: &mut Sim<'_>) {
        for (_, undo) in std::mem::take(&mut self.lasting) {
            self.undo(sim, undo);
        }
        self.disk = FaultPlan::default();
        self.world.disk.set_plan(self.disk);
        self.world.disk.set_capacity(None);
        if !self.world.disk.is_off() {
            self.world.disk.cut_power_after(u64::MAX);
        }
        self.world.gate().arm(0);
    }

    /// Takes the machine down at once; the broker starts again a little later.
    pub fn crash(&mut self, sim: &mut Sim<'_>, how: Crash, now: Duration) {
        let world = &self.world;
        match world.broker() {
            Broker::Failed(why) => self.note(format!("the log failed: {why}")),
            Broker::Refused(why) => self.note(format!("the start was refused: {why}")),
            _ => {}
        }
        world.gate().close();
        world.recorder.note(Note::Crash);
        world.disk.crash(how);
        // The dying tasks drop their connections in an order that depends on earlier runs in this
        // process: nothing of it may reach the network.
        let hosts = || CLIENT_HOSTS.iter().chain(&["auditor"]);
        hosts().for_each(|host| sim.partition("broker", *host));
        sim.crash("broker");
        hosts().for_each(|host| sim.repair("broker", *host));
        if how == Crash::Kill {
            // The system lives on and closes what the process had open.
            world.network.cut(|| true);
        }
        world.stop_asked.store(false, Relaxed);
        *world.broker.lock() = Broker::Starting;
        self.pending = None;
        self.start_at = Some(now + Duration::from_millis(20 + self.random.below(400)));
    }

    fn note(&self, what: String) {
        self.world.recorder.note(Note::Fault { what });
    }

    fn pause(&self, mean: Duration) -> Duration {
        let most = 2 * mean.as_millis() as u64;
        Duration::from_millis(1 + self.random.below(most))
    }

    fn begin(&mut self, sim: &mut Sim<'_>, fault: Fault, now: Duration) {
        match fault {
            Fault::Kill | Fault::PowerLoss | Fault::TornPowerLoss => {
                let how = match fault {
                    Fault::Kill => Crash::Kill,
                    Fault::PowerLoss => Crash::LoseUnsynced,
                    _ => Crash::KeepSome,
                };
                if self.start_at.is_none() {
                    self.world.fault(fault, fault.text().to_owned());
                    self.crash(sim, how, now);
                }
            }
            Fault::CrashAtPoll | Fault::CrashAtCall | Fault::CleanStop => self.arm(fault),
            Fault::FlippedRecords | Fault::FlippedCopy => self.flip(fault),
            Fault::ClockJump => {
                let size = [500, 5_000, 60_000, 600_000][self.random.below(4) as usize];
                let jump = self.random.below(2 * size) as i64 - size as i64;
                self.world.skew_ms.fetch_add(jump, Relaxed);
                self.world.tally.add(fault, 1);
                self.world.recorder.note(Note::ClockJump { by_ms: jump });
            }
            Fault::Cut => {
                let random = &self.random;
                let cut = self.world.network.cut(|| random.one_in(3));
                if cut > 0 {
                    self.world.fault(fault, format!("{cut} connections cut"));
                    self.world.tally.add(fault, cut - 1);
                }
            }
            _ => self.begin_lasting(sim, fault, now),
        }
    }

    /// Flips a stored bit. What is stored twice is hit once in a run: two hits might meet.
    fn flip(&mut self, fault: Fault) {
        let world = &self.world;
        let flipped = match fault {
            Fault::FlippedCopy if self.copy_flipped => None,
            Fault::FlippedCopy => flip::flip_redundant(&world.disk, &self.random),
            _ => flip::flip_records(&world.disk, &self.random, &world.recorder.history()),
        };
        let Some(flip) = flipped else { return };
        self.copy_flipped |= fault == Fault::FlippedCopy;
        self.world.tally.add(fault, 1);
        self.world.recorder.note(Note::Damage {
            what: flip.what,
            may_cost: Some(flip.may_cost),
        });
    }

    /// Stops the broker at a poll, at a disk call, or in good order.
    fn arm(&mut self, fault: Fault) {
        if self.world.broker() != Broker::Up && fault == Fault::CleanStop {
            return;
        }
        match fault {
            Fault::CrashAtPoll => {
                let polls = 1 + self.random.below(2_000);
                let how = self.random.below(3) as usize;
                self.pending = Some([Crash::Kill, Crash::LoseUnsynced, Crash::KeepSome][how]);
                self.world.gate().arm(polls);
                self.note(format!("crash at poll {polls} from here"));
            }
            Fault::CrashAtCall => {
                let calls = 1 + self.random.below(40);
                let loses_all = self.random.one_in(4);
                self.pending = Some(match loses_all {
                    true => Crash::LoseUnsynced,
                    false => Crash::KeepSome,
                });
                self.world.disk.cut_power_after(calls);
                self.note(format!("power goes at disk call {calls} from here"));
            }
            _ => {
                self.world.stop_asked.store(true, Relaxed);
                self.world.fault(fault, fault.text().to_owned());
            }
        }
    }

    fn begin_lasting(&mut self, sim: &mut Sim<'_>, fault: Fault, now: Duration) {
        let host = CLIENT_HOSTS[self.random.below(CLIENT_HOSTS.len() as u64) as usize];
        let rare = 5 + self.random.below(100);
        let undo = match fault {
            Fault::ShortRead => {
                self.disk.short_read_one_in = 3;
                Undo::Disk
            }
            Fault::ReadError => {
                self.disk.read_error_one_in = rare;
                Undo::Disk
            }
            Fault::WriteError => {
                self.disk.write_error_one_in = rare;
                Undo::Disk
            }
            Fault::SyncError => {
                self.disk.sync_error_one_in = rare;
                Undo::Disk
            }
            Fault::SlowDisk => {
                self.disk.slow_one_in = 2;
                self.disk.slow_ms_max = [3, 50, 700][(rare % 3) as usize];
                Undo::Disk
            }
            Fault::FullDisk => {
                let room = self.random.below(64) << 12;
                let used = self.world.disk.used_bytes();
                self.world.disk.set_capacity(Some(used + room));
                Undo::Capacity
            }
            Fault::Partition => {
                sim.partition("broker", host);
                Undo::Link(host)
            }
            Fault::OneWay => {
                match rare % 2 {
                    0 => sim.partition_oneway("broker", host),
                    _ => sim.partition_oneway(host, "broker"),
                }
                Undo::Link(host)
            }
            Fault::Loss => {
                sim.set_link_fail_rate("broker", host, 0.05);
                Undo::Loss(host)
            }
            _ => {
                sim.set_max_message_latency(Duration::from_millis(300));
                Undo::Delay
            }
        };
        let lasts = Duration::from_millis(100 + self.random.below(2_000));
        self.world.disk.set_plan(self.disk);
        self.lasting.push((now + lasts, undo));
        let what = format!("{} for {} ms ({host})", fault.text(), lasts.as_millis());
        match undo {
            // The disk counts those that fire.
            Undo::Disk | Undo::Capacity => self.note(what),
            _ => self.world.fault(fault, what),
        }
    }

    fn undo(&mut self, sim: &mut Sim<'_>, undo: Undo) {
        match undo {
            Undo::Disk => {
                self.disk = FaultPlan::default();
                self.world.disk.set_plan(self.disk);
            }
            Undo::Capacity => self.world.disk.set_capacity(None),
            Undo::Link(host) => sim.repair("broker", host),
            Undo::Loss(host) => {
                sim.set_link_fail_rate("broker", host, 0.0);
                sim.repair("broker", host);
            }
            Undo::Delay => sim.set_max_message_latency(self.world.plan.latency_max),
        }
    }
}
