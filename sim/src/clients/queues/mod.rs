//! Clients of queues, over SQS: workers that send, receive, delete, hide, let leases run out and purge;
//! one that reads the same topics over Kafka; and the auditor's last receives.

mod actions;
mod http;
mod log;

use levada_env::SeededRandom;

use super::link::Link;
use crate::faults::Fault;
use crate::history::{NewMessage, Part};
use crate::plan::Queue;
use actions::Held;
use http::Sqs;

pub use log::follow;

/// Groups of a FIFO queue: few, so that messages of one meet.
const GROUPS: u64 = 3;
/// Attempts of a send to a FIFO queue before it is given up.
const ATTEMPTS_MAX: u32 = 30;
/// Deliveries whose receipts a worker keeps, to use them too late.
const OLD_MAX: usize = 8;

struct Worker {
    sqs: Sqs,
    /// Receipts of deliveries that were left to run out, with their queues.
    old: Vec<(Queue, Held)>,
}

/// Works on the plan's queues until the run is calm.
pub async fn work(link: Link) {
    let mut sqs = Sqs::new(link);
    if make_all(&mut sqs).await.is_none() {
        return;
    }
    let mut worker = Worker {
        sqs,
        old: Vec::new(),
    };
    while !worker.sqs.link.is_ending() {
        worker.sqs.link.rest(120).await;
        let queue = any(&worker.sqs.link);
        match worker.sqs.link.random.below(24) {
            0..9 if queue.dead_letters.is_some() => worker.send(&queue).await,
            9 if queue.dead_letters.is_some() => worker.purge(&queue).await,
            10..13 => worker.use_old().await,
            _ => worker.receive(&queue).await,
        }
    }
}

fn any(link: &Link) -> Queue {
    let queues = &link.world.plan.queues;
    // Those with a dead-letter queue stand behind; they get most.
    let index = match link.random.one_in(5) {
        true => link.random.below(queues.len() as u64),
        false => queues.len() as u64 - 1 - link.random.below(2),
    };
    queues[index as usize].clone()
}

/// Makes every queue. `None`: the run is over.
async fn make_all(sqs: &mut Sqs) -> Option<()> {
    for queue in sqs.link.world.plan.queues.clone() {
        while sqs.create(&queue).await.is_none() {
            if sqs.link.is_ending() {
                return None;
            }
            sqs.link.rest(100).await;
        }
    }
    Some(())
}

impl Worker {
    fn random(&self) -> &SeededRandom {
        &self.sqs.link.random
    }

    fn count(&self, fault: Fault, times: u64) {
        self.sqs.link.world.tally.add(fault, times);
    }

    async fn send(&mut self, queue: &Queue) {
        let count = match self.random().below(3) {
            0 => 2 + self.random().below(9),
            _ => 1,
        };
        let new = |_| NewMessage {
            record: self.sqs.link.recorder().fresh_record(),
            group: queue.is_fifo.then(|| self.random().below(GROUPS)),
            delay_ms: match (queue.is_fifo, self.random().below(4)) {
                (false, 0) => 1_000 * self.random().below(3),
                _ => queue.delay_s * 1_000,
            },
        };
        let messages: Vec<NewMessage> = (0..count).map(new).collect();
        let mut waiting = messages.clone();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                if self.sqs.link.is_ending() && attempt > 10 {
                    return;
                }
                self.count(Fault::MessageRetry, waiting.len() as u64);
                self.sqs.link.rest(150).await;
            }
            let parts = self.sqs.send(queue, &waiting).await;
            // A standard queue would have it twice.
            if !queue.is_fifo {
                return;
            }
            if let Some(parts) = parts {
                let mut parts = parts.into_iter();
                waiting.retain(|_| matches!(parts.next(), Some(Part::Unknown(_))));
            }
            if waiting.is_empty() {
                break;
            }
        }
        if waiting.is_empty() && self.random().one_in(5) {
            self.count(Fault::MessageDuplicate, messages.len() as u64);
            self.sqs.send(queue, &messages).await;
        }
    }

    async fn receive(&mut self, queue: &Queue) {
        let most = 1 + self.random().below(10);
        let visible_s = match self.random().below(8) {
            0 => 0,
            other => 1 + other % 3,
        };
        let wait_s = match self.random().below(5) {
            0 => 0,
            other => other % 2 + 1,
        };
        let received = self.sqs.receive(queue, most, (visible_s, wait_s)).await;
        let received = received.unwrap_or_default();
        if queue.dead_letters.is_none() {
            self.count(Fault::DeadLetter, received.len() as u64);
        }
        // Some work is done before the end is told.
        self.sqs.link.rest(600).await;
        let mut done = Vec::new();
        let mut shown = Vec::new();
        for one in received {
            match self.random().below(10) {
                0..6 => done.push(one),
                6 => shown.push(one),
                _ => {
                    self.count(Fault::Lapse, 1);
                    self.old.push((queue.clone(), one));
                }
            }
        }
        if !shown.is_empty() {
            let visible_s = self.random().below(3);
            self.sqs.hide(queue, &shown, visible_s).await;
            self.old
                .extend(shown.into_iter().map(|one| (queue.clone(), one)));
        }
        if !done.is_empty() {
            self.sqs.delete(queue, &done).await;
        }
        while self.old.len() > OLD_MAX {
            self.old.remove(0);
        }
    }

    /// Uses a receipt of a delivery that may be over.
    async fn use_old(&mut self) {
        if self.old.is_empty() {
            return;
        }
        let index = self.random().below(self.old.len() as u64) as usize;
        let (queue, held) = self.old.remove(index);
        self.count(Fault::OldReceipt, 1);
        match self.random().one_in(2) {
            true => drop(self.sqs.delete(&queue, &[held]).await),
            false => drop(self.sqs.hide(&queue, &[held], 1).await),
        }
    }

    /// Now and then: a purged queue tests little else.
    async fn purge(&mut self, queue: &Queue) {
        if self.random().one_in(4) && self.sqs.purge(queue).await == Some(true) {
            self.count(Fault::Purge, 1);
        }
    }
}

/// Receives and deletes everything that is left.
pub async fn drain(link: Link) {
    let queues = link.world.plan.queues.clone();
    let mut sqs = Sqs::new(link);
    // The calls of a worker that were cut off may have made none.
    for queue in &queues {
        while sqs.create(queue).await.is_none() {
            sqs.link.rest(100).await;
        }
    }
    // Dead-letter queues last: what is received too often goes there.
    for queue in queues.iter().rev() {
        loop {
            let received = sqs.receive(queue, 10, (30, 1)).await.unwrap_or_default();
            if !received.is_empty() {
                sqs.delete(queue, &received).await;
                continue;
            }
            if sqs.count(queue).await == Some([0; 3]) {
                break;
            }
        }
    }
}
