//! Queues: their history looked through once, and the checks of it.
//!
//! What all of them tolerate beside the others: a part of a batch that the broker answered as its own
//! fault may have had its effect. Times are held against the simulation's; from the first jump of the
//! broker's clock on nothing is said of them, nor of what is known for some minutes only.

pub mod attempts;
pub mod done;
pub mod kept;
pub mod log;
pub mod order;
pub mod times;

use std::collections::BTreeMap;

use levada_model::Offset;

use super::calls::{Call, Effect};
use crate::history::*;

/// Every queue of a history by its name.
#[derive(Debug, Default)]
pub struct Queues<'a> {
    pub all: BTreeMap<&'a str, Queue<'a>>,
    /// Events at which the broker's process ended.
    crashes: Vec<usize>,
    /// The first event that says nothing of times any more.
    pub jumped: usize,
}

/// One queue, and what was done to it. Places in time are indices of events.
#[derive(Debug, Default)]
pub struct Queue<'a> {
    pub is_fifo: bool,
    pub dead_letters: Option<(&'a str, u32)>,
    pub sent: BTreeMap<RecordId, Sent>,
    /// In the order in which they were told.
    pub delivered: Vec<Delivered>,
    pub touched: Vec<Touch>,
    pub purges: Vec<Span>,
    /// Receives that may have been given messages that nobody saw.
    pub blind: Vec<usize>,
    pub logs: Vec<Log<'a>>,
}

/// What a fetch over Kafka found.
#[derive(Debug)]
pub struct Log<'a> {
    pub span: Span,
    pub records: &'a [(Offset, RecordId)],
}

/// When something may have happened: its call, from its invocation on; and whether it has.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub call: usize,
    pub invoked: usize,
    /// When it was answered; never without an answer.
    pub answered: usize,
    pub effect: Effect,
}

/// A message by all attempts to send it.
#[derive(Debug)]
pub struct Sent {
    /// The first attempt's.
    pub invoked: usize,
    pub call: usize,
    /// The first acknowledgement's end.
    pub acknowledged: Option<usize>,
    /// Every SequenceNumber that an acknowledgement told, with its call.
    pub sequences: Vec<(i64, usize)>,
    pub group: Option<u64>,
    pub delay_ms: u64,
    /// Every attempt was refused.
    pub is_refused: bool,
}

/// A delivery that a client saw.
#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    pub span: Span,
    /// Which of the answer's messages.
    pub nth: usize,
    pub visible_ms: u64,
    pub what: Delivery,
}

/// A delivery that somebody deleted or hid.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    pub span: Span,
    pub what: Delivery,
    /// None: it was deleted.
    pub visible_ms: Option<u64>,
}

impl<'a> Queues<'a> {
    pub fn new(history: &'a History, calls: &[Call<'a>]) -> Self {
        let notes = history.events.iter().enumerate();
        let notes = notes.filter_map(|(index, event)| match &event.what {
            What::Note(note) => Some((index, note)),
            _ => None,
        });
        let mut queues = Queues {
            jumped: usize::MAX,
            ..Queues::default()
        };
        for (index, note) in notes {
            match note {
                Note::Crash => queues.crashes.push(index),
                Note::ClockJump { .. } => queues.jumped = queues.jumped.min(index),
                _ => {}
            }
        }
        for (index, call) in calls.iter().enumerate() {
            if let Op::Queue { queue, op } = call.op {
                let queue = queues.all.entry(queue.as_str()).or_default();
                queue.take(history, (index, call), op);
            }
        }
        for queue in queues.all.values_mut() {
            queue
                .delivered
                .sort_by_key(|one| (one.span.answered, one.nth));
        }
        queues
    }

    /// Whether the broker's process ended between two events.
    pub fn has_crash(&self, from: usize, until: usize) -> bool {
        let first = self.crashes.partition_point(|at| *at < from);
        self.crashes.get(first).is_some_and(|at| *at < until)
    }

    /// Every queue with its dead-letter queue, if it has one that was used.
    pub fn with_targets(&self) -> impl Iterator<Item = (&'a str, &Queue<'a>, Option<&Queue<'a>>)> {
        self.all.iter().map(|(name, queue)| {
            let target = queue.dead_letters.and_then(|(name, _)| self.all.get(name));
            (*name, queue, target)
        })
    }

    /// The queues whose dead letters go to this one.
    pub fn sources(&self, name: &str) -> impl Iterator<Item = &Queue<'a>> {
        let is_source =
            move |queue: &&Queue<'a>| queue.dead_letters.is_some_and(|(target, _)| target == name);
        self.all.values().filter(is_source)
    }
}

