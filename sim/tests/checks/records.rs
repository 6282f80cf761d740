//! Records by hand: kept, origin, duplicates, order, reads.

use levada_model::Offset;
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use crate::script::*;

fn script() -> Script {
    Script::new(Retention::Keep)
}

#[test]
fn what_was_acknowledged_is_read() {
    let script = script();
    script.append(0, &[1, 2]);
    script.read(0, &[1, 2], 2);
    script.audit();
    script.read(1, &[2], 2);
    script.read(0, &[1, 2], 2);
    script.holds();
}

#[test]
fn one_offset_acknowledged_for_two_records_is_a_loss() {
    let script = script();
    script.append(0, &[1]);
    script.append(0, &[2]);
    script.breaks(&["kept", "order", "linear"]);
}

#[test]
fn an_acknowledged_record_that_the_last_reading_does_not_find_is_lost() {
    let script = script();
    script.append(0, &[1, 2]);
    script.audit();
    script.read(0, &[1], 2);
    script.breaks(&["kept"]);
}

#[test]
fn without_a_last_reading_an_acknowledged_record_counts_as_lost() {
    let script = script();
    script.append(0, &[1]);
    script.audit();
    script.breaks(&["kept"]);
}

#[test]
fn an_acknowledged_record_that_changed_is_lost() {
    let script = script();
    script.append(0, &[1]);
    script.unknown(produce(&[2]));
    script.read(0, &[2], 1);
    script.breaks(&["kept", "linear"]);
}

#[test]
fn a_produce_without_an_answer_may_be_there_or_not() {
    for is_there in [false, true] {
        let script = script();
        script.unknown(produce(&[1]));
        match is_there {
            true => script.read(0, &[1], 1),
            false => script.read(0, &[], 0),
        }
        script.audit();
        script.holds();
    }
}

#[test]
fn a_produce_without_an_answer_may_come_later() {
    let script = script();
    script.unknown(produce(&[1]));
    script.read(0, &[], 0);
    script.append(0, &[2]);
    script.read(0, &[2, 1], 2);
    script.holds();
}

#[test]
fn the_rest_of_a_batch_without_an_answer_need_not_be_read() {
    let script = script();
    script.unknown(produce(&[1, 2, 3]));
    script.append(3, &[4]);
    script.read(1, &[2], 4);
    script.holds();
}

#[test]
fn a_storage_error_leaves_the_end_of_a_produce_open() {
    let script = script();
    script.refused(produce(&[1]), ErrorCode::KafkaStorageError);
    script.read(0, &[1], 1);
    script.holds();
}

#[test]
fn a_produce_refused_for_good_never_appears() {
    let script = script();
    script.refused(produce(&[1]), ErrorCode::MessageTooLarge);
    script.read(0, &[1], 1);
    script.breaks(&["origin", "watermark", "linear"]);
}

#[test]
fn a_refused_retry_says_nothing_about_the_first_attempt() {
    let script = script();
    script.unknown(sequenced(0, 0, &[1]));
    script.refused(sequenced(0, 0, &[1]), ErrorCode::OutOfOrderSequenceNumber);
    script.read(0, &[1], 1);
    script.holds();
}

#[test]
fn a_record_of_nobody_is_out_of_nowhere() {
    let script = script();
    script.append(0, &[1]);
    let records = vec![(Offset(0), RecordId::Foreign(9))];
    let answer = Answer::Fetched {
        records,
        high_watermark: Offset(1),
        log_start: Offset(0),
    };
    script.ok(fetch(0), answer);
    script.breaks(&["kept", "origin", "linear"]);
}

#[test]
fn a_record_is_not_read_before_it_is_sent() {
    let script = script();
    let read = script.invoke(fetch(0));
    script.recorder.ok(read, fetched(0, &[1], 1));
    script.append(0, &[1]);
    script.breaks(&["origin", "watermark", "linear"]);
}

#[test]
fn a_retried_idempotent_batch_stands_once() {
    let script = script();
    script.unknown(sequenced(0, 0, &[1, 2]));
    script.ok(sequenced(0, 0, &[1, 2]), appended(0));
    script.ok(sequenced(0, 0, &[1, 2]), appended(0));
    script.read(0, &[1, 2], 2);
    script.holds();
}

#[test]
fn an_idempotent_batch_that_stands_twice_is_a_duplicate() {
    let script = script();
    script.unknown(sequenced(0, 0, &[1]));
    script.ok(sequenced(0, 0, &[1]), appended(1));
    script.read(0, &[1, 1], 2);
    script.breaks(&["duplicates", "watermark", "linear"]);
}

