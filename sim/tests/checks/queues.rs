//! Queues by hand: what each check of them lets pass, and what it finds.

use std::cell::Cell;

use levada_model::Offset;
use levada_sim::history::check::check_all;
use levada_sim::history::*;

const QUEUE: &str = "jobs";
const DEAD: &str = "jobs-dead";
/// How long a receive hides messages.
const VISIBLE_MS: u64 = 2_000;

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(0) };
}

/// A queue with a dead-letter queue behind two deliveries.
struct Script {
    recorder: Recorder,
    is_fifo: bool,
}

impl Script {
    fn new(is_fifo: bool) -> Script {
        NOW_US.set(0);
        let recorder = Recorder::new(|| NOW_US.get());
        let script = Script { recorder, is_fifo };
        for (name, dead_letters) in [(DEAD, None), (QUEUE, Some((DEAD.to_owned(), 2)))] {
            let op = QueueOp::Create {
                is_fifo,
                delay_ms: 0,
                dead_letters,
            };
            script.ok(name, op, QueueAnswer::Done);
        }
        script
    }

    fn invoke(&self, queue: &str, op: QueueOp) -> CallId {
        let queue = queue.to_owned();
        self.recorder.invoke(ClientId(0), Op::Queue { queue, op })
    }

    fn ok(&self, queue: &str, op: QueueOp, answer: QueueAnswer) {
        let call = self.invoke(queue, op);
        self.recorder.ok(call, Answer::Queue(answer));
    }

    fn pass(&self, ms: u64) {
        NOW_US.set(NOW_US.get() + ms * 1000);
    }

    fn message(&self, number: u64, delay_ms: u64) -> NewMessage {
        NewMessage {
            record: RecordId::Written(number),
            group: self.is_fifo.then_some(1),
            delay_ms,
        }
    }

    fn send_at(&self, number: u64, delay_ms: u64, sequence: i64) {
        let op = QueueOp::Send(vec![self.message(number, delay_ms)]);
        let sequence = self.is_fifo.then_some(sequence);
        self.ok(QUEUE, op, QueueAnswer::Parts(vec![Part::Done(sequence)]));
    }

    /// Sent, and acknowledged at the sequence number that is its own.
    fn send(&self, number: u64) {
        self.send_at(number, 0, number as i64);
    }

    fn delivery(&self, number: u64, count: u32) -> Delivery {
        Delivery {
            key: MessageKey {
                record: RecordId::Written(number),
                sequence: self.is_fifo.then_some(number as i64),
            },
            count,
            group: self.is_fifo.then_some(1),
        }
    }

    fn receive_from(&self, queue: &str, messages: &[(u64, u32)]) {
        let op = QueueOp::Receive {
            most: 10,
            visible_ms: VISIBLE_MS,
            wait_ms: 1_000,
        };
        let all = messages.iter();
        let all = all.map(|(number, count)| self.delivery(*number, *count));
        self.ok(queue, op, QueueAnswer::Received(all.collect()));
    }

    /// Numbers of messages with their counts.
    fn receive(&self, messages: &[(u64, u32)]) {
        self.receive_from(QUEUE, messages);
    }

    fn lost_receive(&self) {
        let op = QueueOp::Receive {
            most: 10,
            visible_ms: VISIBLE_MS,
            wait_ms: 0,
        };
        let call = self.invoke(QUEUE, op);
        self.recorder.unknown(call, "cut");
    }

    fn settle(&self, number: u64, count: u32, visible_ms: Option<u64>) {
        let deliveries = vec![self.delivery(number, count)];
        let op = match visible_ms {
            None => QueueOp::Delete(deliveries),
            Some(visible_ms) => QueueOp::Hide {
                deliveries,
                visible_ms,
            },
        };
        self.ok(QUEUE, op, QueueAnswer::Parts(vec![Part::Done(None)]));
    }

    fn delete(&self, number: u64, count: u32) {
        self.settle(number, count, None);
    }

    fn restart(&self) {
        self.recorder.note(Note::Crash);
        self.recorder.note(Note::Start);
    }

