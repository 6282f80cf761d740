//! Queues: random commands for them, and what always holds.

use levada_catalog::command::{Delivery, QueueCommand, QueuedBatch};
use levada_catalog::queues::{
    MOVES_KEPT_MAX, MOVES_KEPT_MS, MoveState, MoveUpdate, NewMove, ReceiptKey,
};
use levada_catalog::{Command, State, StateSettings};
use levada_model::{Offset, PartitionId};
use proptest::prelude::*;

use crate::driver::{Driver, Op, any_ops, partition};
use crate::support::{START_MS, batch, create};

/// Settings of a new topic: half of them are queues, some of which retain.
pub fn configs(op: Op) -> impl Iterator<Item = (&'static str, &'static str)> {
    let enabled = (op.c % 4 < 2).then_some(("queue.enabled", "true"));
    let retain = (op.c % 8 < 2).then_some(("queue.retain", "true"));
    enabled.into_iter().chain(retain)
}

/// A delay, a digest, or nothing for each batch.
pub fn queued(op: Op, batches: usize) -> Vec<QueuedBatch> {
    let rule = |at: usize| {
        let mixed = op.b.wrapping_mul(3).wrapping_add(at as u16);
        (mixed % 4 < 2).then(|| QueuedBatch {
            batch: at as u32,
            delay_ms: i64::from(mixed % 3) * 40,
            deduplication: mixed.is_multiple_of(5).then_some([(op.a % 7) as u8; 16]),
        })
    };
    (0..batches).filter_map(rule).collect()
}

pub fn command(state: &State, op: Op, now_ms: i64) -> Command {
    let partition = partition(state, op.a);
    let end = state
        .partition(partition)
        .map_or(3, |one| one.high_watermark().0);
    let near = |number: u16| Offset(i64::from(number) % (end + 2) - 1);
    let offsets = [near(op.b), near(op.b.wrapping_add(op.c % 3)), near(op.c)];
    Command::Queue(match op.kind {
        32 | 33 => QueueCommand::Acknowledge {
            partition,
            offsets: offsets.to_vec(),
        },
        34 | 35 => QueueCommand::Deliver {
            partition,
            deliveries: offsets
                .map(|offset| Delivery {
                    offset,
                    attempts: u32::from(op.c % 4),
                    visible_ms: now_ms + i64::from(op.b % 100),
                })
                .to_vec(),
        },
        _ if op.b % 5 == 1 => QueueCommand::StartMove(new_move(state, partition, op)),
        _ if op.b % 5 == 2 => {
            let begun = new_move(state, partition, op);
            QueueCommand::UpdateMove(MoveUpdate {
                source: begun.source,
                id: begun.id,
                state: match op.c % 5 {
                    0 => MoveState::Failed,
                    1 => MoveState::Completed,
                    2 => MoveState::Cancelling,
                    _ => MoveState::Running,
                },
                moved: u64::from(op.c),
                failure: op.c.is_multiple_of(5).then(|| "why".to_owned()),
            })
        }
        _ if op.b.is_multiple_of(3) => QueueCommand::SetReceiptKey(ReceiptKey([op.c as u8; 32])),
        _ => QueueCommand::Purge { partition },
    })
}

/// Of a few ids, so that updates find some.
fn new_move(state: &State, partition: PartitionId, op: Op) -> NewMove {
    let topic = state.partition(partition).map(|one| one.topic());
    NewMove {
        source: topic.unwrap_or_default(),
        id: [(op.a % 3) as u8; 16],
        destination: op.c.is_multiple_of(2).then(|| "elsewhere".to_owned()),
        messages_per_second_max: op.c.is_multiple_of(3).then_some(u32::from(op.c)),
        to_move: u64::from(op.b),
    }
}

fn apply(state: &mut State, command: QueueCommand) {
    state.apply(&Command::Queue(command), START_MS, &mut Vec::new());
}

