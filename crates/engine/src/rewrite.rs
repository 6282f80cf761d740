//! Gives space back: what is left alive in nearly dead segments is written again elsewhere. The
//! offsets stay; only the extents change, by a command that is refused where it comes too late.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use levada_catalog::{
    Command, IndexEntry, Reply, State,
    command::{ExtentMove, IndexRun, MoveExtents, ReplaceRuns, SegmentBytes},
};
use levada_env::{
    Pace,
    port::{Ticket, Urgency},
};
use levada_journal::StoredSegment;
use levada_model::{Extent, PartitionId, SegmentId, limits};
use levada_sequencer::Proposal;

use crate::{
    engine::Inner,
    index_run,
    metrics::add,
    walk::{self, Place},
};

/// Bytes that one round reads and writes again, at most: the rest waits for the next round.
const ROUND_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What lies in the segments that are to go.
#[derive(Default)]
struct Stragglers {
    entries: Vec<(PartitionId, IndexEntry)>,
    runs: Vec<(PartitionId, IndexRun)>,
}

/// What was staged for one command.
#[derive(Default)]
struct Again {
    /// On a full disk the reserve pays: more comes back than it gives.
    urgency: Urgency,
    tickets: Vec<Ticket>,
    places: Vec<Extent>,
}

/// Why a straggler stays where it is, for the log.
type Outcome = Result<(), String>;

impl Again {
    fn new(urgency: Urgency) -> Again {
        Again {
            urgency,
            ..Again::default()
        }
    }
}

impl Inner {
    /// One round: nothing while the disk holds at most 1.5 times the live bytes plus the slack. On a
    /// full disk every sparse segment is due, as far as the reserve can pay for it.
    pub async fn rewrite(&self, stored: &[StoredSegment]) {
        let room = self.journal.reclaim_bytes_max();
        let (slack, urgency) = match room {
            u64::MAX => (Some(self.settings.disk_slack_bytes), Urgency::Normal),
            _ => (None, Urgency::Reclaim),
        };
        // Blocks, index runs and commands take their part too.
        let budget = ROUND_BYTES_MAX.min(room / 2);
        let sparse = self
            .sequencer
            .read(|state| choose(state, stored, slack, budget));
        if sparse.is_empty() {
            return;
        }
        tracing::debug!(
            segments = sparse.len(),
            "rewriting what is left of sparse segments"
        );
        let mut place = Some(Place::default());
        let mut pace = Pace::new(&self.env);
        while let Some(from) = place {
            let look = |state: &State| find(state, &from, &sparse);
            let (found, next) = self.sequencer.read(look);
            place = next;
            let mut outcome = self.move_entries(found.entries, urgency).await;
            for (partition, run) in found.runs {
                let again = Again::new(urgency);
                outcome = outcome.and(self.rewrite_run(partition, &run, &sparse, again).await);
            }
            if let Err(why) = outcome {
                tracing::warn!(
                    why,
                    "some records were not rewritten: their segments stay until the next round"
                );
            }
            // Appends and readers go first between two slices.
            pace.rest().await;
            if self.is_closing() {
                return;
            }
        }
    }