    fn audit(&self) {
        self.recorder.note(Note::Audit);
    }

    fn log(&self, from: i64, numbers: &[u64]) {
        let from = Offset(from);
        let records = numbers.iter().copied().map(RecordId::Written);
        let records = (from.0..).map(Offset).zip(records).collect();
        self.ok(QUEUE, QueueOp::Log { from }, QueueAnswer::Log(records));
    }

    #[track_caller]
    fn holds(&self) {
        self.breaks(&[]);
    }

    #[track_caller]
    fn breaks(&self, checks: &[&str]) {
        let history = self.recorder.history();
        let report = check_all(&history);
        let mut found: Vec<&str> = report.violations.iter().map(|v| v.check).collect();
        found.dedup();
        assert_eq!(found, checks, "{history}\n{report}");
    }
}

fn standard() -> Script {
    Script::new(false)
}

fn fifo() -> Script {
    Script::new(true)
}

#[test]
fn messages_that_are_sent_received_and_deleted_break_nothing() {
    for script in [standard(), fifo()] {
        script.send(1);
        script.send(2);
        script.receive(&[(1, 1), (2, 1)]);
        script.delete(1, 1);
        script.pass(VISIBLE_MS);
        script.receive(&[(2, 2)]);
        script.pass(VISIBLE_MS);
        script.receive_from(DEAD, &[(2, 1)]);
        script.audit();
        script.pass(VISIBLE_MS);
        script.receive_from(DEAD, &[(2, 2)]);
        script.holds();
    }
}

#[test]
fn a_message_that_the_last_receives_do_not_find_is_lost() {
    let script = standard();
    script.send(1);
    script.audit();
    script.receive(&[]);
    script.breaks(&["queue-kept"]);
}

#[test]
fn a_message_that_may_be_deleted_or_purged_is_not_lost() {
    let script = standard();
    script.send(1);
    script.send(2);
    script.receive(&[(1, 1)]);
    let call = script.invoke(QUEUE, QueueOp::Delete(vec![script.delivery(1, 1)]));
    script.recorder.unknown(call, "cut");
    let call = script.invoke(QUEUE, QueueOp::Purge);
    script.recorder.unknown(call, "cut");
    script.audit();
    script.holds();
}

#[test]
fn a_message_of_nobody_is_found() {
    let script = standard();
    script.receive(&[(7, 1)]);
    script.breaks(&["queue-kept"]);
}

#[test]
fn a_message_whose_send_was_refused_is_not_there() {
    let script = standard();
    let op = QueueOp::Send(vec![script.message(1, 0)]);
    let refused = Part::Refused("InvalidMessageContents".to_owned());
    script.ok(QUEUE, op, QueueAnswer::Parts(vec![refused]));
    script.receive(&[(1, 1)]);
    script.breaks(&["queue-kept"]);
}

#[test]
fn a_deleted_message_does_not_come_back() {
    for script in [standard(), fifo()] {
        script.send(1);
        script.receive(&[(1, 1)]);
        script.delete(1, 1);
        script.pass(VISIBLE_MS);
        script.receive(&[(1, 2)]);
        script.breaks(&["queue-done"]);
    }
}

#[test]
fn a_purged_message_does_not_come_back() {
    let script = standard();
    script.send(1);
    script.ok(QUEUE, QueueOp::Purge, QueueAnswer::Done);
    script.receive(&[(1, 1)]);
    script.breaks(&["queue-done"]);
}

#[test]
fn a_delayed_message_waits_unless_the_clock_jumped() {
    for jumps in [false, true] {
        let script = standard();
        script.send_at(1, 3_000, 1);
        script.pass(2_900);
        if jumps {
            script.recorder.note(Note::ClockJump { by_ms: 500 });
        }
        script.receive(&[(1, 1)]);
        match jumps {
            true => script.holds(),
            false => script.breaks(&["queue-delay"]),
        }
    }
}

#[test]
fn a_message_that_somebody_has_is_not_given_out() {
    for script in [standard(), fifo()] {
        script.send(1);
        script.receive(&[(1, 1)]);
        script.pass(VISIBLE_MS - 100);
        script.receive(&[(1, 2)]);
        script.breaks(&["queue-hidden"]);
    }
}

