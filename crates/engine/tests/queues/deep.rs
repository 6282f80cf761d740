//! What a receive costs does not depend on how much lies behind it.

use crate::support::{Cell, bodies, message};

const BATCHES: usize = 90;

/// Ten of them fill a block of the log.
fn body(nth: usize) -> String {
    format!("message {nth:0>300}")
}

/// Sends `count` messages in batches of ten and lets their index go to storage.
async fn backlog(cell: &Cell, queue: &str, from: usize, count: usize) {
    for first in (from..from + count).step_by(10) {
        let ten = (first..first + 10).map(|nth| message(&body(nth)));
        for sent in cell.engine.send(queue, ten.collect()).await {
            sent.unwrap();
        }
    }
    cell.pass(5).await;
}

/// Reads of the journal for so many receives of ten, whose messages come in order.
async fn reads(cell: &Cell, queue: &str, from: usize) -> u64 {
    let reads = || cell.engine.metrics().snapshot().journal_reads;
    let before = reads();
    for first in (from..from + 10 * BATCHES).step_by(10) {
        let received = cell.receive(queue).await;
        let expected: Vec<_> = (first..first + 10).map(body).collect();
        assert_eq!(bodies(&received), expected);
        for message in &received {
            cell.acknowledge(queue, message).await.unwrap();
        }
    }
    reads() - before
}

#[tokio::test(start_paused = true)]
async fn a_receive_over_a_deep_backlog_reads_no_more_than_over_a_short_one() {
    let cell = Cell::deep().await;
    for queue in ["short", "deep"] {
        cell.queue(queue, &[]).await;
    }
    backlog(&cell, "short", 0, 5000).await;
    backlog(&cell, "deep", 0, 30_000).await;
    let (short, deep) = (
        reads(&cell, "short", 0).await,
        reads(&cell, "deep", 0).await,
    );
    assert!(
        deep <= short + 2,
        "{deep} reads, and {short} over the short one"
    );
    // Runs of the index, and a few reads of the records for each of the small log files.
    assert!(
        deep <= BATCHES as u64 / 4,
        "{deep} reads for {BATCHES} receives"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_is_not_given_once_it_is_gone() {
    let cell = Cell::deep().await;
    cell.queue("q", &[]).await;
    backlog(&cell, "q", 0, 1000).await;
    reads(&cell, "q", 0).await;
    cell.engine.purge_queue("q").await.unwrap();
    assert!(cell.receive("q").await.is_empty());
    backlog(&cell, "q", 1000, 1000).await;
    reads(&cell, "q", 1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_lease_ended_comes_again_beside_those_read_ahead() {
    let cell = Cell::deep().await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "1000")])
        .await;
    backlog(&cell, "q", 0, 5000).await;
    let first = cell.receive("q").await;
    reads(&cell, "q", 10).await;
    cell.pass(2).await;
    assert_eq!(bodies(&cell.receive("q").await), bodies(&first));
}
