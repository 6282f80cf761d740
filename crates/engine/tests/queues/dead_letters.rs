//! What fails too often goes to another queue, and stays what it was.

use crate::support::{Cell, bodies, member};

#[tokio::test(start_paused = true)]
async fn a_message_that_was_received_too_often_moves() {
    let cell = Cell::start().await;
    cell.queue("dead", &[]).await;
    let settings = [
        ("queue.dead.letter.topic", "dead"),
        ("queue.attempts.max", "2"),
        ("queue.visibility.timeout.ms", "1000"),
    ];
    cell.queue("q", &settings).await;
    let sent = cell.send("q", "a").await;
    for attempt in 1..=2 {
        let received = cell.receive("q").await;
        assert_eq!(received[0].receive_count, attempt);
        cell.pass(2).await;
    }
    assert!(cell.receive("q").await.is_empty());
    assert_eq!(cell.counts("q"), (0, 0, 0));
    let dead = cell.receive("dead").await;
    assert_eq!(bodies(&dead), ["a"]);
    assert_eq!((dead[0].id, dead[0].sent_ms), (sent.id, sent.sent_ms));
    assert_eq!(dead[0].dead_letter_source.as_deref(), Some("q"));
    assert_eq!(dead[0].receive_count, 1);
    assert_eq!(cell.engine.dead_letter_sources("dead", None, 10), ["q"]);
}

#[tokio::test(start_paused = true)]
async fn a_fifo_group_goes_on_behind_what_moved() {
    let cell = Cell::start().await;
    cell.queue("dead.fifo", &[("queue.fifo", "true")]).await;
    let settings = [
        ("queue.fifo", "true"),
        ("queue.dead.letter.topic", "dead.fifo"),
        ("queue.attempts.max", "1"),
        ("queue.visibility.timeout.ms", "1000"),
    ];
    cell.queue("q.fifo", &settings).await;
    for body in ["bad", "good"] {
        cell.send_message("q.fifo", member("a", body))
            .await
            .unwrap();
    }
    let one = cell
        .engine
        .receive("q.fifo", crate::support::receive(1, 0))
        .await
        .unwrap();
    assert_eq!(bodies(&one), ["bad"]);
    cell.pass(2).await;
    assert_eq!(cell.bodies("q.fifo").await, ["good"]);
    assert_eq!(cell.bodies("dead.fifo").await, ["bad"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_other_queue_a_message_stays() {
    let cell = Cell::start().await;
    let settings = [
        ("queue.dead.letter.topic", "nobody"),
        ("queue.attempts.max", "1"),
        ("queue.visibility.timeout.ms", "1000"),
    ];
    cell.queue("q", &settings).await;
    cell.send("q", "a").await;
    for attempt in 1..=5 {
        let received = cell.receive("q").await;
        assert_eq!(received[0].receive_count, attempt);
        cell.pass(2).await;
    }
}
