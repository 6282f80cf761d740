//! What every journal promises, run by every implementation. A new one adds a `Place` and its tests
//! at the end, and nothing else.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use levada_env::{
    Env, SeededRandom,
    fault::{Crash, FaultFs},
    port::{PortError, Urgency},
};
use levada_journal::{
    Journal,
    fault::{FaultJournal, JournalFaults},
    local::LocalJournal,
    memory::MemoryJournal,
};
use levada_model::{Extent, SegmentId};
use levada_wal::{Wal, WalConfig};

/// Where a journal under test keeps its bytes.
trait Place {
    fn open(&mut self) -> Arc<dyn Journal>;
    /// Whether durable bytes outlive the process; then `crash` ends it.
    fn crash(&mut self) -> bool {
        false
    }
}

fn body(random: &SeededRandom, bytes_max: u64) -> Vec<Bytes> {
    (0..random.below(4))
        .map(|_| {
            let mut bytes = vec![0; random.below(bytes_max) as usize];
            levada_env::Random::fill(random, &mut bytes);
            Bytes::from(bytes)
        })
        .collect()
}

fn joined(pieces: &[Bytes]) -> Bytes {
    Bytes::from(pieces.concat())
}

/// Runs every promise against a fresh journal in `place`.
async fn conforms(place: &mut dyn Place) {
    let journal = place.open();
    let random = SeededRandom::new(11);
    let mut stored = Vec::new();
    let mut tickets = Vec::new();
    for i in 0..60 {
        let pieces = body(&random, 5000);
        let urgency = if i % 5 == 0 {
            Urgency::Reserve
        } else {
            Urgency::Normal
        };
        let staged = journal.stage(pieces.clone(), urgency).unwrap();
        let bytes = joined(&pieces);
        assert_eq!(staged.extent.length as usize, bytes.len());
        stored.push((staged.extent, bytes));
        tickets.push(staged.ticket);
    }
    // Tickets resolve in whatever order they are awaited.
    while let Some(ticket) = tickets.pop() {
        ticket.await.unwrap();
    }
    reads_back(&*journal, &random, &stored).await;
    refuses_what_is_not_there(&*journal, &stored).await;
    let listed = journal.list().await.unwrap();
    assert!(
        listed
            .windows(2)
            .all(|pair| pair[0].segment < pair[1].segment),
        "{listed:?}"
    );
    for (extent, _) in &stored {
        assert!(
            listed.iter().any(|s| s.segment == extent.segment),
            "{extent:?} is not listed"
        );
    }
    drop(journal);
    let journal = if place.crash() { place.open() } else { return };
    reads_back(&*journal, &random, &stored).await;
    deletes(&*journal, &stored).await;
}

async fn reads_back(journal: &dyn Journal, random: &SeededRandom, stored: &[(Extent, Bytes)]) {
    for (extent, bytes) in stored {
        assert_eq!(journal.read(*extent).await.unwrap(), *bytes);
        let from = random.below(bytes.len() as u64 + 1);
        let length = random.below(bytes.len() as u64 - from + 1);
        let part = extent.part(from, length as u32);
        let expected = bytes.slice(from as usize..(from + length) as usize);
        assert_eq!(journal.read(part).await.unwrap(), expected);
    }
}

async fn refuses_what_is_not_there(journal: &dyn Journal, stored: &[(Extent, Bytes)]) {
    let (known, _) = stored[0];
    let nowhere = [
        Extent {
            segment: SegmentId(u64::MAX),
            position: 0,
            length: 1,
        },
        Extent {
            position: 1 << 40,
            ..known
        },
        Extent {
            position: u64::MAX,
            length: u32::MAX,
            ..known
        },
    ];
    for extent in nowhere {
        let error = journal.read(extent).await.unwrap_err();
        assert!(
            matches!(error, PortError::Corrupt(_)),
            "{extent:?}: {error}"
        );
    }
}

