//! Standard queues.

use std::time::Duration;

use bytes::Bytes;
use levada_engine::queue::{NewMessage, QueueError};

use crate::support::{Cell, bodies, message, receive};

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_received_with_all_that_it_carries() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    let new = NewMessage {
        group: Some("g".into()),
        headers: vec![("colour".into(), Some(Bytes::from_static(b"red")))],
        ..message("hello")
    };
    let sent = cell.send_message("q", new).await.unwrap();
    let received = cell.receive("q").await;
    let [one] = received.as_slice() else {
        panic!("{received:?}");
    };
    assert_eq!((one.id, one.offset), (sent.id, sent.offset));
    assert_eq!(&one.body[..], b"hello");
    assert_eq!(one.group.as_deref(), Some(&b"g"[..]));
    assert_eq!(one.headers, [("colour".into(), Some("red".into()))]);
    assert_eq!((one.sent_ms, one.receive_count), (sent.sent_ms, 1));
    assert_eq!(one.dead_letter_source, None);
}

#[tokio::test(start_paused = true)]
async fn a_received_message_is_hidden_until_its_time_is_over() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "5000")])
        .await;
    cell.send("q", "a").await;
    let first = cell.receive("q").await;
    assert_eq!(cell.counts("q"), (0, 1, 0));
    cell.pass(4).await;
    assert!(cell.receive("q").await.is_empty());
    cell.pass(2).await;
    assert_eq!(cell.counts("q"), (1, 0, 0));
    let second = cell.receive("q").await;
    assert_eq!(bodies(&second), ["a"]);
    assert_eq!(second[0].receive_count, 2);
    assert_eq!(second[0].first_received_ms, first[0].first_received_ms);
    assert_ne!(second[0].receipt, first[0].receipt);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_message_never_comes_back() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    for body in ["a", "b", "c"] {
        cell.send("q", body).await;
    }
    let received = cell.receive("q").await;
    assert_eq!(bodies(&received), ["a", "b", "c"]);
    // Out of order: the floor cannot follow at once.
    cell.acknowledge("q", &received[1]).await.unwrap();
    assert_eq!(cell.counts("q"), (0, 2, 0));
    cell.pass(60).await;
    assert_eq!(cell.bodies("q").await, ["a", "c"]);
    // An old receipt of a standard queue counts, and once is as good as twice.
    cell.acknowledge("q", &received[0]).await.unwrap();
    cell.acknowledge("q", &received[0]).await.unwrap();
    cell.acknowledge("q", &received[2]).await.unwrap();
    cell.pass(60).await;
    assert!(cell.receive("q").await.is_empty());
    assert_eq!(cell.counts("q"), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn acknowledging_frees_the_bytes() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    cell.send("q", &"x".repeat(10_000)).await;
    let topic = levada_engine::TopicRef::Name("q".into());
    assert!(cell.engine.log_sizes(&topic)[0].1 > 10_000);
    let received = cell.receive("q").await;
    cell.acknowledge("q", &received[0]).await.unwrap();
    assert_eq!(cell.engine.log_sizes(&topic), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_comes_after_its_delay() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.delay.ms", "3000")]).await;
    cell.send("q", "by the queue").await;
    let own = NewMessage {
        delay: Some(Duration::from_secs(10)),
        ..message("its own")
    };
    cell.send_message("q", own).await.unwrap();
    let none = NewMessage {
        delay: Some(Duration::ZERO),
        ..message("none")
    };
    cell.send_message("q", none).await.unwrap();
    assert_eq!(cell.counts("q"), (1, 0, 2));
    assert_eq!(cell.bodies("q").await, ["none"]);
    cell.pass(4).await;
    assert_eq!(cell.bodies("q").await, ["by the queue"]);
    cell.pass(7).await;
    assert_eq!(cell.bodies("q").await, ["its own"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_when_a_message_comes_becomes_visible_or_the_time_is_over() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "5000")])
        .await;
    let engine = cell.engine.clone();
    let waiting = tokio::spawn(async move { engine.receive("q", receive(10, 20)).await });
    cell.pass(2).await;
    cell.send("q", "a").await;
    let received = waiting.await.unwrap().unwrap();
    assert_eq!(bodies(&received), ["a"]);

    let before = tokio::time::Instant::now();
    let again = cell.engine.receive("q", receive(10, 20)).await.unwrap();
    assert_eq!(bodies(&again), ["a"]);
    let waited = before.elapsed();
    assert!(
        waited >= Duration::from_secs(4) && waited < Duration::from_secs(6),
        "{waited:?}"
    );

    let engine = cell.engine.clone();
    let waiting = tokio::spawn(async move { engine.receive("q", receive(10, 20)).await });
    cell.pass(1).await;
    cell.hide("q", &again[0], 0).await.unwrap();
    let shown = waiting.await.unwrap().unwrap();
    assert_eq!(shown[0].receive_count, 3);

    cell.acknowledge("q", &shown[0]).await.unwrap();
    let before = tokio::time::Instant::now();
    let none = cell.engine.receive("q", receive(10, 3)).await.unwrap();
    assert!(none.is_empty());
    assert!(before.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn visibility_can_be_changed_while_the_message_is_in_flight_only() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.visibility.timeout.ms", "5000")])
        .await;
    cell.send("q", "a").await;
    let first = cell.receive("q").await;
    cell.hide("q", &first[0], 60).await.unwrap();
    cell.pass(30).await;
    assert!(cell.receive("q").await.is_empty());
    cell.pass(31).await;
    let refused = cell.hide("q", &first[0], 5).await;
    assert_eq!(refused, Err(QueueError::NotInFlight));
    let second = cell.receive("q").await;
    let refused = cell.hide("q", &first[0], 5).await;
    assert_eq!(refused, Err(QueueError::NotInFlight));
    cell.hide("q", &second[0], 5).await.unwrap();
    cell.acknowledge("q", &second[0]).await.unwrap();
    let refused = cell.hide("q", &second[0], 5).await;
    assert_eq!(refused, Err(QueueError::NotInFlight));
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_may_be() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.in.flight.max", "3")]).await;
    for body in ["a", "b", "c", "d"] {
        cell.send("q", body).await;
    }
    let received = cell.receive("q").await;
    assert_eq!(bodies(&received), ["a", "b", "c"]);
    let refused = cell.engine.receive("q", receive(10, 0)).await;
    assert_eq!(refused, Err(QueueError::TooManyInFlight));
    let waited = cell.engine.receive("q", receive(10, 1)).await;
    assert_eq!(waited, Ok(Vec::new()));
    cell.acknowledge("q", &received[0]).await.unwrap();
    assert_eq!(cell.bodies("q").await, ["d"]);
}

#[tokio::test(start_paused = true)]
async fn a_receive_keeps_to_its_bytes_and_gives_at_least_one() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    for letter in ["a", "b", "c"] {
        cell.send("q", &letter.repeat(700)).await;
    }
    let mut small = receive(10, 0);
    small.bytes_max = 1000;
    let first = cell.engine.receive("q", small.clone()).await.unwrap();
    assert_eq!(bodies(&first), ["a".repeat(700)]);
    small.bytes_max = 1;
    let second = cell.engine.receive("q", small).await.unwrap();
    assert_eq!(bodies(&second), ["b".repeat(700)]);
    assert_eq!(second[0].receive_count, 1);
    assert_eq!(cell.bodies("q").await, ["c".repeat(700)]);
}

