//! Fair queues: who has much in flight does not delay the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use levada_engine::queue::Message;
use levada_env::{Clock, SimulatedClock};

use crate::support::{Cell, bodies, member, message, receive};

/// A backlog of one tenant.
async fn backlog(cell: &Cell, tenant: &str, messages: usize) {
    for _ in 0..messages / 100 {
        let some = (0..100).map(|_| member(tenant, tenant)).collect();
        for sent in cell.engine.send("q", some).await {
            sent.unwrap();
        }
    }
}

async fn receive_many(cell: &Cell, messages: usize) -> Vec<Message> {
    let mut received = Vec::new();
    while received.len() < messages {
        received.extend(cell.receive("q").await);
    }
    received
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_a_backlog_does_not_delay_another_ones_message() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    backlog(&cell, "loud", 10_000).await;
    cell.send_message("q", member("quiet", "quiet"))
        .await
        .unwrap();
    assert!(!bodies(&receive_many(&cell, 30).await).contains(&"quiet".to_owned()));
    let next = receive_many(&cell, 20).await;
    assert!(bodies(&next).contains(&"quiet".to_owned()));
    // One that comes now, with or without a group, is received at once.
    for new in [member("third", "third"), message("alone")] {
        cell.send_message("q", new.clone()).await.unwrap();
        let received = cell.engine.receive("q", receive(1, 0)).await.unwrap();
        assert_eq!(received[0].body, new.body);
    }
    // Nobody waits for ever, and nothing is lost or given twice.
    let rest = receive_many(&cell, 10_000 - 49).await;
    assert_eq!(rest.len(), 10_000 - 49);
    assert!(cell.receive("q").await.is_empty());
    assert_eq!(cell.counts("q"), (0, 10_003, 0));
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_of_a_noisy_tenant_does_not_delay_others_either() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "60000")])
        .await;
    backlog(&cell, "loud", 400).await;
    receive_many(&cell, 200).await;
    cell.pass(30).await;
    receive_many(&cell, 200).await;
    cell.pass(31).await;
    // 200 have come back, and as many are in flight.
    cell.send_message("q", member("quiet", "quiet"))
        .await
        .unwrap();
    let next = cell.engine.receive("q", receive(1, 0)).await.unwrap();
    assert_eq!(bodies(&next), ["quiet"]);
    let again = receive_many(&cell, 200).await;
    assert!(again.iter().all(|one| one.receive_count == 2));
    for message in again.iter().chain(&next) {
        cell.acknowledge("q", message).await.unwrap();
    }
    cell.pass(61).await;
    let last = receive_many(&cell, 200).await;
    assert!(last.iter().all(|one| one.receive_count == 2));
    for message in &last {
        cell.acknowledge("q", message).await.unwrap();
    }
    assert_eq!(cell.counts("q"), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_groups_nothing_is_read_ahead() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    for _ in 0..10 {
        let some = (0..100).map(|n| message(&n.to_string())).collect();
        for sent in cell.engine.send("q", some).await {
            sent.unwrap();
        }
    }
    let bytes = || cell.engine.metrics().snapshot().bytes_out;
    receive_many(&cell, 200).await;
    let before = bytes();
    receive_many(&cell, 10).await;
    let first = bytes() - before;
    receive_many(&cell, 10).await;
    assert!(bytes() - before <= 2 * first, "each receive reads the same");
}

/// A wall clock that can be set back.
#[derive(Default)]
struct Settable {
    clock: SimulatedClock,
    back_ms: AtomicI64,
}

impl Clock for Settable {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms() - self.back_ms.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_come_back_of_a_noisy_tenant_stays_though_the_clock_steps_back() {
    let clock = Arc::new(Settable::default());
    let cell = Cell::with_clock(clock.clone()).await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "10000")])
        .await;
    backlog(&cell, "loud", 100).await;
    receive_many(&cell, 100).await;
    cell.pass(11).await;
    // All have come back; those that are not given wait for their turn.
    let mut seen: BTreeSet<_> = cell.receive("q").await.iter().map(|one| one.id.0).collect();
    assert_eq!(seen.len(), 10);
    clock.back_ms.store(5_000, Ordering::Relaxed);
    for _ in 0..20 {
        seen.extend(cell.receive("q").await.iter().map(|one| one.id.0));
    }
    clock.back_ms.store(0, Ordering::Relaxed);
    for _ in 0..20 {
        seen.extend(cell.receive("q").await.iter().map(|one| one.id.0));
    }
    assert_eq!(seen.len(), 100);
}
