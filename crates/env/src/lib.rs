//! The world outside: clock, chance, tasks, threads, files and the network.
//!
//! Everything above this crate takes an [`Env`] and reaches the machine only through it, so that a
//! whole run can be replayed from its seed. Clippy refuses the direct calls everywhere else.
#![allow(clippy::disallowed_methods)] // This is the one place that may make them.

mod background;
pub mod clock;
pub mod fault;
pub mod fs;
mod gate;
pub mod net;
mod pace;
pub mod port;
pub mod random;
mod timers;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use background::Background;
use timers::Timers;
use tracing::Instrument;

pub use clock::{Clock, RealClock, SimulatedClock};
pub use fs::{File, Fs, FsLock, LockResult, OpenMode, RealFs};
pub use gate::Gate;
pub use net::Network;
pub use pace::Pace;
pub use random::{OsRandom, Random, SeededRandom};
pub use timers::Elapsed;

/// A handle on the world. Cloning costs a few reference counts.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    fs: Arc<dyn Fs>,
    /// The machine's own when there is none.
    network: Option<Arc<dyn Network>>,
    gate: Option<Arc<dyn Gate>>,
    timers: Arc<Timers>,
    background: Arc<Background>,
    simulated: bool,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("simulated", &self.simulated)
            .finish_non_exhaustive()
    }
}

impl Env {
    /// The machine's own clock, randomness and files.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(RealClock::new()),
            random: Arc::new(OsRandom),
            fs: Arc::new(RealFs),
            network: None,
            gate: None,
            timers: Arc::default(),
            background: Arc::default(),
            simulated: false,
        }
    }

    /// A world that follows from `seed`: tokio's clock (pause it, or run under turmoil), seeded
    /// randomness, the given files. Work that would leave the thread runs in place.
    #[must_use]
    pub fn simulated(seed: u64, fs: Arc<dyn Fs>) -> Self {
        Self {
            clock: Arc::new(SimulatedClock::new()),
            random: Arc::new(SeededRandom::new(seed)),
            fs,
            network: None,
            gate: None,
            timers: Arc::default(),
            background: Arc::default(),
            simulated: true,
        }
    }

    /// The same world over other files.
    #[must_use]
    pub fn with_fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    /// The same world with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same world with another source of chance.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// The same world on another network.
    #[must_use]
    pub fn with_network(mut self, network: Arc<dyn Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// The same world, whose tasks run only as long as `gate` lets them.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Whether this world is replayed from a seed: then nothing may run on a thread of its own.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// The wall clock in milliseconds since the Unix epoch. It may jump; never measure with it.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Time since this world was made. It never goes back; it stands still or jumps where tokio's
    /// clock does (paused time, turmoil).
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Completes after `d`. Must be awaited inside a tokio runtime.
    pub async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }

    /// Runs `f` for at most `d`.
    ///
    /// # Errors
    /// [`Elapsed`] when `f` did not complete in time; `f` is dropped.
    pub async fn timeout<F: Future>(&self, d: Duration, f: F) -> Result<F::Output, Elapsed> {
        self.timers.timeout(d, f).await
    }

    /// Starts a task on the current tokio runtime. `name` marks what it logs.
    pub fn spawn<F>(&self, name: &'static str, f: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = f.instrument(tracing::debug_span!("task", name));
        tokio::spawn(gate::Gated::new(self.gate.clone(), task))
    }

    /// Runs `f`, which may block, off the reactor (in a simulated world in place, after the time that
    /// its disk takes). A panic in `f` goes on in the caller.
    pub async fn blocking<F, R>(&self, f: F) -> R
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if self.simulated {
            self.disk_delay().await;
            return f();
        }
        match tokio::task::spawn_blocking(f).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Cancelled: the runtime is going away and with it this future.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// As [`Env::blocking`], on one of a few threads that the system lets run after all others: for
    /// what takes long and nobody waits for, or only those who can. It must hold no lock that
    /// others wait for.
    pub async fn background<F, R>(&self, f: F) -> R
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if self.simulated {
            self.disk_delay().await;
            return f();
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        self.background.run(Box::new(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            // Whoever has gone away does not need it.
            drop(tell.send(outcome));
        }));
        match told.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // No thread was left to do it: the process is going away.
            Err(_) => std::future::pending().await,
        }
    }

    /// Starts an operating-system thread called `name`.
    ///
    /// # Errors
    /// The system's, when it has no thread to give.
    pub fn thread<F>(&self, name: &str, f: F) -> io::Result<std::thread::JoinHandle<()>>
    where
        F: FnOnce() + Send + 'static,
    {
        std::thread::Builder::new().name(name.to_owned()).spawn(f)
    }

    /// Eight random bytes as a number.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Fills `buf` with random bytes; from the system they are fit for keys.
    pub fn random_bytes(&self, buf: &mut [u8]) {
        self.random.fill(buf);
    }

    /// Waits as long as the next call to a simulated disk takes; not at all on a real one, whose
    /// calls take their time themselves.
    pub async fn disk_delay(&self) {
        let delay = self.fs.delay();
        if !delay.is_zero() {
            self.sleep(delay).await;
        }
    }

    /// What `address` (`host:port`) stands for.
    ///
    /// # Errors
    /// The system's: the name has no address, or this is not `host:port`.
    pub async fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        match &self.network {
            None => Ok(tokio::net::lookup_host(address).await?.collect()),
            Some(network) => network.resolve(address),
        }
    }

    /// Binds `address`; the system keeps up to `backlog` connections waiting for us.
    ///
    /// # Errors
    /// The system's: the address is taken, forbidden, or not ours.
    pub async fn listen(&self, address: SocketAddr, backlog: u32) -> io::Result<net::Listener> {
        match &self.network {
            None => net::Listener::bind(address, backlog),
            Some(network) => Ok(net::Listener::simulated(network.listen(address).await?)),
        }
    }

    /// Connects to `address` (`host:port`).
    ///
    /// # Errors
    /// The system's; `InvalidInput` when the address is not `host:port`.
    pub async fn connect(&self, address: &str) -> io::Result<net::Stream> {
        match &self.network {
            None => net::Stream::connect(address).await,
            Some(network) => Ok(net::Stream::simulated(
                network.connect(address.to_owned()).await?,
            )),
        }
    }

    /// The files.
    #[must_use]
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }
}
