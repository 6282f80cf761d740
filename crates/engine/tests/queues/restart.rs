//! What a restart keeps.

use levada_engine::queue::NewMessage;

use crate::support::{Cell, bodies, member, message};

#[tokio::test(start_paused = true)]
async fn what_was_sent_stays_and_what_was_acknowledged_stays_away() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    for body in ["a", "b", "c", "d"] {
        cell.send("q", body).await;
    }
    let received = cell.receive("q").await;
    cell.acknowledge("q", &received[1]).await.unwrap();
    cell.acknowledge("q", &received[3]).await.unwrap();
    let cell = cell.restart().await;
    // Leases of a standard queue are gone: that costs a delivery.
    let again = cell.receive("q").await;
    assert_eq!(bodies(&again), ["a", "c"]);
    assert_eq!(again[0].receive_count, 2);
    assert_eq!(again[0].first_received_ms, received[0].first_received_ms);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_from_before_acknowledges_and_changes_visibility() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    cell.send("q", "a").await;
    cell.send("q", "b").await;
    let received = cell.receive("q").await;
    let cell = cell.restart().await;
    cell.acknowledge("q", &received[0]).await.unwrap();
    cell.hide("q", &received[1], 100).await.unwrap();
    assert!(cell.receive("q").await.is_empty());
    assert_eq!(cell.counts("q"), (0, 1, 0));
    cell.pass(101).await;
    assert_eq!(cell.bodies("q").await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_fifo_group_stays_held_over_a_restart() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", &[("queue.fifo", "true")]).await;
    for body in ["a1", "a2"] {
        cell.send_message("q.fifo", member("a", body))
            .await
            .unwrap();
    }
    let received = cell
        .engine
        .receive("q.fifo", crate::support::receive(1, 0))
        .await
        .unwrap();
    let cell = cell.restart().await;
    assert!(cell.receive("q.fifo").await.is_empty());
    cell.acknowledge("q.fifo", &received[0]).await.unwrap();
    assert_eq!(cell.bodies("q.fifo").await, ["a2"]);
}

#[tokio::test(start_paused = true)]
async fn delays_and_digests_stay() {
    let cell = Cell::start().await;
    cell.queue("q.fifo", &[("queue.fifo", "true")]).await;
    cell.queue("q", &[]).await;
    let one = NewMessage {
        deduplication: Some([1; 16]),
        ..member("a", "one")
    };
    cell.send_message("q.fifo", one.clone()).await.unwrap();
    let late = NewMessage {
        delay: Some(std::time::Duration::from_secs(50)),
        ..message("late")
    };
    cell.send_message("q", late).await.unwrap();
    let cell = cell.restart().await;
    cell.send_message("q.fifo", one).await.unwrap();
    assert_eq!(cell.bodies("q.fifo").await, ["one"]);
    assert!(cell.receive("q").await.is_empty());
    assert_eq!(cell.counts("q"), (0, 0, 1));
    cell.pass(51).await;
    assert_eq!(cell.bodies("q").await, ["late"]);
}