    async fn move_entries(
        &self,
        entries: Vec<(PartitionId, IndexEntry)>,
        urgency: Urgency,
    ) -> Outcome {
        let mut outcome = Ok(());
        let mut group = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            bytes += entry.1.extent.length as usize;
            group.push(entry);
            if bytes >= limits::SEGMENT_BYTES_TARGET {
                outcome = outcome.and(self.move_group(std::mem::take(&mut group), urgency).await);
                bytes = 0;
            }
        }
        outcome.and(self.move_group(group, urgency).await)
    }

    async fn move_group(&self, group: Vec<(PartitionId, IndexEntry)>, urgency: Urgency) -> Outcome {
        let mut pieces = Vec::new();
        let mut moves = Vec::new();
        let mut length = 0;
        for (partition, entry) in group {
            // A damaged entry stays where it is; the others do not wait for it.
            let Ok(fetched) = self.entry_bytes(&entry).await else {
                continue;
            };
            pieces.extend(fetched.pieces);
            moves.push((partition, entry, length));
            length += u64::from(entry.extent.length);
        }
        if moves.is_empty() {
            return Ok(());
        }
        let mut again = Again::new(urgency);
        let at = self.stage_again(pieces, &mut again)?;
        let moves = moves
            .into_iter()
            .map(|(partition, entry, offset)| ExtentMove {
                partition,
                base: entry.base,
                from: entry.extent,
                to: at.part(offset, entry.extent.length),
            });
        let moves = moves.collect();
        let command = Command::MoveExtents(MoveExtents { moves });
        self.settle_move(command, again.tickets, &again.places)
            .await
    }

    /// Writes a run anew, with those of its batches that lie in sparse segments.
    async fn rewrite_run(
        &self,
        partition: PartitionId,
        run: &IndexRun,
        sparse: &BTreeSet<SegmentId>,
        mut again: Again,
    ) -> Outcome {
        let command = self.stage_run(partition, run, sparse, &mut again).await;
        match command {
            Ok(Some(command)) => {
                self.settle_move(command, again.tickets, &again.places)
                    .await
            }
            nothing => {
                self.settle_places(&again.places);
                nothing.map(drop)
            }
        }
    }

    /// Stages what `rewrite_run` moves; `None` when that is nothing.
    async fn stage_run(
        &self,
        partition: PartitionId,
        run: &IndexRun,
        sparse: &BTreeSet<SegmentId>,
        again: &mut Again,
    ) -> Result<Option<Command>, String> {
        let mut entries = self
            .run_entries(run, run.first)
            .await
            .map_err(|e| e.to_string())?
            .to_vec();
        for entry in &mut entries {
            if !sparse.contains(&entry.extent.segment) {
                continue;
            }
            // A damaged entry stays where it is; the others do not wait for it.
            if let Ok(fetched) = self.entry_bytes(entry).await {
                entry.extent = self.stage_again(fetched.pieces, again)?;
            }
        }
        if again.places.is_empty() && !sparse.contains(&run.extent.segment) {
            return Ok(None);
        }
        let bytes = Bytes::from(index_run::encode(&entries));
        let extent = self.stage_again(vec![bytes], again)?;
        let mut sums = BTreeMap::<SegmentId, u64>::new();
        for entry in &entries {
            *sums.entry(entry.extent.segment).or_default() += u64::from(entry.extent.length);
        }
        let sums = sums
            .into_iter()
            .map(|(segment, bytes)| SegmentBytes { segment, bytes });
        Ok(Some(Command::ReplaceRuns(ReplaceRuns {
            partition,
            old: vec![run.extent],
            run: IndexRun { extent, ..*run },
            segments: sums.collect(),
        })))
    }

    fn stage_again(&self, pieces: Vec<Bytes>, again: &mut Again) -> Result<Extent, String> {
        let staged = self.stage(pieces, again.urgency, false);
        let (extent, ticket) = staged.map_err(|error| error.to_string())?;
        add(&self.metrics.bytes_rewritten, extent.length.into());
        again.tickets.push(ticket);
        again.places.push(extent);
        Ok(extent)
    }

    fn settle_places(&self, places: &[Extent]) {
        for place in places {
            self.staged.settled(place.segment);
        }
    }

    async fn settle_move(
        &self,
        command: Command,
        tickets: Vec<Ticket>,
        places: &[Extent],
    ) -> Outcome {
        let answer = self.sequencer.submit(Proposal {
            command,
            tickets,
            urgency: Urgency::Reclaim,
        });
        let answer = answer.await;
        self.settle_places(places);
        match answer {
            // A refused move means that retention was faster: nothing is left to move.
            Ok(Reply::Moved(_) | Reply::Index(_)) => Ok(()),
            Ok(other) => unreachable!("a move is answered as such, not by {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The sparsest segments, as many as bring the disk back under its bound (without a slack: all that
/// there are), and no more live bytes than the budget. `stored` leaves out the segment that is being
/// written.
fn choose(
    state: &State,
    stored: &[StoredSegment],
    slack: Option<u64>,
    mut budget: u64,
) -> BTreeSet<SegmentId> {
    let live = |segment| state.segment(segment).map_or(0, |held| held.live_bytes);
    let stored_bytes: u64 = stored.iter().map(|segment| segment.stored_bytes).sum();
    let live_bytes: u64 = stored.iter().map(|segment| live(segment.segment)).sum();
    let mut excess = slack.map_or(u64::MAX, |slack| {
        stored_bytes.saturating_sub(live_bytes + live_bytes / 2 + slack)
    });
    let mut sparse: Vec<_> = stored
        .iter()
        .map(|segment| (live(segment.segment), segment.stored_bytes, segment.segment))
        .filter(|(live, stored, _)| *live > 0 && live * 2 < *stored)
        .collect();
    sparse.sort_unstable_by_key(|(live, stored, _)| live * 1000 / stored.max(&1));
    let mut chosen = BTreeSet::new();
    for (live, stored, segment) in sparse {
        if excess == 0 {
            break;
        }
        if live > budget {
            continue;
        }
        budget -= live;
        excess = excess.saturating_sub(stored - live);
        chosen.insert(segment);
    }
    chosen
}

/// What of a slice of the partitions lies in `sparse`, and where to go on.
fn find(state: &State, from: &Place, sparse: &BTreeSet<SegmentId>) -> (Stragglers, Option<Place>) {
    let mut found = Stragglers::default();
    let next = walk::visit(state, from, |_, id, partition| {
        let tail = partition.entries_from(partition.log_start());
        let tail = tail.filter(|entry| sparse.contains(&entry.extent.segment));
        found.entries.extend(tail.map(|entry| (id, entry)));
        let runs = partition.runs_with_segments().filter(|(run, segments)| {
            let mut held = segments.iter().map(|held| &held.segment);
            sparse.contains(&run.extent.segment) || held.any(|id| sparse.contains(id))
        });
        found.runs.extend(runs.map(|(run, _)| (id, *run)));
    });
    (found, next)
}