impl<'a> Queue<'a> {
    fn take(&mut self, history: &History, (index, call): (usize, &Call<'a>), op: &'a QueueOp) {
        let answer = match call.answer() {
            Some(Answer::Queue(answer)) => Some(answer),
            _ => None,
        };
        let span = Span {
            call: index,
            invoked: call.invoked,
            answered: call.answered(),
            effect: match answer {
                Some(QueueAnswer::Refused(_)) => Effect::Never,
                _ => call.effect(),
            },
        };
        match op {
            QueueOp::Create {
                is_fifo,
                dead_letters,
                ..
            } => {
                self.is_fifo = *is_fifo;
                self.dead_letters = dead_letters
                    .as_ref()
                    .map(|(name, most)| (name.as_str(), *most));
            }
            QueueOp::Send(messages) => {
                for (nth, message) in messages.iter().enumerate() {
                    self.send(part(span, answer, nth), message);
                }
            }
            QueueOp::Receive {
                visible_ms,
                wait_ms,
                ..
            } => {
                if let Some(QueueAnswer::Received(all)) = answer {
                    let all = all.iter().enumerate().map(|(nth, what)| Delivered {
                        span,
                        nth,
                        visible_ms: *visible_ms,
                        what: *what,
                    });
                    self.delivered.extend(all);
                }
                if is_blind(history, span, answer, *wait_ms) {
                    self.blind.push(call.invoked);
                }
            }
            QueueOp::Delete(deliveries) => self.touch(span, answer, deliveries, None),
            QueueOp::Hide {
                deliveries,
                visible_ms,
            } => self.touch(span, answer, deliveries, Some(*visible_ms)),
            QueueOp::Purge => self.purges.push(span),
            QueueOp::Log { .. } => {
                if let Some(QueueAnswer::Log(records)) = answer {
                    self.logs.push(Log { span, records });
                }
            }
            QueueOp::Count => {}
        }
    }

    fn send(&mut self, (span, sequence): (Span, Option<i64>), message: &NewMessage) {
        let sent = self.sent.entry(message.record).or_insert(Sent {
            invoked: span.invoked,
            call: span.call,
            acknowledged: None,
            sequences: Vec::new(),
            group: message.group,
            delay_ms: message.delay_ms,
            is_refused: true,
        });
        sent.is_refused &= span.effect == Effect::Never;
        if span.effect == Effect::Happened {
            let first = sent.acknowledged.unwrap_or(span.answered);
            sent.acknowledged = Some(first.min(span.answered));
        }
        sent.sequences
            .extend(sequence.map(|sequence| (sequence, span.call)));
    }

    fn touch(
        &mut self,
        span: Span,
        answer: Option<&QueueAnswer>,
        deliveries: &[Delivery],
        visible_ms: Option<u64>,
    ) {
        for (nth, what) in deliveries.iter().enumerate() {
            let (span, _) = part(span, answer, nth);
            self.touched.push(Touch {
                span,
                what: *what,
                visible_ms,
            });
        }
    }

    /// Deletions that may have had their effect.
    pub fn deletions(&self) -> impl Iterator<Item = &Touch> {
        let may = |touch: &&Touch| touch.visible_ms.is_none() && touch.span.effect != Effect::Never;
        self.touched.iter().filter(may)
    }

    /// Whether the message may have been purged by an event.
    pub fn may_be_purged(&self, sent: usize, until: usize) -> bool {
        let mut purges = self.purges.iter();
        purges.any(|purge| {
            let end = match purge.effect {
                Effect::Maybe => usize::MAX,
                _ => purge.answered,
            };
            purge.effect != Effect::Never && sent < end && purge.invoked < until
        })
    }

    /// The deliveries of each message, in the order in which they were told.
    pub fn by_message(&self) -> BTreeMap<MessageKey, Vec<&Delivered>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for one in &self.delivered {
            all.entry(one.what.key).or_default().push(one);
        }
        all
    }

    /// Receives before an event that may have been given messages that nobody saw.
    pub fn blind_before(&self, event: usize) -> u32 {
        self.blind
            .iter()
            .filter(|invoked| **invoked < event)
            .count() as u32
    }
}

/// What became of one message of a call, and the SequenceNumber that it was told.
fn part(span: Span, answer: Option<&QueueAnswer>, nth: usize) -> (Span, Option<i64>) {
    let part = match answer {
        Some(QueueAnswer::Parts(parts)) => parts.get(nth),
        _ => return (span, None),
    };
    let (effect, sequence) = match part {
        Some(Part::Done(sequence)) => (Effect::Happened, *sequence),
        Some(Part::Refused(_)) => (Effect::Never, None),
        _ => (Effect::Maybe, None),
    };
    (Span { effect, ..span }, sequence)
}

/// A receive without an answer may have been given messages. So may one that was answered with none
/// before its time was up: the broker was about to stop, and broke it off.
fn is_blind(history: &History, span: Span, answer: Option<&QueueAnswer>, wait_ms: u64) -> bool {
    match answer {
        Some(QueueAnswer::Received(all)) if all.is_empty() => {
            let took = history.events[span.answered].at_us - history.events[span.invoked].at_us;
            wait_ms == 0 || took < wait_ms * 1000
        }
        Some(_) => false,
        None => true,
    }
}
