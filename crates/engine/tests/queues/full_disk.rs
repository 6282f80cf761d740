//! A full disk: what was sent can be received, and what is deleted makes room.

use levada_engine::queue::QueueError;
use levada_env::fault::FaultFs;

use crate::support::{Cell, bodies, member, receive};

/// A queue of messages of two kilobytes until the disk takes no more; how many there are.
async fn fill(cell: &Cell, queue: &str) -> usize {
    // The receipts' key is made with the first of them.
    cell.send(queue, "first").await;
    let first = cell.receive(queue).await;
    cell.acknowledge(queue, &first[0]).await.unwrap();
    for number in 0.. {
        let new = member(&number.to_string(), &"x".repeat(2000));
        match cell.send_message(queue, new).await {
            Ok(_) => {}
            Err(QueueError::Storage(_)) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the disk has an end")
}

/// More than the reserve has blocks.
const RECEIVES: usize = 300;

#[tokio::test(start_paused = true)]
async fn receiving_leaves_the_room_that_deletes_need() {
    let fs = FaultFs::new(1);
    fs.set_capacity(Some(4 << 20));
    let cell = Cell::on_disk(&fs).await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "0")])
        .await;
    let sent = fill(&cell, "q").await;
    assert!(sent > 500, "{sent}");
    for _ in 0..RECEIVES {
        assert_eq!(cell.receive("q").await.len(), 10);
        // What nobody waits for gets its turn, and no time passes in which room is made.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    let mut deleted = 0;
    loop {
        let mut some = receive(10, 0);
        some.visibility = Some(std::time::Duration::from_secs(600));
        let received = cell.engine.receive("q", some).await.unwrap();
        if received.is_empty() {
            break;
        }
        let receipts: Vec<_> = received.iter().map(|one| one.receipt.clone()).collect();
        for done in cell.engine.acknowledge("q", &receipts).await {
            assert_eq!(done, Ok(()), "{deleted} of {sent} are deleted");
        }
        deleted += received.len();
        // What is done is given back now and then.
        cell.pass(10).await;
    }
    assert_eq!(deleted, sent);
    cell.pass(120).await;
    cell.send("q", "there is room again").await;
    assert_eq!(cell.bodies("q").await, ["there is room again"]);
}

#[tokio::test(start_paused = true)]
async fn fifo_receivers_stop_before_they_take_the_room_that_deletes_need() {
    let fs = FaultFs::new(2);
    fs.set_capacity(Some(4 << 20));
    let cell = Cell::on_disk(&fs).await;
    let settings = [
        ("queue.fifo", "true"),
        ("queue.visibility.timeout.ms", "600000"),
    ];
    cell.queue("q.fifo", &settings).await;
    fill(&cell, "q.fifo").await;
    let held = cell.receive("q.fifo").await;
    assert_eq!(held.len(), 10);
    let mut refused = 0;
    for _ in 0..RECEIVES {
        let mut shown = receive(1, 0);
        shown.visibility = Some(std::time::Duration::ZERO);
        match cell.engine.receive("q.fifo", shown).await {
            Ok(received) => assert_eq!(received.len(), 1),
            Err(QueueError::Storage(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "the room for them has an end");
    for message in &held {
        cell.acknowledge("q.fifo", message).await.unwrap();
    }
    // What was refused to a receiver is not lost to the next.
    cell.pass(120).await;
    let next = cell.receive("q.fifo").await;
    assert_eq!(next.len(), 10);
    assert_ne!(bodies(&next), bodies(&held[..1]));
}

#[tokio::test(start_paused = true)]
async fn room_that_is_freed_becomes_the_next_reserve_before_anybody_else_gets_it() {
    let fs = FaultFs::new(1);
    fs.set_capacity(Some(4 << 20));
    let cell = Cell::on_disk(&fs).await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "0")])
        .await;
    fill(&cell, "q").await;
    // A snapshot frees a little now and then, and receivers would use it up.
    let mut received = Vec::new();
    for _ in 0..120 {
        received = cell.receive("q").await;
        cell.pass(1).await;
    }
    cell.acknowledge("q", &received[0]).await.unwrap();
}
