//! Tasks that move messages elsewhere, over restarts.

use std::collections::BTreeMap;

use levada_engine::queue::MoveState;
use levada_env::fault::{Crash, FaultFs};

use crate::support::{Cell, member, receive};

const MESSAGES: usize = 45;

/// Two queues, the first of them with messages.
async fn filled(cell: &Cell, fifo: &str) {
    for name in ["dead.fifo", "home.fifo"] {
        cell.queue(name, &[("queue.fifo", fifo)]).await;
    }
    for n in 0..MESSAGES {
        let message = match fifo {
            "true" => member(&format!("group {}", n % 7), &n.to_string()),
            _ => crate::support::message(&n.to_string()),
        };
        cell.send_message("dead.fifo", message).await.unwrap();
    }
}

/// How often each message is in the queue, as a receiver sees it.
async fn taken(cell: &Cell, queue: &str) -> BTreeMap<usize, usize> {
    let mut taken = BTreeMap::new();
    loop {
        let messages = cell.engine.receive(queue, receive(10, 0)).await.unwrap();
        if messages.is_empty() {
            return taken;
        }
        for message in messages {
            let text = String::from_utf8_lossy(&message.body).into_owned();
            *taken.entry(text.parse().unwrap()).or_default() += 1;
            cell.acknowledge(queue, &message).await.unwrap();
        }
    }
}

async fn ends(cell: &Cell) -> u64 {
    for _ in 0..200 {
        let task = cell.engine.moves("dead.fifo", 1).remove(0);
        match task.state {
            MoveState::Running => cell.pass(1).await,
            MoveState::Completed => return task.moved,
            other => panic!("{other:?}: {:?}", task.failure),
        }
    }
    panic!(
        "it does not end: {:?}, {:?}",
        cell.engine.moves("dead.fifo", 1),
        cell.counts("dead.fifo")
    );
}

/// One life of a process: all that runs in it ends with it, wherever that is.
fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(life)
}

fn crashes_in_the_middle(fifo: &str) {
    let fs = FaultFs::new(3);
    let (handle, before) = live(async {
        let cell = Cell::on_disk(&fs).await;
        filled(&cell, fifo).await;
        let started = cell.engine.start_move("dead.fifo", Some("home.fifo"), None);
        let handle = started.await.unwrap();
        let task = || cell.engine.moves("dead.fifo", 1).remove(0);
        // Within a step of ten: some are on their way, and hidden.
        while task().moved < 13 {
            tokio::task::yield_now().await;
        }
        (handle, task())
    });
    assert!((13..20).contains(&before.moved), "{before:?}");
    fs.crash(Crash::LoseUnsynced);
    live(async {
        let cell = Cell::on_disk(&fs).await;
        let resumed = cell.engine.moves("dead.fifo", 10);
        assert_eq!(resumed.len(), 1);
        let task = (&resumed[0].handle, resumed[0].state);
        assert_eq!(task, (&handle, MoveState::Running));
        assert_eq!(resumed[0].started_ms, before.started_ms);
        // What it last told before the crash may have been its last step.
        assert!(resumed[0].moved + 10 >= before.moved, "{resumed:?}");
        let moved = ends(&cell).await;
        assert_eq!(cell.counts("dead.fifo"), (0, 0, 0));
        let home = taken(&cell, "home.fifo").await;
        assert_eq!(home.len(), MESSAGES, "all have moved");
        let copies: usize = home.values().sum();
        assert!(copies <= MESSAGES + 1, "{copies} copies of {MESSAGES}");
        let is_told = moved + 10 >= MESSAGES as u64 && moved <= copies as u64;
        assert!(is_told, "{moved} told");
    });
}

#[test]
fn a_move_goes_on_after_a_crash() {
    crashes_in_the_middle("false");
}

#[test]
fn a_move_out_of_a_fifo_queue_goes_on_after_a_crash() {
    crashes_in_the_middle("true");
}

#[test]
fn a_cancelled_move_stays_cancelled_and_is_told_after_a_crash() {
    let fs = FaultFs::new(4);
    let moved = live(async {
        let cell = Cell::on_disk(&fs).await;
        filled(&cell, "false").await;
        let started = cell
            .engine
            .start_move("dead.fifo", Some("home.fifo"), Some(1));
        let handle = started.await.unwrap();
        cell.pass(3).await;
        cell.engine.cancel_move(&handle).await.unwrap().unwrap()
    });
    fs.crash(Crash::LoseUnsynced);
    live(async {
        let cell = Cell::on_disk(&fs).await;
        cell.pass(5).await;
        let task = cell.engine.moves("dead.fifo", 1).remove(0);
        assert_eq!(task.state, MoveState::Cancelled);
        assert!(moved >= 2 && task.moved >= moved, "{task:?}");
        assert_eq!(cell.counts("dead.fifo").0 + task.moved, MESSAGES as u64);
        // Another may begin.
        let again = cell.engine.start_move("dead.fifo", Some("home.fifo"), None);
        again.await.unwrap();
        ends(&cell).await;
        assert_eq!(cell.counts("dead.fifo").0, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn a_stop_breaks_a_move_off_and_does_not_end_it() {
    let cell = Cell::start().await;
    filled(&cell, "false").await;
    let started = cell
        .engine
        .start_move("dead.fifo", Some("home.fifo"), Some(10));
    started.await.unwrap();
    cell.pass(2).await;
    cell.engine.shutdown().await;
    let cell = cell.restart().await;
    assert_eq!(ends(&cell).await, MESSAGES as u64);
    let left = cell.engine.receive("dead.fifo", receive(10, 0));
    assert!(left.await.unwrap().is_empty());
    assert_eq!(taken(&cell, "home.fifo").await.len(), MESSAGES);
}
