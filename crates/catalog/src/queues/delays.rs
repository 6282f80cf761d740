//! Messages that cannot be received before a time: runs of neighbours that have the same one.
//!
//! A queue's own delay gives a run for each step of the clock, however many messages come in it;
//! delays of single messages give a run each, so that their number has a limit.

use std::collections::BTreeMap;

use levada_model::Offset;
use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::limits::QUEUE_DELAY_RUNS_MAX;

/// A delay is kept to this part of itself, and to this many milliseconds: it ends that much later
/// at most, never sooner.
const STEP_PART: i64 = 64;
const STEP_MS_MAX: i64 = 1_000;

#[derive(Clone, Copy)]
struct Run {
    /// One past its last message.
    end: i64,
    visible_ms: i64,
}

/// The runs that end at one time.
#[derive(Default)]
struct Due {
    messages: u64,
    /// Where they begin; some may be gone.
    starts: Vec<i64>,
}

/// The delayed messages of one partition.
#[derive(Default)]
pub(super) struct Delays {
    /// By first offset; no two overlap.
    runs: BTreeMap<i64, Run>,
    by_time: BTreeMap<i64, Due>,
}

/// When a message is visible that is sent now.
pub(super) fn visible_ms(now_ms: i64, delay_ms: i64) -> i64 {
    let step = (delay_ms / STEP_PART).clamp(1, STEP_MS_MAX);
    let at = now_ms.saturating_add(delay_ms);
    at.saturating_add((step - at.rem_euclid(step)).rem_euclid(step))
}

impl Delays {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// One more message may be delayed at this time.
    pub fn has_room(&self, now_ms: i64) -> bool {
        let is_due = |(time, _): (&i64, &Due)| *time <= now_ms;
        self.runs.len() < QUEUE_DELAY_RUNS_MAX || self.by_time.first_key_value().is_some_and(is_due)
    }

    /// Delays `from..end`, which lies behind all others.
    pub fn add(&mut self, from: i64, end: i64, visible_ms: i64) {
        let due = self.by_time.entry(visible_ms).or_default();
        due.messages += (end - from).unsigned_abs();
        if let Some(mut last) = self.runs.last_entry()
            && last.get().end == from
            && last.get().visible_ms == visible_ms
        {
            last.get_mut().end = end;
            return;
        }
        due.starts.push(from);
        self.runs.insert(from, Run { end, visible_ms });
    }

    /// If the message is delayed at this time: where the run ends that it is in, and when it is
    /// visible.
    pub fn find(&self, offset: i64, now_ms: i64) -> Option<(Offset, i64)> {
        let (_, run) = self.runs.range(..=offset).next_back()?;
        let holds = run.end > offset && run.visible_ms > now_ms;
        holds.then_some((Offset(run.end), run.visible_ms))
    }

    /// How many messages from `start` on are delayed at this time.
    pub fn count(&self, start: i64, now_ms: i64) -> u64 {
        let later = self.by_time.range(now_ms.saturating_add(1)..);
        let all: u64 = later.map(|(_, due)| due.messages).sum();
        let below = self.runs.range(..start);
        let below = below.filter(|(_, run)| run.visible_ms > now_ms);
        let gone = below.map(|(from, run)| (run.end.min(start) - from).unsigned_abs());
        all.saturating_sub(gone.sum())
    }

    /// Drops what is not delayed any more.
    pub fn forget_due(&mut self, now_ms: i64) {
        while let Some(first) = self.by_time.first_entry()
            && *first.key() <= now_ms
        {
            let (time, due) = first.remove_entry();
            for start in due.starts {
                if self
                    .runs
                    .get(&start)
                    .is_some_and(|run| run.visible_ms == time)
                {
                    self.runs.remove(&start);
                }
            }
        }
    }

