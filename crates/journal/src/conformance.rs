//! What every journal promises, run by every implementation. A new one brings a [`Place`] and calls
//! [`conforms`], bare and inside [`Faulty`].

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use levada_env::{
    Env, SeededRandom,
    port::{PortError, Urgency},
};
use levada_model::{Extent, SegmentId};

use crate::{
    Journal, Staged,
    fault::{FaultJournal, JournalFaults},
};

/// Where a journal under test keeps its bytes.
pub trait Place {
    /// Opens a journal, after a crash too.
    fn open(&mut self) -> impl Future<Output = Arc<dyn Journal>>;

    /// The process, its machine or its server stops without notice. False when nothing outlives
    /// that.
    fn crash(&mut self) -> impl Future<Output = bool> {
        async { false }
    }

    /// Changes a stored bit of this extent. False when that cannot be done here.
    fn damage(&mut self, _extent: Extent) -> impl Future<Output = bool> {
        async { false }
    }

    /// Whether a read notices that; if not, it is left to the checksums in what was staged.
    fn checks_reads(&self) -> bool {
        true
    }

    /// Whether several journals may be open on it at once.
    fn is_shared(&self) -> bool {
        false
    }
}

/// Runs every promise against fresh journals in `place`.
///
/// # Panics
/// When one is broken.
pub async fn conforms(place: &mut impl Place) {
    let random = SeededRandom::new(11);
    keeps_what_was_staged(place, &random).await;
    finishes_in_any_order(place, &random).await;
    a_crash_in_flight_takes_nothing_that_was_durable(place, &random).await;
    damage_is_told(place, &random).await;
    journals_that_share_a_place_keep_apart(place, &random).await;
}

type Stored = (Extent, Bytes);

/// Stages a random segment of up to `pieces_max` pieces and gives what was promised.
fn stage(journal: &dyn Journal, random: &SeededRandom, pieces_max: u64) -> (Staged, Bytes) {
    let piece = |_| {
        let mut bytes = vec![0; random.below(5000) as usize];
        levada_env::Random::fill(random, &mut bytes);
        Bytes::from(bytes)
    };
    let pieces: Vec<Bytes> = (0..random.below(pieces_max + 1)).map(piece).collect();
    let urgency = match random.below(5) {
        0 => Urgency::Reserve,
        _ => Urgency::Normal,
    };
    let bytes = Bytes::from(pieces.concat());
    let staged = journal.stage(pieces, urgency).unwrap();
    assert_eq!(staged.extent.length as usize, bytes.len());
    (staged, bytes)
}

async fn keeps_what_was_staged(place: &mut impl Place, random: &SeededRandom) {
    let journal = place.open().await;
    let mut stored = Vec::new();
    let mut tickets = Vec::new();
    for _ in 0..60 {
        let (staged, bytes) = stage(&*journal, random, 3);
        stored.push((staged.extent, bytes));
        tickets.push(staged.ticket);
    }
    // Tickets resolve in whatever order they are awaited.
    while let Some(ticket) = tickets.pop() {
        ticket.await.unwrap();
    }
    reads_back(&*journal, random, &stored).await;
    refuses_what_is_not_there(&*journal, &stored).await;
    lists(&*journal, &stored).await;
    drop(journal);
    if !place.crash().await {
        return;
    }
    let journal = place.open().await;
    reads_back(&*journal, random, &stored).await;
    lists(&*journal, &stored).await;
    deletes(&*journal, &stored).await;
}

async fn reads_back(journal: &dyn Journal, random: &SeededRandom, stored: &[Stored]) {
    for (extent, bytes) in stored {
        assert_eq!(journal.read(*extent).await.unwrap(), *bytes);
        let from = random.below(bytes.len() as u64 + 1);
        let length = random.below(bytes.len() as u64 - from + 1);
        let part = extent.part(from, length as u32);
        let expected = bytes.slice(from as usize..(from + length) as usize);
        assert_eq!(journal.read(part).await.unwrap(), expected);
    }
}

async fn refuses_what_is_not_there(journal: &dyn Journal, stored: &[Stored]) {
    let (known, _) = stored[0];
    let nowhere = [
        Extent {
            segment: SegmentId(u64::MAX),
            position: 0,
            length: 1,
        },
        Extent {
            position: 1 << 40,
            length: 1,
            ..known
        },
        Extent {
            position: u64::MAX,
            length: u32::MAX,
            ..known
        },
    ];
    for extent in nowhere {
        is_corrupt(journal, extent).await;
    }
}