/// A queue with ten messages in its only partition.
fn ten(configs: &[(&str, &str)]) -> (State, PartitionId) {
    let mut state = State::new(StateSettings::default());
    state.apply(&create(1, "q", 1, configs), START_MS, &mut Vec::new());
    let id = state.topic_named("q").unwrap().partition(0).unwrap();
    let commit = levada_catalog::command::Commit {
        segment: levada_model::SegmentId(1),
        batches: vec![batch(id, 10)],
        queued: Vec::new(),
    };
    state.apply(&Command::Commit(commit), START_MS, &mut Vec::new());
    (state, id)
}

fn acknowledge(state: &mut State, partition: PartitionId, offsets: &[i64]) {
    let offsets = offsets.iter().map(|offset| Offset(*offset)).collect();
    apply(state, QueueCommand::Acknowledge { partition, offsets });
}

#[test]
fn the_floor_follows_what_is_done_without_a_gap() {
    let (mut state, id) = ten(&[("queue.enabled", "true"), ("queue.retain", "true")]);
    let shown = |state: &State| {
        let row = state.queue_progress(id).unwrap();
        (row.floor().0, row.done_count(), row.next_open(Offset(0)).0)
    };
    acknowledge(&mut state, id, &[2, 3, 7]);
    assert_eq!(shown(&state), (0, 3, 0));
    acknowledge(&mut state, id, &[0]);
    assert_eq!(shown(&state), (1, 3, 1));
    acknowledge(&mut state, id, &[1, 1]);
    assert_eq!(shown(&state), (4, 1, 4));
    // What is not there yet, or was done before, changes nothing.
    acknowledge(&mut state, id, &[10, -1, 3]);
    assert_eq!(shown(&state), (4, 1, 4));
    assert_eq!(state.partition(id).unwrap().log_start(), Offset(0));
}

#[test]
fn what_is_done_is_freed_unless_the_queue_retains_it() {
    let (mut state, id) = ten(&[("queue.enabled", "true")]);
    acknowledge(&mut state, id, &[0, 1, 2]);
    let one = state.partition(id).unwrap();
    assert_eq!((one.log_start(), one.live_bytes() > 0), (Offset(3), true));
    apply(&mut state, QueueCommand::Purge { partition: id });
    let one = state.partition(id).unwrap();
    assert_eq!((one.log_start(), one.live_bytes()), (Offset(10), 0));
}

#[test]
fn a_topic_that_is_no_queue_keeps_its_records() {
    let (mut state, id) = ten(&[]);
    acknowledge(&mut state, id, &[0, 1, 2]);
    apply(&mut state, QueueCommand::Purge { partition: id });
    assert_eq!(state.partition(id).unwrap().log_start(), Offset(0));
    assert!(state.queue_progress(id).is_none());
}

#[test]
fn the_first_receipt_key_stays() {
    let (mut state, _) = ten(&[]);
    for byte in [1, 2] {
        apply(
            &mut state,
            QueueCommand::SetReceiptKey(ReceiptKey([byte; 32])),
        );
    }
    let key = state.queues().receipt_key().unwrap();
    assert_eq!(key.0, [1; 32]);
    assert_eq!(format!("{key:?}"), "ReceiptKey");
}

proptest! {
    #[test]
    fn progress_stays_within_its_partition(ops in any_ops(200)) {
        let mut state = State::new(StateSettings::default());
        let mut driver = Driver::new();
        for op in ops {
            let command = driver.command(&state, op);
            state.apply(&command, driver.now_ms, &mut Vec::new());
            let ids: Vec<_> = state.topics().flat_map(|topic| topic.partitions()).collect();
            for id in ids {
                let Some(row) = state.queue_progress(id) else { continue };
                prop_assert!(state.queue_settings(id).is_some(), "a row without a queue");
                let one = state.partition(id).unwrap();
                prop_assert!(row.floor() <= one.high_watermark());
                for (offset, _) in row.exceptions() {
                    prop_assert!(offset >= row.floor() && offset < one.high_watermark());
                    prop_assert!(!row.is_done(offset));
                }
                let open = one.high_watermark().0 - row.floor().0;
                prop_assert!(row.done_count() <= open.unsigned_abs());
            }
        }
    }
}

