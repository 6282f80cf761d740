//! What fails too often goes to another queue, and stays what it was.

use std::time::Duration;

use levada_engine::queue::{MoveState, NewMessage};

use crate::support::{Cell, bodies, member, message, receive};
use crate::told::Told;

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
    let one = cell.engine.receive("q.fifo", receive(1, 0)).await.unwrap();
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
    let handle = cell.engine.start_move("dead", None, None).await.unwrap();
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
        .await
        .unwrap();
    assert!(
        cell.engine.start_move("dead", None, None).await.is_err(),
        "one at a time"
    );
    cell.pass(2).await;
    let moved = cell.engine.moves("dead", 1)[0].moved;
    assert!((10..=15).contains(&moved), "{moved} moved in two seconds");
    assert_eq!(cell.engine.cancel_move(&handle).await, Ok(Some(moved)));
    assert_eq!(cell.engine.cancel_move(&handle).await, Ok(None));
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
    cell.engine.start_move("dead", None, None).await.unwrap();
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

/// Two queues of which the second takes little, and messages that failed once.
async fn too_large_for_its_dead_letters(cell: &Cell, fifo: &str, messages: Vec<NewMessage>) {
    let dead = [
        ("queue.fifo", fifo),
        ("queue.message.bytes.max", "1024"),
        ("queue.visibility.timeout.ms", "600000"),
    ];
    cell.queue("dead.fifo", &dead).await;
    let settings = [
        ("queue.fifo", fifo),
        ("queue.dead.letter.topic", "dead.fifo"),
        ("queue.attempts.max", "1"),
        ("queue.visibility.timeout.ms", "0"),
    ];
    cell.queue("q.fifo", &settings).await;
    for new in messages {
        cell.send_message("q.fifo", new).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_other_queue_does_not_take_is_tried_again_after_a_growing_pause() {
    let cell = Cell::start().await;
    let large = message(&"x".repeat(2000));
    let messages = vec![large, message("small")];
    too_large_for_its_dead_letters(&cell, "false", messages).await;
    assert_eq!(cell.receive("q.fifo").await.len(), 2);
    // Both are visible again at once, and have failed.
    let told = Told::listen("levada_engine::queue::dead_letters");
    for _ in 0..50 {
        assert!(cell.receive("q.fifo").await.is_empty());
    }
    assert_eq!(cell.counts("dead.fifo").0, 1, "the small one has moved");
    for _ in 0..50 {
        cell.pass(5).await;
        assert!(cell.receive("q.fifo").await.is_empty());
    }
    assert_eq!(told.count(), 1, "told once");
    // A long poll waits instead of asking on and on.
    let polled = tokio::time::timeout(
        Duration::from_secs(30),
        cell.engine.receive("q.fifo", receive(10, 20)),
    );
    assert_eq!(polled.await.unwrap(), Ok(Vec::new()));
    // Once the other queue takes it, it moves by itself within the longest pause.
    let wider = vec![("queue.message.bytes.max".into(), Some("4096".into()))];
    cell.engine.alter_queue("dead.fifo", wider).await.unwrap();
    for _ in 0..13 {
        cell.pass(5).await;
        assert!(cell.receive("q.fifo").await.is_empty());
    }
    assert_eq!(cell.counts("q.fifo"), (0, 0, 0));
    assert_eq!(cell.counts("dead.fifo").0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fifo_group_waits_behind_what_cannot_be_moved_and_others_go_on() {
    let cell = Cell::start().await;
    let large = member("a", &"x".repeat(2000));
    let messages = vec![large, member("a", "behind"), member("b", "other")];
    too_large_for_its_dead_letters(&cell, "true", messages).await;
    let first = cell.engine.receive("q.fifo", receive(1, 0)).await.unwrap();
    assert_eq!(first[0].body.len(), 2000);
    assert_eq!(cell.bodies("q.fifo").await, ["other"]);
    for _ in 0..20 {
        cell.pass(7).await;
        cell.receive("q.fifo").await;
        let behind = cell.receive("q.fifo").await;
        assert!(!bodies(&behind).contains(&"behind".to_owned()));
    }
    // Once it may move, it makes way.
    let wider = vec![("queue.message.bytes.max".into(), Some("4096".into()))];
    cell.engine.alter_queue("dead.fifo", wider).await.unwrap();
    cell.pass(61).await;
    assert_eq!(cell.bodies("q.fifo").await, ["behind"]);
}
