//! FIFO queues: order within a group, one receiver at a time, no message twice.

use std::time::Duration;

use levada_engine::queue::{NewMessage, QueueError, Receive};

use crate::support::{Cell, bodies, member, receive};

const FIFO: &[(&str, &str)] = &[("queue.fifo", "true")];

async fn send(cell: &Cell, group: &str, body: &str) {
    cell.send_message("q.fifo", member(group, body))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_group_gives_its_messages_in_order_to_one_receiver_at_a_time() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    for (group, body) in [
        ("a", "a1"),
        ("b", "b1"),
        ("a", "a2"),
        ("a", "a3"),
        ("b", "b2"),
    ] {
        send(&cell, group, body).await;
    }
    let one = cell.engine.receive("q.fifo", receive(1, 0)).await.unwrap();
    assert_eq!(bodies(&one), ["a1"]);
    // Group a is held: only b's come.
    let others = cell.receive("q.fifo").await;
    assert_eq!(bodies(&others), ["b1", "b2"]);
    assert!(cell.receive("q.fifo").await.is_empty());
    cell.acknowledge("q.fifo", &one[0]).await.unwrap();
    assert_eq!(cell.bodies("q.fifo").await, ["a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_comes_again_before_what_follows() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    for body in ["a1", "a2", "a3"] {
        send(&cell, "a", body).await;
    }
    let two = cell.engine.receive("q.fifo", receive(2, 0)).await.unwrap();
    assert_eq!(bodies(&two), ["a1", "a2"]);
    cell.acknowledge("q.fifo", &two[1]).await.unwrap();
    assert!(cell.receive("q.fifo").await.is_empty());
    cell.pass(31).await;
    let again = cell.receive("q.fifo").await;
    assert_eq!(bodies(&again), ["a1", "a3"]);
    assert_eq!(again[0].receive_count, 2);
    // The first delivery is over.
    let late = cell.acknowledge("q.fifo", &two[0]).await;
    assert_eq!(late, Err(QueueError::NotInFlight));
    cell.acknowledge("q.fifo", &again[0]).await.unwrap();
    cell.acknowledge("q.fifo", &again[1]).await.unwrap();
    assert_eq!(cell.counts("q.fifo"), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receiver_gets_the_next_of_a_group_as_soon_as_it_may() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    send(&cell, "a", "a1").await;
    send(&cell, "a", "a2").await;
    let one = cell.engine.receive("q.fifo", receive(1, 0)).await.unwrap();
    let engine = cell.engine.clone();
    let waiting = tokio::spawn(async move { engine.receive("q.fifo", receive(1, 20)).await });
    cell.pass(1).await;
    let before = tokio::time::Instant::now();
    cell.acknowledge("q.fifo", &one[0]).await.unwrap();
    assert_eq!(bodies(&waiting.await.unwrap().unwrap()), ["a2"]);
    assert_eq!(before.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_within_five_minutes_is_taken_and_not_delivered() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    let new = |body: &str, id: u8| NewMessage {
        deduplication: Some([id; 16]),
        ..member("a", body)
    };
    let first = cell.send_message("q.fifo", new("one", 1)).await.unwrap();
    cell.pass(200).await;
    let again = cell
        .send_message("q.fifo", new("one again", 1))
        .await
        .unwrap();
    assert_eq!((again.id, again.offset), (first.id, first.offset));
    cell.send_message("q.fifo", new("two", 2)).await.unwrap();
    let received = cell.receive("q.fifo").await;
    assert_eq!(bodies(&received), ["one", "two"]);
    // It is known after it was acknowledged, and for five minutes.
    for message in &received {
        cell.acknowledge("q.fifo", message).await.unwrap();
    }
    cell.send_message("q.fifo", new("one, a third time", 1))
        .await
        .unwrap();
    assert!(cell.receive("q.fifo").await.is_empty());
    cell.pass(101).await;
    cell.send_message("q.fifo", new("one, later", 1))
        .await
        .unwrap();
    assert_eq!(cell.bodies("q.fifo").await, ["one, later"]);
}

#[tokio::test(start_paused = true)]
async fn two_duplicates_in_one_call_are_one() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    let new = NewMessage {
        deduplication: Some([1; 16]),
        ..member("a", "one")
    };
    let sent = cell.engine.send("q.fifo", vec![new.clone(), new]).await;
    assert_eq!(
        sent[0].clone().unwrap().offset,
        sent[1].clone().unwrap().offset
    );
    assert_eq!(cell.bodies("q.fifo").await, ["one"]);
}

#[tokio::test(start_paused = true)]
async fn many_groups_are_worked_on_at_once_each_in_order() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    for n in 0..50 {
        let some = (0..10).map(|g| member(&format!("g{g}"), &format!("{g}:{n:03}")));
        for sent in cell.engine.send("q.fifo", some.collect()).await {
            sent.unwrap();
        }
    }
    let receivers = (0..8).map(|_| {
        let engine = cell.engine.clone();
        tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                let some = engine.receive("q.fifo", receive(3, 1)).await.unwrap();
                if some.is_empty() {
                    return got;
                }
                for one in &some {
                    let at = tokio::time::Instant::now();
                    got.push((at, bodies(std::slice::from_ref(one)).remove(0)));
                    // Others have their turn while this one works.
                    tokio::task::yield_now().await;
                    let receipts = [one.receipt.clone()];
                    engine.acknowledge("q.fifo", &receipts).await[0]
                        .clone()
                        .unwrap();
                }
            }
        })
    });
    let mut got = Vec::new();
    for receiver in receivers.collect::<Vec<_>>() {
        got.extend(receiver.await.unwrap());
    }
    got.sort();
    assert_eq!(got.len(), 500);
    for group in 0..10 {
        let own = got
            .iter()
            .filter(|(_, body)| body.starts_with(&format!("{group}:")));
        let own: Vec<_> = own.map(|(_, body)| body.clone()).collect();
        let wanted: Vec<_> = (0..50).map(|n| format!("{group}:{n:03}")).collect();
        assert_eq!(own, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_attempt_again_gets_the_same_messages_while_it_holds_them() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    for body in ["a1", "a2"] {
        send(&cell, "a", body).await;
    }
    let mut attempt = receive(10, 0);
    attempt.attempt = Some("mine".into());
    let first = cell
        .engine
        .receive("q.fifo", attempt.clone())
        .await
        .unwrap();
    cell.pass(20).await;
    let again = cell
        .engine
        .receive("q.fifo", attempt.clone())
        .await
        .unwrap();
    assert_eq!(again, first);
    // Hidden anew from then on.
    cell.pass(20).await;
    assert!(cell.receive("q.fifo").await.is_empty());
    cell.acknowledge("q.fifo", &again[0]).await.unwrap();
    assert!(
        cell.engine
            .receive("q.fifo", attempt)
            .await
            .unwrap()
            .is_empty()
    );
    cell.acknowledge("q.fifo", &again[1]).await.unwrap();
    assert_eq!(cell.counts("q.fifo"), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_not_given_what_somebody_else_holds_by_now() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    send(&cell, "a", "a1").await;
    let mut attempt = receive(10, 0);
    attempt.attempt = Some("mine".into());
    let mine = cell.engine.receive("q.fifo", attempt.clone()).await;
    assert_eq!(mine.unwrap().len(), 1);
    cell.pass(31).await;
    let theirs = cell.receive("q.fifo").await;
    assert_eq!(theirs[0].receive_count, 2);
    let again = cell.engine.receive("q.fifo", attempt).await.unwrap();
    assert!(again.is_empty());
    cell.acknowledge("q.fifo", &theirs[0]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_delivery_counts_though_the_one_before_is_not_yet_durable() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", FIFO).await;
    send(&cell, "a", "a1").await;
    // Nobody is kept from the message: the second receiver gets it while the first one's delivery
    // is on its way to the log.
    let at_once = || Receive {
        visibility: Some(Duration::ZERO),
        ..receive(1, 0)
    };
    cell.engine.receive("q.fifo", at_once()).await.unwrap();
    let (one, other) = tokio::join!(
        cell.engine.receive("q.fifo", at_once()),
        cell.engine.receive("q.fifo", receive(1, 0)),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one[0].receive_count, other[0].receive_count), (2, 3));
    let late = cell.acknowledge("q.fifo", &one[0]).await;
    assert_eq!(late, Err(QueueError::NotInFlight));
    cell.acknowledge("q.fifo", &other[0]).await.unwrap();
}