fn begun(state: &State, id: u8) -> NewMove {
    let topic = state.topic_named("q").unwrap();
    NewMove {
        source: topic.id,
        id: [id; 16],
        destination: None,
        messages_per_second_max: None,
        to_move: 3,
    }
}

fn ended(begun: &NewMove, state: MoveState, moved: u64) -> QueueCommand {
    QueueCommand::UpdateMove(MoveUpdate {
        source: begun.source,
        id: begun.id,
        state,
        moved,
        failure: None,
    })
}

#[test]
fn a_queue_has_one_move_under_way_and_remembers_ten_for_ninety_days() {
    let mut state = State::new(StateSettings::default());
    let create = create(1, "q", 1, &[("queue.enabled", "true")]);
    state.apply(&create, START_MS, &mut Vec::new());
    let at = |state: &mut State, command: QueueCommand, now_ms: i64| {
        state.apply(&Command::Queue(command), now_ms, &mut Vec::new());
    };
    let source = state.topic_named("q").unwrap().id;
    for id in 0..12 {
        let now_ms = START_MS + i64::from(id);
        let begun = begun(&state, id);
        at(&mut state, QueueCommand::StartMove(begun.clone()), now_ms);
        let other = NewMove {
            id: [99; 16],
            ..begun.clone()
        };
        at(&mut state, QueueCommand::StartMove(other), now_ms);
        let running: Vec<_> = state.queues().moves().running().cloned().collect();
        assert_eq!(running.len(), 1, "one at a time");
        assert_eq!(running[0].begun, begun);
        at(&mut state, ended(&begun, MoveState::Cancelling, 1), now_ms);
        // Progress that was on its way does not undo the cancellation.
        at(&mut state, ended(&begun, MoveState::Running, 2), now_ms);
        let running = state.queues().moves().running().next().unwrap();
        assert_eq!((running.state, running.moved), (MoveState::Cancelling, 2));
        at(&mut state, ended(&begun, MoveState::Completed, 3), now_ms);
        at(&mut state, ended(&begun, MoveState::Failed, 9), now_ms);
        assert_eq!(state.queues().moves().running().count(), 0);
    }
    let seen = |state: &State, now_ms| -> Vec<u8> {
        let tasks = state.queues().moves().of(source, now_ms);
        tasks.map(|task| task.begun.id[0]).collect()
    };
    let newest: Vec<u8> = (2..12).rev().collect();
    assert_eq!(newest.len(), MOVES_KEPT_MAX);
    assert_eq!(seen(&state, START_MS), newest);
    assert_eq!(seen(&state, START_MS + MOVES_KEPT_MS + 10), [11, 10]);
    let last = state.queues().moves().of(source, START_MS).next().unwrap();
    assert_eq!((last.state, last.moved), (MoveState::Completed, 3));
    let topic = Command::DeleteTopic { topic: source };
    state.apply(&topic, START_MS, &mut Vec::new());
    assert_eq!(seen(&state, START_MS), [0; 0]);
}

#[test]
fn a_late_report_of_an_earlier_delivery_changes_nothing() {
    let (mut state, id) = ten(&[("queue.enabled", "true")]);
    for (attempts, visible_ms) in [(2, START_MS + 90), (1, START_MS + 10)] {
        let deliveries = vec![Delivery {
            offset: Offset(4),
            attempts,
            visible_ms,
        }];
        let partition = id;
        apply(
            &mut state,
            QueueCommand::Deliver {
                partition,
                deliveries,
            },
        );
    }
    let known = state.queue_progress(id).unwrap().exception(Offset(4));
    let known = known.map(|one| (one.attempts, one.visible_ms));
    assert_eq!(known, Some((2, START_MS + 90)));
}
