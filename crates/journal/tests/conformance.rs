//! The conformance suite over the backends that need no server. Those that do run it in
//! `interop/backends`.

use std::{path::Path, sync::Arc, time::Duration};

use levada_env::{
    Env,
    fault::{Crash, FaultFs},
};
use levada_journal::{
    Journal,
    conformance::{
        Faulty, Place, a_crash_of_the_wrapper_takes_what_was_open, conforms,
        each_fault_fires_and_is_counted,
    },
    local::LocalJournal,
    memory::MemoryJournal,
};
use levada_model::Extent;
use levada_wal::{Wal, WalConfig};

struct Memory;

impl Place for Memory {
    async fn open(&mut self) -> Arc<dyn Journal> {
        Arc::new(MemoryJournal::new())
    }
}

struct Local {
    fs: FaultFs,
    crash: Crash,
}

impl Local {
    fn env(&self) -> Env {
        Env::simulated(3, Arc::new(self.fs.clone()))
    }
}

impl Place for Local {
    async fn open(&mut self) -> Arc<dyn Journal> {
        let config = WalConfig {
            file_bytes_max: 64 << 10,
            group_bytes_max: 32 << 10,
            ..WalConfig::default()
        };
        let (wal, _) = Wal::open(&self.env(), Path::new("/wal"), config).unwrap();
        Arc::new(LocalJournal::new(self.env(), wal))
    }

    async fn crash(&mut self) -> bool {
        self.fs.crash(self.crash);
        true
    }

    async fn damage(&mut self, extent: Extent) -> bool {
        let path = format!("/wal/{:020}.log", extent.segment.0);
        let middle = extent.position + u64::from(extent.length) / 2;
        self.fs.flip_bit(Path::new(&path), middle, 3).unwrap();
        true
    }

    fn checks_reads(&self) -> bool {
        false
    }
}

fn world() -> Env {
    Env::simulated(5, Arc::new(FaultFs::new(5)))
}

fn faulty<P>(place: P) -> Faulty<P> {
    Faulty {
        env: world(),
        delay_max: Duration::from_millis(30),
        place,
    }
}

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    conforms(&mut Memory).await;
}

#[tokio::test(start_paused = true)]
async fn local_conforms() {
    for (seed, crash) in [Crash::Kill, Crash::LoseUnsynced, Crash::KeepSome]
        .into_iter()
        .enumerate()
    {
        conforms(&mut Local {
            fs: FaultFs::new(seed as u64),
            crash,
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn fault_without_faults_conforms() {
    conforms(&mut faulty(Memory)).await;
    let crash = Crash::LoseUnsynced;
    let fs = FaultFs::new(9);
    conforms(&mut faulty(Local { fs, crash })).await;
}

#[tokio::test(start_paused = true)]
async fn each_fault_fires() {
    each_fault_fires_and_is_counted(world(), Arc::new(MemoryJournal::new())).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_the_wrapper_forgets() {
    a_crash_of_the_wrapper_takes_what_was_open(world(), Arc::new(MemoryJournal::new())).await;
}
