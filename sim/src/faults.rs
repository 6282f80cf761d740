//! The kinds of faults, and how often each has fired.

use std::collections::BTreeMap;

use levada_env::fault::FaultCounts;
use parking_lot::Mutex;

macro_rules! faults {
    ($($name:ident = $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($name,)* }

        impl Fault {
            /// Every kind: a long run in which one never fired has not tested it.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];

            /// In words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }
        }
    };
}

faults! {
    Kill = "process killed",
    PowerLoss = "power lost, unsynced writes gone",
    TornPowerLoss = "power lost, unsynced writes in part",
    CrashAtPoll = "crash at an await",
    CrashAtCall = "power lost at a disk call",
    CleanStop = "stop in good order",
    WriteLost = "unsynced write lost",
    WriteTorn = "unsynced write torn",
    WriteReordered = "unsynced writes reordered",
    NameLost = "unsynced name lost",
    FlippedRecords = "bit flipped in stored records",
    FlippedCopy = "bit flipped in what is stored twice",
    ShortRead = "short read",
    ReadError = "EIO on read",
    WriteError = "EIO on write",
    SyncError = "EIO on sync",
    FullDisk = "ENOSPC",
    SlowDisk = "slow disk call",
    ClockJump = "wall clock jumped",
    Partition = "network partitioned",
    OneWay = "network partitioned one way",
    Loss = "network lossy for a while",
    Delay = "network slow for a while",
    Cut = "connection cut",
    Retry = "request sent again without an answer to the first",
    Duplicate = "acknowledged batch sent again",
    MessageRetry = "message sent again without an answer to the first",
    MessageDuplicate = "acknowledged message sent again",
    Lapse = "lease left to run out",
    OldReceipt = "receipt of an earlier delivery used",
    DeadLetter = "message found in a dead-letter queue",
    Purge = "queue purged",
}

impl Fault {
    /// Those that a run injects at times of its own choice; the others follow from them.
    pub const SCHEDULED: &'static [Fault] = &[
        Fault::Kill,
        Fault::PowerLoss,
        Fault::TornPowerLoss,
        Fault::CrashAtPoll,
        Fault::CrashAtCall,
        Fault::CleanStop,
        Fault::FlippedRecords,
        Fault::FlippedCopy,
        Fault::ShortRead,
        Fault::ReadError,
        Fault::WriteError,
        Fault::SyncError,
        Fault::FullDisk,
        Fault::SlowDisk,
        Fault::ClockJump,
        Fault::Partition,
        Fault::OneWay,
        Fault::Loss,
        Fault::Delay,
        Fault::Cut,
    ];
}

/// Faults that fired, by kind.
pub type Fired = BTreeMap<Fault, u64>;

/// Counts faults of one run.
#[derive(Default)]
pub struct Tally {
    fired: Mutex<Fired>,
}

impl Tally {
    pub fn add(&self, fault: Fault, times: u64) {
        if times > 0 {
            *self.fired.lock().entry(fault).or_default() += times;
        }
    }

    /// Everything, with what the disk has counted itself.
    pub fn total(&self, disk: &FaultCounts) -> Fired {
        let counted = [
            (Fault::WriteLost, disk.writes_lost),
            (Fault::WriteTorn, disk.writes_torn),
            (Fault::WriteReordered, disk.writes_reordered),
            (Fault::NameLost, disk.names_lost),
            (Fault::ShortRead, disk.short_reads),
            (Fault::ReadError, disk.read_errors),
            (Fault::WriteError, disk.write_errors),
            (Fault::SyncError, disk.sync_errors),
            (Fault::FullDisk, disk.full_writes),
            (Fault::SlowDisk, disk.slow_calls),
        ];
        for (fault, times) in counted {
            self.add(fault, times);
        }
        self.fired.lock().clone()
    }
}
