//! What a partition does when one call comes after another: the sequential specification that
//! stateright's linearizability tester holds a window of a history against.
//!
//! stateright tries the interleavings one by one and does not remember where it has been; two
//! orders of reads that lead to the same state are searched twice, and so without bound. The
//! specification remembers for it: a step into a state that was entered before is refused, since
//! the search came back from there without a result. That is Lowe's addition to the algorithm of
//! Wing and Gong. And it counts its steps: past [`STEPS_MAX`] every step is refused and the window
//! counts as undecided.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use levada_model::Offset;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::history::RecordId;

/// A window's search ends after this many steps (some seconds at most).
const STEPS_MAX: u32 = 100_000;

/// A call of a window. Times are indices of events.
#[derive(Clone, Debug)]
pub struct LogOp {
    pub begin: usize,
    pub end: usize,
    pub kind: Kind,
    /// The call to name.
    pub call: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// Puts records at the end of the log, which is `base`. No records: one that nobody ever read.
    Append {
        base: Offset,
        records: Option<Vec<RecordId>>,
    },
    /// Returns the records, and tells that the log ends at `high`.
    Read {
        records: Vec<(Offset, RecordId)>,
        high: Offset,
    },
}

impl LogOp {
    /// Where the log ends when this call has its effect: what decides its place among the others.
    pub fn log_end(&self) -> Offset {
        match &self.kind {
            Kind::Append { base, records } => {
                base.plus(records.as_ref().map_or(1, Vec::len) as u64)
            }
            Kind::Read { high, .. } => *high,
        }
    }

    pub fn is_read(&self) -> bool {
        matches!(self.kind, Kind::Read { .. })
    }
}

/// What became of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    Contradiction,
    Undecided,
}

/// Whether there is an order of these calls, at most 128, that agrees with real time and with a log
/// that ends at `log_end` before them and holds `log` below that.
pub fn search(ops: &[LogOp], log_end: Offset, log: &Rc<BTreeMap<Offset, RecordId>>) -> Verdict {
    let search = Rc::new(RefCell::new(Search::default()));
    let state = Log {
        ops: ops.to_vec().into(),
        log: Rc::clone(log),
        begin: log_end,
        end: log_end,
        appended: BTreeMap::new(),
        done: 0,
        search: Rc::clone(&search),
    };
    let mut tester = LinearizabilityTester::new(state);
    for (lane, index, is_return) in steps(ops) {
        let told = match is_return {
            false => tester.on_invoke(lane, index).map(drop),
            true => tester.on_return(lane, ()).map(drop),
        };
        told.expect("a lane has one call after another");
    }
    match (tester.is_consistent(), search.borrow().steps < STEPS_MAX) {
        (true, _) => Verdict::Linearizable,
        (false, true) => Verdict::Contradiction,
        (false, false) => Verdict::Undecided,
    }
}

/// Reads come first: they change nothing, so one that fits can be taken at once, and a search that
/// does so hardly ever has to go back.
type Lane = (bool, usize);

/// Invokes and returns in the order of time, dealt out to lanes that have one call after another.
fn steps(ops: &[LogOp]) -> Vec<(Lane, usize, bool)> {
    let invokes = ops
        .iter()
        .enumerate()
        .map(|(index, op)| (op.begin, false, index));
    let returns = ops
        .iter()
        .enumerate()
        .map(|(index, op)| (op.end, true, index));
    let mut times: Vec<_> = invokes.chain(returns).collect();
    // Of calls that meet in one event none is before the other: invokes go first.
    times.sort_unstable();
    let mut open: BTreeMap<Lane, usize> = BTreeMap::new();
    let mut steps = Vec::with_capacity(times.len());
    for (_, is_return, index) in times {
        let lane = if is_return {
            open.iter()
                .find(|(_, op)| **op == index)
                .map(|(lane, _)| *lane)
        } else {
            let kind = !ops[index].is_read();
            (0..)
                .map(|nth| (kind, nth))
                .find(|lane| !open.contains_key(lane))
        };
        let Some(lane) = lane else { continue };
        match is_return {
            true => open.remove(&lane),
            false => open.insert(lane, index),
        };
        steps.push((lane, index, is_return));
    }
    steps
}

#[derive(Debug, Default)]
struct Search {
    steps: u32,
    entered: BTreeSet<u128>,
}

/// A partition in the middle of a search.
#[derive(Clone, Debug)]
struct Log {
    ops: Rc<[LogOp]>,
    /// What is known of the log; it stood there before the window as far as `begin`.
    log: Rc<BTreeMap<Offset, RecordId>>,
    begin: Offset,
    end: Offset,
    appended: BTreeMap<Offset, Vec<RecordId>>,
    /// A bit for each call that has had its effect. It decides the whole state, since each append
    /// says where it stands.
    done: u128,
    search: Rc<RefCell<Search>>,
}