#[test]
fn a_plain_batch_stands_once_for_each_attempt() {
    let script = script();
    script.unknown(produce(&[1]));
    script.append(1, &[1]);
    script.read(0, &[1, 1], 2);
    script.holds();
    let script = self::script();
    script.append(0, &[1]);
    script.unknown(produce(&[2]));
    script.read(0, &[1, 1], 2);
    script.breaks(&["duplicates", "linear"]);
}

#[test]
fn a_batch_sent_again_in_a_new_epoch_may_stand_twice() {
    let script = script();
    script.unknown(sequenced(0, 0, &[1]));
    script.ok(sequenced(1, 0, &[1]), appended(1));
    script.read(0, &[1, 1], 2);
    script.holds();
}

#[test]
fn a_gap_in_the_offsets_is_found() {
    let script = script();
    script.append(0, &[1]);
    script.unknown(produce(&[2, 3]));
    let offsets = [0, 2].map(Offset);
    let answer = Answer::Fetched {
        records: offsets.into_iter().zip(records(&[1, 3])).collect(),
        high_watermark: Offset(3),
        log_start: Offset(0),
    };
    script.ok(fetch(0), answer);
    script.breaks(&["order"]);
}

#[test]
fn a_torn_batch_is_found() {
    let script = script();
    script.unknown(produce(&[1, 2]));
    script.append(1, &[3]);
    script.read(0, &[1, 3], 2);
    script.breaks(&["order", "linear"]);
}

#[test]
fn a_batch_acknowledged_later_stands_behind() {
    let script = script();
    script.append(1, &[1]);
    script.append(0, &[2]);
    script.breaks(&["order", "linear"]);
    // Sent together, either may be first.
    let script = self::script();
    let one = script.invoke(produce(&[1]));
    let other = script.invoke(produce(&[2]));
    script.recorder.ok(one, appended(1));
    script.recorder.ok(other, appended(0));
    script.holds();
}

#[test]
fn the_order_of_a_producers_sequences_is_kept() {
    let script = script();
    let one = script.invoke(sequenced(0, 0, &[1]));
    let other = script.invoke(sequenced(0, 1, &[2]));
    script.recorder.ok(one, appended(1));
    script.recorder.ok(other, appended(0));
    script.breaks(&["order"]);
}

#[test]
fn sequences_wrap() {
    let script = script();
    script.ok(sequenced(0, i32::MAX, &[1]), appended(0));
    script.ok(sequenced(0, 0, &[2]), appended(1));
    script.holds();
}

#[test]
fn a_sequence_left_out_is_found() {
    let script = script();
    script.ok(sequenced(0, 0, &[1]), appended(0));
    script.unknown(sequenced(0, 1, &[2]));
    script.ok(sequenced(0, 2, &[3]), appended(1));
    script.breaks(&["order"]);
}

#[test]
fn a_batch_that_follows_is_not_out_of_order() {
    let script = script();
    script.ok(sequenced(0, 0, &[1]), appended(0));
    script.unknown(sequenced(0, 1, &[2]));
    script.refused(sequenced(0, 2, &[3]), ErrorCode::OutOfOrderSequenceNumber);
    script.holds();
    script.refused(sequenced(0, 1, &[2]), ErrorCode::OutOfOrderSequenceNumber);
    script.breaks(&["order"]);
}

#[test]
fn a_fenced_epoch_does_not_write() {
    let script = script();
    script.ok(sequenced(1, 0, &[1]), appended(0));
    script.ok(sequenced(0, 0, &[2]), appended(1));
    script.breaks(&["order"]);
}

#[test]
fn one_offset_is_read_as_one_record() {
    let script = script();
    script.unknown(produce(&[1]));
    script.unknown(produce(&[2]));
    script.read(0, &[1], 1);
    script.read(0, &[2], 1);
    script.breaks(&["reads", "linear"]);
}

#[test]
fn what_was_read_does_not_go_out_of_range() {
    let script = script();
    script.unknown(produce(&[1]));
    script.read(0, &[1], 1);
    script.refused(fetch(0), ErrorCode::OffsetOutOfRange);
    script.breaks(&["reads"]);
}

#[test]
fn a_read_below_the_watermark_gets_on() {
    let script = script();
    script.append(0, &[1]);
    script.read(0, &[], 1);
    script.breaks(&["reads"]);
}
