//! The log's two ends, damage, and linearizability by hand.

use levada_model::Offset;
use levada_sim::history::check::check_all;
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use crate::script::*;

fn script() -> Script {
    Script::new(Retention::Keep)
}

fn trimmed(from: i64, numbers: &[u64], high: i64, start: i64) -> Answer {
    match fetched(from, numbers, high) {
        Answer::Fetched {
            records,
            high_watermark,
            ..
        } => Answer::Fetched {
            records,
            high_watermark,
            log_start: Offset(start),
        },
        other => other,
    }
}

fn delete_records(before: i64) -> Op {
    Op::DeleteRecords {
        at: p0(),
        before: Offset(before),
    }
}

#[test]
fn the_watermark_never_falls() {
    let script = script();
    script.unknown(produce(&[1]));
    script.end(End::Latest, 1);
    script.end(End::Latest, 0);
    script.breaks(&["watermark", "linear"]);
}

#[test]
fn the_watermark_does_not_trail_an_acknowledgement() {
    let script = script();
    script.append(0, &[1, 2]);
    script.end(End::Latest, 1);
    script.breaks(&["watermark", "linear"]);
}

#[test]
fn the_watermark_does_not_run_ahead() {
    let script = script();
    script.append(0, &[1, 2]);
    script.end(End::Latest, 3);
    script.breaks(&["watermark", "linear"]);
    // Where a produce without an answer may have left the record, it may.
    let script = self::script();
    script.append(0, &[1, 2]);
    script.unknown(produce(&[3]));
    script.end(End::Latest, 3);
    script.holds();
}

#[test]
fn no_record_is_read_at_the_watermark() {
    let script = script();
    script.unknown(produce(&[1]));
    script.read(0, &[1], 0);
    script.breaks(&["watermark", "linear"]);
}

#[test]
fn calls_that_overlap_may_see_either_end() {
    let script = script();
    let write = script.invoke(produce(&[1]));
    script.read(0, &[], 0);
    script.read(0, &[1], 1);
    script.recorder.ok(write, appended(0));
    script.holds();
}

#[test]
fn a_long_history_is_cut_and_decided() {
    let script = script();
    for number in 0..500_i64 {
        let write = script.invoke(produce(&[number as u64]));
        script.end(End::Latest, number);
        script.recorder.ok(write, appended(number));
        script.read(number, &[number as u64], number + 1);
    }
    let report = check_all(&script.recorder.history());
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.undecided, 0);
    // The contradiction lies between two calls that are many windows apart.
    let script = self::script();
    let early = script.invoke(produce(&[1000]));
    script.recorder.ok(early, appended(500));
    for number in 0..500_i64 {
        script.append(number, &[number as u64]);
    }
    script.breaks(&["order", "linear"]);
}

#[test]
fn records_go_only_by_delete_records_where_a_topic_keeps() {
    let script = script();
    script.append(0, &[1, 2, 3]);
    script.ok(delete_records(2), Answer::At(Offset(2)));
    script.refused(fetch(0), ErrorCode::OffsetOutOfRange);
    script.audit();
    script.ok(fetch(2), trimmed(2, &[3], 3, 2));
    script.holds();
    let script = self::script();
    script.append(0, &[1, 2, 3]);
    script.ok(fetch(2), trimmed(2, &[3], 3, 2));
    script.breaks(&["retention"]);
}

#[test]
fn a_deletion_of_all_records_reaches_the_end() {
    let script = script();
    script.append(0, &[1, 2, 3]);
    script.ok(delete_records(-1), Answer::At(Offset(3)));
    script.end(End::Earliest, 3);
    script.holds();
}

#[test]
fn a_topic_that_trims_may_lose_its_oldest_records() {
    let script = Script::new(Retention::Trim);
    script.append(0, &[1, 2]);
    script.refused(fetch(0), ErrorCode::OffsetOutOfRange);
    script.end(End::Earliest, 1);
    script.audit();
    script.ok(fetch(1), trimmed(1, &[2], 2, 1));
    script.holds();
}

#[test]
fn a_topic_that_trims_has_lost_nothing_that_is_there_later() {
    let script = Script::new(Retention::Trim);
    script.append(0, &[1, 2]);
    script.refused(fetch(0), ErrorCode::OffsetOutOfRange);
    script.end(End::Earliest, 0);
    script.breaks(&["kept"]);
}

#[test]
fn the_log_start_never_falls() {
    let script = Script::new(Retention::Trim);
    script.append(0, &[1, 2]);
    script.end(End::Earliest, 1);
    script.end(End::Earliest, 0);
    script.breaks(&["retention"]);
}

#[test]
fn the_log_start_stays_below_the_end() {
    let script = Script::new(Retention::Trim);
    script.append(0, &[1]);
    script.ok(fetch(1), trimmed(1, &[], 1, 2));
    script.breaks(&["retention"]);
}

#[test]
fn trimmed_records_are_not_read() {
    let script = script();
    script.append(0, &[1, 2]);
    script.ok(delete_records(1), Answer::At(Offset(1)));
    script.ok(fetch(0), trimmed(0, &[1, 2], 2, 1));
    script.breaks(&["retention"]);
}

#[test]
fn damage_costs_the_frame_that_it_hit() {
    let script = script();
    script.append(0, &[1]);
    script.append(1, &[2]);
    script.append(2, &[3]);
    script.damage(Some((1, 2)));
    script.refused(fetch(1), ErrorCode::CorruptMessage);
    script.audit();
    script.read(0, &[1], 3);
    script.refused(fetch(1), ErrorCode::CorruptMessage);
    script.read(2, &[3], 3);
    script.holds();
}

#[test]
fn damage_costs_no_other_frame() {
    let script = script();
    script.append(0, &[1]);
    script.append(1, &[2]);
    script.damage(Some((1, 2)));
    script.refused(fetch(0), ErrorCode::CorruptMessage);
    script.breaks(&["damage"]);
}

#[test]
fn damage_is_told_and_not_passed_over_in_silence() {
    let script = script();
    script.append(0, &[1]);
    script.append(1, &[2]);
    script.damage(Some((1, 2)));
    script.audit();
    script.read(0, &[1], 2);
    script.breaks(&["kept"]);
}

#[test]
fn damage_of_unknown_cost_excuses_what_is_told_damaged() {
    let script = script();
    script.append(0, &[1]);
    script.damage(None);
    script.audit();
    script.refused(fetch(0), ErrorCode::CorruptMessage);
    script.holds();
}

#[test]
fn damage_serves_no_wrong_bytes() {
    let script = script();
    script.append(0, &[1]);
    script.damage(Some((0, 1)));
    let answer = Answer::Fetched {
        records: vec![(Offset(0), RecordId::Foreign(1))],
        high_watermark: Offset(1),
        log_start: Offset(0),
    };
    script.ok(fetch(0), answer);
    script.breaks(&["kept", "origin", "linear"]);
}

#[test]
fn only_fetches_meet_damage() {
    let script = script();
    script.damage(None);
    script.refused(produce(&[1]), ErrorCode::CorruptMessage);
    script.breaks(&["damage"]);
}

#[test]
fn storage_works_when_nothing_is_injected() {
    let script = script();
    script.refused(fetch(0), ErrorCode::KafkaStorageError);
    script.holds();
    script.audit();
    script.refused(fetch(0), ErrorCode::KafkaStorageError);
    script.breaks(&["damage"]);
}
