//! What happens to the broker, and when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::load::Random;
use crate::load::ledger::Ledger;
use crate::load::server::Server;
use crate::mount::SmallDisk;
use crate::proxy::Proxy;

/// Most pauses are short; some outlast the session timeout (6 s) of the groups' members.
const PAUSE_MS: std::ops::Range<u64> = 100..1500;
const LONG_PAUSE_MS: std::ops::Range<u64> = 6500..8000;
/// How long the disk is full, and what is left then: less than one group of the log.
const FULL_MS: std::ops::Range<u64> = 1000..4000;
const LEFT_BYTES: u64 = 1 << 20;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill,
    Pause,
    LongPause,
    Cut,
    Full,
}

/// Every kind, as often as it comes in twelve.
const DRAW: [Fault; 12] = {
    use Fault::{Cut, Full, Kill, LongPause, Pause};
    [
        Kill, Pause, Cut, Full, LongPause, Kill, Kill, Kill, Pause, Cut, Cut, Full,
    ]
};

impl Fault {
    /// Each kind once, then by chance; without kills when the process is to live on.
    pub fn choose(number: usize, random: &mut Random, lives_on: bool) -> Fault {
        loop {
            let drawn = random.within(0..DRAW.len() as u64) as usize;
            let fault = DRAW[if number < 5 { number } else { drawn }];
            if !lives_on || fault != Fault::Kill {
                return fault;
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9 and restart",
            Fault::Pause => "SIGSTOP, short",
            Fault::LongPause => "SIGSTOP, longer than sessions",
            Fault::Cut => "every connection cut",
            Fault::Full => "disk full",
        }
    }
}

/// What faults act on.
pub struct Stage<'a> {
    pub server: &'a Mutex<Server>,
    pub proxy: &'a Proxy,
    pub disk: &'a SmallDisk,
    pub random: Random,
    pub fired: BTreeMap<&'static str, u64>,
    pub lives: u64,
}

/// A lock that a panic elsewhere does not spoil.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage<'_> {
    pub fn is_running(&self) -> bool {
        lock(self.server).is_running()
    }

    /// Lets it happen, and returns when it is over.
    pub fn strike(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kill => {
                let mut server = lock(self.server);
                server.kill()?;
                server.start()?;
                self.lives += 1;
            }
            Fault::Pause => self.pause(PAUSE_MS)?,
            Fault::LongPause => self.pause(LONG_PAUSE_MS)?,
            Fault::Cut => {
                self.proxy.cut();
            }
            Fault::Full => {
                self.disk.fill(LEFT_BYTES)?;
                thread::sleep(Duration::from_millis(self.random.within(FULL_MS)));
                self.disk.release()?;
            }
        }
        *self.fired.entry(fault.name()).or_default() += 1;
        Ok(())
    }

    fn pause(&mut self, ms: std::ops::Range<u64>) -> Result<()> {
        lock(self.server).pause()?;
        thread::sleep(Duration::from_millis(self.random.within(ms)));
        lock(self.server).resume()
    }

    /// A run in which a kind never happened proves nothing about it.
    pub fn require_all(&self, ledger: &Ledger) {
        for fault in DRAW {
            if !self.fired.contains_key(fault.name()) {
                ledger.violation(format!("{} never happened", fault.name()));
            }
        }
    }
}