/// The list is in order and knows every stored segment.
async fn lists(journal: &dyn Journal, stored: &[Stored]) {
    let listed = journal.list().await.unwrap();
    let in_order = listed.windows(2).all(|two| two[0].segment < two[1].segment);
    assert!(in_order, "{listed:?}");
    for (extent, _) in stored {
        let found = listed.iter().any(|s| s.segment == extent.segment);
        assert!(found, "{extent:?} is not listed");
    }
}

/// Deleting one segment, twice, leaves the others.
async fn deletes(journal: &dyn Journal, stored: &[Stored]) {
    let listed = journal.list().await.unwrap();
    let Some(oldest) = listed.first().filter(|_| listed.len() > 1) else {
        return;
    };
    journal.delete(oldest.segment).await.unwrap();
    journal.delete(oldest.segment).await.unwrap();
    journal.delete(SegmentId(u64::MAX - 1)).await.unwrap();
    let left = journal.list().await.unwrap();
    assert_eq!(left[..], listed[1..]);
    for (extent, bytes) in stored {
        let read = journal.read(*extent).await;
        match read {
            Err(PortError::Corrupt(_)) if extent.segment == oldest.segment => {}
            read => assert_eq!(read.unwrap(), *bytes),
        }
    }
}

/// A segment can be read as soon as its own ticket says so, whatever became of those around it.
async fn finishes_in_any_order(place: &mut impl Place, random: &SeededRandom) {
    let journal = place.open().await;
    let mut under_way = FuturesUnordered::new();
    for i in 0..80 {
        let (staged, bytes) = stage(&*journal, random, i % 9);
        if i % 7 == 0 {
            // Whoever staged it went away.
            continue;
        }
        under_way.push(async move {
            staged.ticket.await.unwrap();
            (staged.extent, bytes)
        });
    }
    let mut stored = Vec::new();
    while let Some((extent, bytes)) = under_way.next().await {
        assert_eq!(journal.read(extent).await.unwrap(), bytes);
        stored.push((extent, bytes));
    }
    reads_back(&*journal, random, &stored).await;
}

async fn a_crash_in_flight_takes_nothing_that_was_durable(
    place: &mut impl Place,
    random: &SeededRandom,
) {
    for _ in 0..3 {
        let journal = place.open().await;
        let (mut durable, mut open) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            let (staged, bytes) = stage(&*journal, random, 3);
            if random.one_in(3) {
                staged.ticket.await.unwrap();
                durable.push((staged.extent, bytes));
            } else {
                open.push((staged.extent, bytes));
            }
        }
        drop(journal);
        if !place.crash().await {
            return;
        }
        let journal = place.open().await;
        reads_back(&*journal, random, &durable).await;
        lists(&*journal, &durable).await;
        for (extent, bytes) in open.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            match journal.read(*extent).await {
                Ok(read) => assert_eq!(read, *bytes, "{extent:?} holds other bytes"),
                Err(PortError::Corrupt(_)) => {}
                Err(error) => panic!("{extent:?}: {error}"),
            }
        }
        // What comes now takes the place of nothing that is there.
        for _ in 0..20 {
            let (staged, bytes) = stage(&*journal, random, 3);
            staged.ticket.await.unwrap();
            durable.push((staged.extent, bytes));
        }
        reads_back(&*journal, random, &durable).await;
    }
}

async fn is_corrupt(journal: &dyn Journal, extent: Extent) {
    let read = journal.read(extent).await.map(|bytes| bytes.len());
    assert!(
        matches!(read, Err(PortError::Corrupt(_))),
        "{extent:?}: {read:?}"
    );
}

/// A damaged extent is never served, and costs nothing beside it.
async fn damage_is_told(place: &mut impl Place, random: &SeededRandom) {
    let journal = place.open().await;
    let mut stored = Vec::new();
    while stored.len() < 12 {
        let (staged, bytes) = stage(&*journal, random, 6);
        staged.ticket.await.unwrap();
        if !bytes.is_empty() {
            stored.push((staged.extent, bytes));
        }
    }
    let (hit, _) = stored.remove(5);
    if !place.damage(hit).await {
        return;
    }
    if place.checks_reads() {
        is_corrupt(&*journal, hit).await;
    }
    reads_back(&*journal, random, &stored).await;
}