/// Deleting one segment, twice, leaves the others.
async fn deletes(journal: &dyn Journal, stored: &[(Extent, Bytes)]) {
    let listed = journal.list().await.unwrap();
    let Some(oldest) = listed.first().filter(|_| listed.len() > 1) else {
        return;
    };
    journal.delete(oldest.segment).await.unwrap();
    journal.delete(oldest.segment).await.unwrap();
    journal.delete(SegmentId(u64::MAX - 1)).await.unwrap();
    let left = journal.list().await.unwrap();
    assert_eq!(left.len(), listed.len() - 1);
    for (extent, bytes) in stored.iter().filter(|(e, _)| e.segment != oldest.segment) {
        assert_eq!(journal.read(*extent).await.unwrap(), *bytes);
    }
}

struct Memory;

impl Place for Memory {
    fn open(&mut self) -> Arc<dyn Journal> {
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
    fn open(&mut self) -> Arc<dyn Journal> {
        let config = WalConfig {
            file_bytes_max: 64 << 10,
            group_bytes_max: 32 << 10,
            ..WalConfig::default()
        };
        let (wal, _) = Wal::open(&self.env(), Path::new("/wal"), config).unwrap();
        Arc::new(LocalJournal::new(self.env(), wal))
    }

    fn crash(&mut self) -> bool {
        self.fs.crash(self.crash);
        true
    }
}

/// A wrapper whose faults are off must be as good as what it wraps; delays change nothing.
struct Faulty<P>(P);

impl<P: Place> Place for Faulty<P> {
    fn open(&mut self) -> Arc<dyn Journal> {
        let env = Env::simulated(5, Arc::new(FaultFs::new(5)));
        let journal = FaultJournal::new(env, self.0.open());
        journal.set_faults(JournalFaults {
            delay_max: Duration::from_millis(30),
            ..JournalFaults::default()
        });
        Arc::new(journal)
    }

    fn crash(&mut self) -> bool {
        self.0.crash()
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
    conforms(&mut Faulty(Memory)).await;
    let crash = Crash::LoseUnsynced;
    conforms(&mut Faulty(Local {
        fs: FaultFs::new(9),
        crash,
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_fault_fires_and_is_counted() {
    let env = Env::simulated(5, Arc::new(FaultFs::new(5)));
    let journal = FaultJournal::new(env, Arc::new(MemoryJournal::new()));
    let every = JournalFaults {
        stage_rejected_one_in: 4,
        stage_indeterminate_one_in: 4,
        read_rejected_one_in: 4,
        read_flipped_one_in: 4,
        ..JournalFaults::default()
    };
    journal.set_faults(every);
    let piece = Bytes::from_static(b"some bytes");
    let (mut refused, mut unsure, mut flipped) = (0, 0, 0);
    for _ in 0..200 {
        let Ok(staged) = journal.stage(vec![piece.clone()], Urgency::Normal) else {
            refused += 1;
            continue;
        };
        unsure += u64::from(matches!(
            staged.ticket.await,
            Err(PortError::Indeterminate(_))
        ));
        // What the port does not know of was done all the same.
        flipped += u64::from(
            journal
                .read(staged.extent)
                .await
                .is_ok_and(|read| read != piece),
        );
    }
    let counts = journal.counts();
    assert!(refused > 20 && unsure > 20 && flipped > 10, "{counts:?}");
    assert_eq!(
        (counts.stage_rejected, counts.stage_indeterminate),
        (refused, unsure)
    );
    assert_eq!(counts.read_flipped, flipped);
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_the_wrapper_takes_what_was_not_durable() {
    let env = Env::simulated(5, Arc::new(FaultFs::new(5)));
    let journal = FaultJournal::new(env, Arc::new(MemoryJournal::new()));
    let piece = || vec![Bytes::from_static(b"x")];
    let safe = journal.stage(piece(), Urgency::Normal).unwrap();
    safe.ticket.await.unwrap();
    let open = journal.stage(piece(), Urgency::Normal).unwrap();
    journal.crash();
    assert!(journal.read(safe.extent).await.is_ok());
    assert!(matches!(
        journal.read(open.extent).await,
        Err(PortError::Corrupt(_))
    ));
    assert!(matches!(
        open.ticket.await,
        Err(PortError::Indeterminate(_))
    ));
    assert_eq!(journal.counts().lost, 1);
}