#[test]
fn a_message_that_was_shown_again_is_given_out() {
    let script = fifo();
    script.send(1);
    script.receive(&[(1, 1)]);
    script.settle(1, 1, Some(0));
    script.receive(&[(1, 2)]);
    script.holds();
}

#[test]
fn only_a_fifo_queue_remembers_over_a_restart_who_has_what() {
    for script in [standard(), fifo()] {
        script.send(1);
        script.receive(&[(1, 1)]);
        script.restart();
        script.receive(&[(1, 2)]);
        match script.is_fifo {
            true => script.breaks(&["queue-hidden"]),
            false => script.holds(),
        }
    }
}

#[test]
fn a_group_does_not_overtake_itself() {
    let script = fifo();
    script.send(1);
    script.send(2);
    script.receive(&[(1, 1)]);
    script.receive(&[(2, 1)]);
    script.breaks(&["queue-order"]);
}

#[test]
fn one_answer_has_a_group_in_its_order() {
    let script = fifo();
    script.send(1);
    script.send(2);
    script.receive(&[(2, 1), (1, 1)]);
    script.breaks(&["queue-order"]);
}

#[test]
fn a_message_before_it_may_be_given_up() {
    let script = fifo();
    script.send(1);
    script.send(2);
    for count in [1, 2] {
        script.receive(&[(1, count)]);
        script.pass(VISIBLE_MS);
    }
    script.receive(&[(2, 1)]);
    script.receive_from(DEAD, &[(1, 1)]);
    script.holds();
}

#[test]
fn what_is_sent_again_stands_there_once() {
    let script = fifo();
    script.send_at(1, 0, 1);
    script.send_at(1, 0, 2);
    script.breaks(&["queue-once"]);
}

#[test]
fn a_count_is_never_more_than_the_deliveries_there_may_have_been() {
    let script = standard();
    script.send(1);
    script.receive(&[(1, 2)]);
    script.breaks(&["queue-attempts"]);
    let script = standard();
    script.send(1);
    script.lost_receive();
    script.receive(&[(1, 2)]);
    script.holds();
}

#[test]
fn a_count_grows_with_each_delivery() {
    let script = standard();
    script.send(1);
    script.receive(&[(1, 1)]);
    script.pass(VISIBLE_MS);
    script.receive(&[(1, 1)]);
    script.breaks(&["queue-attempts"]);
}

#[test]
fn a_message_is_given_up_neither_late_nor_early() {
    let script = standard();
    script.send(1);
    for count in [1, 2, 3] {
        script.receive(&[(1, count)]);
        script.pass(VISIBLE_MS);
    }
    script.breaks(&["queue-attempts"]);
    let script = standard();
    script.send(1);
    script.receive(&[(1, 1)]);
    script.receive_from(DEAD, &[(1, 1)]);
    script.breaks(&["queue-attempts"]);
}

#[test]
fn the_receipt_of_an_earlier_delivery_does_nothing() {
    // A standard queue deletes by any receipt.
    for (script, visible_ms) in [(fifo(), None), (fifo(), Some(0)), (standard(), Some(0))] {
        script.send(1);
        script.receive(&[(1, 1)]);
        script.settle(1, 1, Some(0));
        script.receive(&[(1, 2)]);
        script.settle(1, 1, visible_ms);
        // It might have gone to the dead-letter queue, if it has nothing left.
        match visible_ms {
            None => script.holds(),
            Some(_) => script.breaks(&["queue-attempts"]),
        }
    }
}

#[test]
fn a_queue_s_log_has_one_record_at_a_place_and_none_of_others() {
    let script = fifo();
    script.send_at(1, 0, 5);
    script.send_at(2, 0, 6);
    script.log(5, &[1, 2]);
    script.holds();
    script.log(5, &[2]);
    script.breaks(&["queue-log"]);
    let script = standard();
    script.log(0, &[9]);
    script.breaks(&["queue-log"]);
}
