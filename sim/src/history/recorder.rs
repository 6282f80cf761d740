//! The handle by which simulated clients write the history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::*;
use super::{History, RecordId};

/// A run that writes more than this is not a short run: the check of its history would take longer
/// than the run.
const EVENTS_MAX: usize = 1 << 20;

/// Appends to one run's history. Clones write to the same one.
///
/// A client calls [`Recorder::invoke`] before its request can reach the broker, and one of `ok`,
/// `refused`, `unknown` after it has the whole answer. A call whose client was dropped stays
/// without a return: it counts as unknown.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Mutex<Shared>>,
    now_us: fn() -> u64,
}

#[derive(Default)]
struct Shared {
    history: History,
    /// The client of each call, and whether it is still open.
    calls: Vec<(ClientId, bool)>,
    records: u64,
}

/// A recorder for tests: its time stands still.
impl Default for Recorder {
    fn default() -> Self {
        Recorder::new(|| 0)
    }
}

impl Recorder {
    /// An empty history, whose events get their time from `now_us`.
    pub fn new(now_us: fn() -> u64) -> Recorder {
        Recorder {
            shared: Arc::default(),
            now_us,
        }
    }

    /// A name for a record that nobody has written yet.
    pub fn fresh_record(&self) -> RecordId {
        let mut shared = self.lock();
        shared.records += 1;
        RecordId::Written(shared.records)
    }

    /// A client is about to send a request.
    pub fn invoke(&self, client: ClientId, op: Op) -> CallId {
        let mut shared = self.lock();
        let call = CallId(shared.calls.len() as u64);
        shared.calls.push((client, true));
        self.push(&mut shared, What::Invoke { call, client, op });
        call
    }

    /// The call succeeded.
    pub fn ok(&self, call: CallId, answer: Answer) {
        self.end(call, Outcome::Ok(answer));
    }

    /// The broker answered the call with an error code.
    pub fn refused(&self, call: CallId, code: i16) {
        self.end(call, Outcome::Refused(code));
    }

    /// The call got no answer; `why` is for the reader of the trace.
    pub fn unknown(&self, call: CallId, why: &str) {
        self.end(call, Outcome::Unknown(why.to_owned()));
    }

    /// Something that is no call.
    pub fn note(&self, note: Note) {
        let mut shared = self.lock();
        self.push(&mut shared, What::Note(note));
    }

    /// What was recorded so far.
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }

    fn end(&self, call: CallId, outcome: Outcome) {
        let mut shared = self.lock();
        let open = shared.calls.get_mut(call.0 as usize);
        let (client, is_open) = open.expect("only invoke makes the number of a call");
        assert!(*is_open, "{call} has returned twice: {outcome}");
        *is_open = false;
        let client = *client;
        let what = What::Return {
            call,
            client,
            outcome,
        };
        self.push(&mut shared, what);
    }

    fn push(&self, shared: &mut Shared, what: What) {
        let events = &mut shared.history.events;
        assert!(
            events.len() < EVENTS_MAX,
            "over {EVENTS_MAX} events in one run: make the workload shorter"
        );
        let at_us = (self.now_us)();
        events.push(Event { at_us, what });
    }

    /// A panic in one client must not hide the history that led to it.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_write_to_one_history() {
        let recorder = Recorder::default();
        let call = recorder.clone().invoke(ClientId(4), Op::ListTopics);
        recorder.refused(call, 7);
        assert_eq!(recorder.clone().history().events.len(), 2);
        assert_ne!(recorder.fresh_record(), recorder.clone().fresh_record());
    }

    #[test]
    #[should_panic(expected = "returned twice")]
    fn a_call_returns_once() {
        let recorder = Recorder::default();
        let call = recorder.invoke(ClientId(4), Op::ListTopics);
        recorder.refused(call, 7);
        recorder.refused(call, 7);
    }
}