impl Log {
    fn fits(&self, op: &LogOp) -> bool {
        match &op.kind {
            Kind::Append { base, .. } => *base == self.end,
            Kind::Read { records, high } => {
                let holds = |(offset, id): &(Offset, RecordId)| {
                    *offset < self.end && self.at(*offset) == Some(*id)
                };
                *high == self.end && records.iter().all(holds)
            }
        }
    }

    fn at(&self, offset: Offset) -> Option<RecordId> {
        if offset < self.begin {
            return self.log.get(&offset).copied();
        }
        let (base, records) = self.appended.range(..=offset).next_back()?;
        records.get((offset.0 - base.0) as usize).copied()
    }
}

impl SequentialSpec for Log {
    type Op = usize;
    /// What a call returned is part of it, see [`Kind`].
    type Ret = ();

    fn invoke(&mut self, index: &usize) {
        let ops = Rc::clone(&self.ops);
        let Some(op) = ops.get(*index) else { return };
        self.done |= 1 << index;
        self.end = self.end.max(op.log_end());
        if let Kind::Append {
            base,
            records: Some(records),
        } = &op.kind
        {
            self.appended.insert(*base, records.clone());
        }
    }

    fn is_valid_step(&mut self, index: &usize, (): &()) -> bool {
        let mut search = self.search.borrow_mut();
        if search.steps >= STEPS_MAX {
            return false;
        }
        search.steps += 1;
        let fits = self.ops.get(*index).is_some_and(|op| self.fits(op));
        let is_new = fits && search.entered.insert(self.done | 1 << index);
        drop(search);
        if is_new {
            self.invoke(index);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(begin: usize, end: usize, base: i64, records: &[u64]) -> LogOp {
        let records = records.iter().copied().map(RecordId::Written).collect();
        LogOp {
            begin,
            end,
            kind: Kind::Append {
                base: Offset(base),
                records: Some(records),
            },
            call: None,
        }
    }

    fn read(begin: usize, end: usize, records: &[(i64, u64)], high: i64) -> LogOp {
        let records = records
            .iter()
            .map(|(at, id)| (Offset(*at), RecordId::Written(*id)));
        LogOp {
            begin,
            end,
            kind: Kind::Read {
                records: records.collect(),
                high: Offset(high),
            },
            call: None,
        }
    }

    fn verdict(ops: &[LogOp]) -> Verdict {
        search(ops, Offset(0), &Rc::default())
    }

    #[test]
    fn calls_that_overlap_may_come_in_either_order() {
        let write = append(0, 9, 0, &[1]);
        let old = read(1, 2, &[], 0);
        let new = read(3, 4, &[(0, 1)], 1);
        assert_eq!(verdict(&[write.clone(), old, new]), Verdict::Linearizable);
        // The other way round the second read goes back.
        let new = read(1, 2, &[(0, 1)], 1);
        let old = read(3, 4, &[], 0);
        assert_eq!(verdict(&[write, old, new]), Verdict::Contradiction);
    }

    #[test]
    fn a_read_returns_what_was_appended() {
        let write = append(0, 1, 0, &[1, 2]);
        assert_eq!(
            verdict(&[write.clone(), read(2, 3, &[(0, 1), (1, 2)], 2)]),
            Verdict::Linearizable
        );
        let wrong = read(2, 3, &[(0, 2)], 2);
        assert_eq!(verdict(&[write.clone(), wrong]), Verdict::Contradiction);
        let stale = read(2, 3, &[], 0);
        assert_eq!(verdict(&[write, stale]), Verdict::Contradiction);
    }

    #[test]
    fn appends_stand_in_the_order_of_their_offsets() {
        let first = append(0, 1, 0, &[1]);
        assert_eq!(
            verdict(&[first.clone(), append(2, 3, 1, &[2])]),
            Verdict::Linearizable
        );
        assert_eq!(
            verdict(&[first.clone(), append(2, 3, 2, &[2])]),
            Verdict::Contradiction
        );
        let before = append(2, 3, 0, &[2]);
        let after = append(0, 1, 1, &[1]);
        assert_eq!(verdict(&[before, after]), Verdict::Contradiction);
    }

    /// Without the memory of where it has been the search would take as many steps as there are
    /// orders of the reads.
    #[test]
    fn many_reads_at_once_are_decided() {
        let mut ops: Vec<LogOp> = (0..10).map(|_| read(0, 50, &[], 0)).collect();
        ops.push(append(60, 61, 0, &[1]));
        ops.push(read(62, 63, &[], 0));
        assert_eq!(verdict(&ops), Verdict::Contradiction);
    }
}
