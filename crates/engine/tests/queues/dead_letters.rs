//! What fails too often goes to another queue, and stays what it was.

use levada_engine::queue::MoveState;

use crate::support::{Cell, bodies, member, message};

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

/// A queue whose messages have all gone to `dead`.
async fn failed(cell: &Cell, messages: usize) {
    cell.queue("dead", &[]).await;
    let settings = [
        ("queue.dead.letter.topic", "dead"),
        ("queue.attempts.max", "1"),
        ("queue.visibility.timeout.ms", "1000"),
    ];
    cell.queue("q", &settings).await;
    for n in 0..messages {
        cell.send_message("q", message(&n.to_string()))
            .await
            .unwrap();
    }
    while !cell.receive("q").await.is_empty() {}
    cell.pass(2).await;
    while cell.counts("q").0 > 0 {
        assert!(cell.receive("q").await.is_empty());
    }
    assert_eq!(cell.counts("dead").0, messages as u64);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_move_back_to_where_they_failed() {
    let cell = Cell::start().await;
    failed(&cell, 25).await;
    let handle = cell.engine.start_move("dead", None, None).unwrap();
    cell.pass(5).await;
    let tasks = cell.engine.moves("dead", 10);
    assert_eq!(tasks.len(), 1);
    let done = (tasks[0].state, tasks[0].moved, tasks[0].to_move);
    assert_eq!(done, (MoveState::Completed, 25, 25));
    assert_eq!(tasks[0].handle, handle);
    assert_eq!((cell.counts("dead"), cell.counts("q").0), ((0, 0, 0), 25));
    // They fail again as any other would.
    let received = cell.receive("q").await;
    assert_eq!(
        (received[0].receive_count, &received[0].dead_letter_source),
        (1, &None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_move_keeps_to_its_rate_and_can_be_cancelled() {
    let cell = Cell::start().await;
    failed(&cell, 25).await;
    cell.queue("elsewhere", &[]).await;
    let handle = cell
        .engine
        .start_move("dead", Some("elsewhere"), Some(5))
        .unwrap();
    assert!(
        cell.engine.start_move("dead", None, None).is_err(),
        "one at a time"
    );
    cell.pass(2).await;
    let moved = cell.engine.moves("dead", 1)[0].moved;
    assert!((10..=15).contains(&moved), "{moved} moved in two seconds");
    assert_eq!(cell.engine.cancel_move(&handle), Some(moved));
    assert_eq!(cell.engine.cancel_move(&handle), None);
    cell.pass(3).await;
    let task = &cell.engine.moves("dead", 1)[0];
    assert_eq!(task.state, MoveState::Cancelled);
    assert_eq!(cell.counts("elsewhere").0, task.moved);
    assert_eq!(cell.counts("dead").0, 25 - task.moved);
}

#[tokio::test(start_paused = true)]
async fn a_move_without_a_way_home_fails_and_loses_nothing() {
    let cell = Cell::start().await;
    cell.queue("dead", &[]).await;
    cell.send("dead", "sent here by hand").await;
    cell.engine.start_move("dead", None, None).unwrap();
    cell.pass(1).await;
    let task = &cell.engine.moves("dead", 1)[0];
    assert_eq!(task.state, MoveState::Failed);
    assert!(
        task.failure
            .as_deref()
            .is_some_and(|why| why.contains("name a destination"))
    );
    cell.pass(60).await;
    assert_eq!(cell.bodies("dead").await, ["sent here by hand"]);
}