/// Neither overwrites what the other stores, and each reads the other's.
async fn journals_that_share_a_place_keep_apart(place: &mut impl Place, random: &SeededRandom) {
    if !place.is_shared() {
        return;
    }
    let (older, newer) = (place.open().await, place.open().await);
    let (mut of_older, mut of_newer) = (Vec::new(), Vec::new());
    let mut tickets = Vec::new();
    for _ in 0..20 {
        for (journal, stored) in [(&older, &mut of_older), (&newer, &mut of_newer)] {
            let (staged, bytes) = stage(&**journal, random, 3);
            stored.push((staged.extent, bytes));
            tickets.push(staged.ticket);
        }
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    for journal in [&older, &newer] {
        reads_back(&**journal, random, &of_older).await;
        reads_back(&**journal, random, &of_newer).await;
    }
    lists(&*newer, &of_older).await;
    lists(&*newer, &of_newer).await;
    lists(&*older, &of_older).await;
    let listed = older.list().await.unwrap();
    let is_newer = |segment| of_newer.iter().any(|(e, _)| e.segment == segment);
    assert!(
        !listed.iter().any(|stored| is_newer(stored.segment)),
        "the older one was told of what the newer one stages, and would delete it"
    );
}

/// A place inside the fault wrapper. Its faults are off: it must be as good as what it wraps, and
/// delays change nothing.
pub struct Faulty<P> {
    pub env: Env,
    pub delay_max: Duration,
    pub place: P,
}

impl<P: Place> Place for Faulty<P> {
    async fn open(&mut self) -> Arc<dyn Journal> {
        let journal = FaultJournal::new(self.env.clone(), self.place.open().await);
        journal.set_faults(JournalFaults {
            delay_max: self.delay_max,
            ..JournalFaults::default()
        });
        Arc::new(journal)
    }

    fn crash(&mut self) -> impl Future<Output = bool> {
        self.place.crash()
    }

    fn damage(&mut self, extent: Extent) -> impl Future<Output = bool> {
        self.place.damage(extent)
    }

    fn checks_reads(&self) -> bool {
        self.place.checks_reads()
    }

    fn is_shared(&self) -> bool {
        self.place.is_shared()
    }
}

/// Around `inner`, each fault of the wrapper fires, is counted, and does what it says.
///
/// # Panics
/// When one does not.
pub async fn each_fault_fires_and_is_counted(env: Env, inner: Arc<dyn Journal>) {
    let journal = FaultJournal::new(env, inner);
    journal.set_faults(JournalFaults {
        stage_rejected_one_in: 4,
        stage_indeterminate_one_in: 4,
        read_rejected_one_in: 4,
        read_flipped_one_in: 4,
        ..JournalFaults::default()
    });
    let piece = Bytes::from_static(b"some bytes");
    let (mut refused, mut unsure, mut flipped) = (0, 0, 0);
    for _ in 0..200 {
        let Ok(staged) = journal.stage(vec![piece.clone()], Urgency::Normal) else {
            refused += 1;
            continue;
        };
        let outcome = staged.ticket.await;
        unsure += u64::from(matches!(outcome, Err(PortError::Indeterminate(_))));
        // What the port does not know of was done all the same.
        match journal.read(staged.extent).await {
            Ok(read) => flipped += u64::from(read != piece),
            Err(error) => assert!(matches!(error, PortError::Rejected(_)), "{error}"),
        }
    }
    let counts = journal.counts();
    assert!(refused > 20 && unsure > 20 && flipped > 10, "{counts:?}");
    assert_eq!(
        (counts.stage_rejected, counts.stage_indeterminate),
        (refused, unsure)
    );
    assert_eq!(counts.read_flipped, flipped);
}

/// Around `inner`, a crash of the wrapper takes what was not durable and nothing else.
///
/// # Panics
/// When it does not.
pub async fn a_crash_of_the_wrapper_takes_what_was_open(env: Env, inner: Arc<dyn Journal>) {
    let journal = FaultJournal::new(env, inner);
    let piece = || vec![Bytes::from_static(b"x")];
    let safe = journal.stage(piece(), Urgency::Normal).unwrap();
    safe.ticket.await.unwrap();
    let open = journal.stage(piece(), Urgency::Normal).unwrap();
    journal.crash();
    assert!(journal.read(safe.extent).await.is_ok());
    is_corrupt(&journal, open.extent).await;
    let outcome = open.ticket.await;
    assert!(
        matches!(outcome, Err(PortError::Indeterminate(_))),
        "{outcome:?}"
    );
    assert_eq!(journal.counts().lost, 1);
}