#[tokio::test(start_paused = true)]
async fn many_receivers_share_the_messages_without_a_double() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    let all: Vec<_> = (0..1000).map(|n| message(&n.to_string())).collect();
    for some in all.chunks(10) {
        for sent in cell.engine.send("q", some.to_vec()).await {
            sent.unwrap();
        }
    }
    let receivers = (0..20).map(|_| {
        let engine = cell.engine.clone();
        tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                let some = engine.receive("q", receive(7, 0)).await.unwrap();
                if some.is_empty() {
                    return got;
                }
                let receipts: Vec<_> = some.iter().map(|one| one.receipt.clone()).collect();
                for result in engine.acknowledge("q", &receipts).await {
                    result.unwrap();
                }
                got.extend(bodies(&some));
            }
        })
    });
    let mut got = Vec::new();
    for receiver in receivers.collect::<Vec<_>>() {
        got.extend(receiver.await.unwrap());
    }
    got.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(got, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(cell.counts("q"), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn purging_drops_everything_once_a_minute() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    cell.send("q", "a").await;
    let received = cell.receive("q").await;
    cell.send("q", "b").await;
    cell.engine.purge_queue("q").await.unwrap();
    assert_eq!(cell.counts("q"), (0, 0, 0));
    cell.acknowledge("q", &received[0]).await.unwrap();
    cell.send("q", "c").await;
    let again = cell.engine.purge_queue("q").await;
    assert_eq!(again, Err(QueueError::PurgeInProgress));
    cell.pass(61).await;
    assert_eq!(cell.bodies("q").await, ["c"]);
    cell.engine.purge_queue("q").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn receipts_are_of_one_queue() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    cell.queue("other", &[]).await;
    cell.send("q", "a").await;
    let received = cell.receive("q").await;
    let refused = cell.acknowledge("other", &received[0]).await;
    assert_eq!(refused, Err(QueueError::InvalidReceipt));
    let gone = cell.engine.receive("nobody", receive(1, 0)).await;
    assert_eq!(gone, Err(QueueError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_older_than_the_retention_is_gone() {
    let cell = Cell::start().await;
    cell.queue("q", &[("retention.ms", "60000")]).await;
    cell.send("q", "old").await;
    cell.pass(61).await;
    cell.send("q", "new").await;
    assert_eq!(cell.bodies("q").await, ["new"]);
    assert_eq!(cell.counts("q"), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_delayed_is_received_at_once_past_any_number_that_is() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.delay.ms", "60000")]).await;
    for _ in 0..100 {
        let some = (0..20).map(|n| message(&n.to_string())).collect();
        for sent in cell.engine.send("q", some).await {
            sent.unwrap();
        }
    }
    let now = NewMessage {
        delay: Some(Duration::ZERO),
        ..message("now")
    };
    // Each with a delay of its own.
    for n in 0..250 {
        let own = (0..20).map(|m| NewMessage {
            delay: Some(Duration::from_secs(100 + (20 * n + m) % 800)),
            ..message("own")
        });
        for sent in cell.engine.send("q", own.collect()).await {
            sent.unwrap();
        }
    }
    cell.send_message("q", now).await.unwrap();
    assert_eq!(cell.counts("q"), (1, 0, 7000));
    assert_eq!(cell.bodies("q").await, ["now"]);
    cell.pass(70).await;
    assert_eq!(cell.counts("q").2, 5000);
    for _ in 0..200 {
        let received = cell.receive("q").await;
        assert_eq!(received.len(), 10);
        let receipts: Vec<_> = received.iter().map(|one| one.receipt.clone()).collect();
        for done in cell.engine.acknowledge("q", &receipts).await {
            done.unwrap();
        }
    }
    assert_eq!(
        cell.counts("q"),
        (1, 0, 5000),
        "the one that nobody deleted"
    );
    cell.pass(1000).await;
    assert_eq!(cell.counts("q"), (5001, 0, 0));
    let mut received = 0;
    loop {
        let some = cell.receive("q").await;
        received += some.len();
        if some.is_empty() {
            break;
        }
    }
    assert_eq!(received, 5001);
}

#[tokio::test(start_paused = true)]
async fn purging_drops_delayed_messages_too() {
    let cell = Cell::start().await;
    cell.queue("q", &[("queue.delay.ms", "60000")]).await;
    cell.send("q", "a").await;
    assert!(cell.receive("q").await.is_empty());
    cell.engine.purge_queue("q").await.unwrap();
    assert_eq!(cell.counts("q"), (0, 0, 0));
    cell.send("q", "b").await;
    cell.pass(61).await;
    assert_eq!(cell.bodies("q").await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_hidden_for_twelve_hours_from_its_receive_on_and_no_longer() {
    let cell = Cell::start().await;
    cell.queue("q", &[]).await;
    cell.send("q", "long work").await;
    let first = cell.receive("q").await;
    cell.hide("q", &first[0], 43_200).await.unwrap();
    cell.pass(10).await;
    let refused = cell.hide("q", &first[0], 43_191).await;
    assert_eq!(refused, Err(QueueError::HiddenTooLong));
    let cell = cell.restart().await;
    let refused = cell.hide("q", &first[0], 43_191).await;
    assert_eq!(refused, Err(QueueError::HiddenTooLong));
    // What was refused changed nothing.
    cell.hide("q", &first[0], 1).await.unwrap();
    cell.pass(2).await;
    let second = cell.receive("q").await;
    assert_eq!(second[0].receive_count, 2);
    cell.hide("q", &second[0], 43_200).await.unwrap();
}