    /// Drops what lies below the floor.
    pub fn forget_below(&mut self, floor: i64) {
        while let Some(first) = self.runs.first_entry()
            && *first.key() < floor
        {
            let (from, run) = first.remove_entry();
            let gone = (run.end.min(floor) - from).unsigned_abs();
            let Some(due) = self.by_time.get_mut(&run.visible_ms) else {
                continue;
            };
            due.messages = due.messages.saturating_sub(gone);
            if run.end > floor {
                due.starts.push(floor);
                self.runs.insert(floor, run);
            } else if due.messages == 0 {
                self.by_time.remove(&run.visible_ms);
            }
        }
    }

    /// Writes the runs, offsets as differences from `floor` on.
    pub fn write(&self, out: &mut Encoder, floor: i64) {
        let (mut last, mut time_ms) = (floor, 0);
        out.list(self.runs.iter(), |out, (from, run)| {
            out.varint((from - last) as u64);
            out.varint((run.end - from) as u64);
            out.signed(run.visible_ms.wrapping_sub(time_ms));
            (last, time_ms) = (run.end, run.visible_ms);
        });
    }

    /// Reads what [`Delays::write`] wrote.
    pub fn read(
        input: &mut Decoder<'_>,
        floor: i64,
        step: impl Fn(&mut Decoder<'_>, i64) -> Result<i64, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let (mut last, mut time_ms) = (floor, 0i64);
        let runs = input.list(|input| {
            let from = step(input, last)?;
            let end = step(input, from)?;
            time_ms = time_ms.wrapping_add(input.signed()?);
            last = end;
            match end > from {
                true => Ok((from, end, time_ms)),
                false => Err(DecodeError("a run of delayed messages is empty")),
            }
        })?;
        let mut read = Self::default();
        for (from, end, visible_ms) in runs {
            read.add(from, end, visible_ms);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_ends_a_little_later_and_never_sooner() {
        for now_ms in [0, 1, 999, 1_700_000_000_123] {
            for delay_ms in [1, 40, 1000, 60_000, 900_000] {
                let late = visible_ms(now_ms, delay_ms) - now_ms - delay_ms;
                let most = (delay_ms / STEP_PART).min(STEP_MS_MAX);
                assert!((0..=most).contains(&late), "{delay_ms}: {late}");
            }
        }
    }

    #[test]
    fn messages_of_one_delay_share_their_runs() {
        let mut delays = Delays::default();
        // Ten million in a quarter of an hour, a batch of ten each time.
        for n in 0..1_000_000 {
            let now_ms = n * 900 / 1000;
            delays.add(n * 10, n * 10 + 10, visible_ms(now_ms, 900_000));
        }
        assert!(delays.runs.len() <= 902, "{}", delays.runs.len());
        assert_eq!(delays.count(0, 0), 10_000_000);
        assert_eq!(delays.count(10, 0), 9_999_990);
        delays.forget_due(1_350_000);
        let left = delays.count(0, 1_350_000);
        assert!((4_900_000..5_100_000).contains(&left), "{left}");
        assert_eq!(delays.find(0, 1_350_000), None);
        assert!(delays.find(9_999_999, 1_350_000).is_some());
        delays.forget_below(9_999_995);
        assert_eq!(delays.count(0, 1_350_000), 5);
        delays.forget_due(2_000_000);
        assert!(delays.is_empty() && delays.by_time.is_empty());
    }

    #[test]
    fn delays_of_single_messages_have_a_limit_until_some_are_over() {
        let mut delays = Delays::default();
        for n in 0..QUEUE_DELAY_RUNS_MAX as i64 {
            assert!(delays.has_room(0));
            delays.add(n, n + 1, 1_000 + n % 2);
        }
        assert!(!delays.has_room(999));
        assert!(delays.has_room(1_000));
        delays.forget_due(1_000);
        assert!(delays.has_room(1_000));
        assert_eq!(delays.count(0, 1_000), QUEUE_DELAY_RUNS_MAX as u64 / 2);
    }
}
