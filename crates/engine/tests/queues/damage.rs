//! Messages whose stored bytes are damaged: told, passed over, and in nobody's way.

use futures_util::future::join_all;
use levada_env::fault::FaultFs;

use crate::support::{Cell, bodies, member, message, receive};
use crate::told::Told;

const SALVAGE: &str = "levada_engine::queue::salvage";

/// Sent at once, so that they lie in one piece of the log, each in a batch of its own.
async fn send_together(cell: &Cell, queue: &str, messages: &[&str]) {
    let sends = messages
        .iter()
        .map(|body| cell.send_message(queue, member(&body[..1], body)));
    for sent in join_all(sends).await {
        sent.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_message_costs_itself_and_is_told_once() {
    let cell = Cell::on_disk(&FaultFs::new(1)).await;
    cell.queue("q", &[]).await;
    send_together(&cell, "q", &["a-first", "b-damaged", "c-third"]).await;
    cell.send("q", "behind").await;
    cell.flip("b-damaged");
    let told = Told::listen(SALVAGE);
    let received = cell.receive("q").await;
    assert_eq!(bodies(&received), ["a-first", "c-third", "behind"]);
    assert_eq!(cell.counts("q"), (0, 3, 0));
    let reads = || cell.engine.metrics().snapshot().journal_reads;
    let before = reads();
    for _ in 0..100 {
        assert!(cell.receive("q").await.is_empty());
    }
    assert_eq!(reads(), before, "nobody reads it again and again");
    for message in &received {
        cell.acknowledge("q", message).await.unwrap();
    }
    cell.send("q", "later").await;
    let long = cell.engine.receive("q", receive(10, 20)).await.unwrap();
    assert_eq!(bodies(&long), ["later"]);
    assert_eq!(told.count(), 1);
    let counts = cell.engine.metrics().snapshot();
    assert_eq!(counts.messages_stepped_over, 1);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_message_that_storage_gives_after_all_comes_within_the_hour() {
    let cell = Cell::on_disk(&FaultFs::new(1)).await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "10000000")])
        .await;
    send_together(&cell, "q", &["a-first", "b-damaged"]).await;
    cell.flip("b-damaged");
    assert_eq!(cell.bodies("q").await, ["a-first"]);
    cell.flip("c-damaged");
    cell.pass(3500).await;
    assert!(cell.receive("q").await.is_empty());
    cell.pass(200).await;
    assert_eq!(cell.bodies("q").await, ["b-damaged"]);
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_goes_on_and_its_groups_keep_their_order() {
    let cell = Cell::on_disk(&FaultFs::new(1)).await;
    cell.queue("q.fifo", &[("queue.fifo", "true")]).await;
    send_together(&cell, "q.fifo", &["a1", "a2-damaged", "a3", "b1"]).await;
    send_together(&cell, "q.fifo", &["c1", "c2-damaged", "c3"]).await;
    cell.flip("a2-damaged");
    let one = || cell.engine.receive("q.fifo", receive(1, 0));
    let first = one().await.unwrap();
    assert_eq!(bodies(&first), ["a1"]);
    assert_eq!(bodies(&one().await.unwrap()), ["b1"]);
    let third = one().await.unwrap();
    assert_eq!(bodies(&third), ["c1"]);
    // This one is known by its group already.
    cell.flip("c2-damaged");
    for message in [&first[0], &third[0]] {
        cell.acknowledge("q.fifo", message).await.unwrap();
    }
    assert_eq!(cell.bodies("q.fifo").await, ["a3", "c3"]);
    assert_eq!(cell.counts("q.fifo"), (0, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_message_that_failed_too_often_does_not_stop_the_others() {
    let cell = Cell::on_disk(&FaultFs::new(1)).await;
    cell.queue("dead", &[]).await;
    let settings = [
        ("queue.dead.letter.topic", "dead"),
        ("queue.attempts.max", "1"),
        ("queue.visibility.timeout.ms", "1000"),
    ];
    cell.queue("q", &settings).await;
    send_together(&cell, "q", &["a-first", "b-damaged"]).await;
    assert_eq!(cell.receive("q").await.len(), 2);
    cell.flip("b-damaged");
    cell.pass(2).await;
    cell.send_message("q", message("alive")).await.unwrap();
    assert_eq!(cell.bodies("q").await, ["alive"]);
    assert_eq!(cell.bodies("dead").await, ["a-first"]);
}
