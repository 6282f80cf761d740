//! Groups by hand: commits, committed, groups.

use levada_model::Offset;
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use crate::broker::place;
use crate::script::*;

/// Ten records in partition 0.
fn script() -> Script {
    let script = Script::new(Retention::Keep);
    script.append(0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    script
}

#[test]
fn what_was_delivered_may_be_committed() {
    let script = script();
    script.join(0, 1, vec![p0()]);
    script.committed(None);
    script.deliver(0, 4);
    script.commit(1, 4);
    script.committed(Some(4));
    script.deliver(4, 10);
    script.commit(1, 10);
    script.commit(1, 2);
    script.committed(Some(2));
    script.holds();
}

#[test]
fn a_commit_does_not_pass_an_undelivered_record() {
    let script = script();
    script.deliver(0, 4);
    script.commit(1, 5);
    script.breaks(&["commits"]);
    let script = self::script();
    script.deliver(0, 4);
    script.deliver(5, 8);
    script.commit(1, 8);
    script.breaks(&["commits"]);
}

/// The broker says that the group stands further on than it does.
#[test]
fn a_committed_offset_that_is_too_high_is_found_twice() {
    let script = script();
    script.deliver(0, 4);
    script.commit(1, 4);
    script.committed(Some(6));
    script.deliver(6, 8);
    script.commit(1, 8);
    script.breaks(&["commits", "committed"]);
}

#[test]
fn a_group_may_begin_later() {
    let script = script();
    script.recorder.note(Note::GroupBegins {
        group: GROUP.into(),
        at: p0(),
        offset: Offset(7),
    });
    script.deliver(7, 8);
    script.commit(1, 8);
    script.holds();
}

#[test]
fn trimmed_damaged_and_skipped_records_need_no_delivery() {
    let script = Script::new(Retention::Trim);
    script.append(0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    script.end(End::Earliest, 2);
    script.damage(Some((2, 4)));
    script.ok(
        Op::Commit {
            group: GROUP.into(),
            generation: None,
            at: p0(),
            offset: Offset(2),
        },
        Answer::Done,
    );
    script.deliver(4, 5);
    script.commit(1, 5);
    script.holds();
    script.commit(1, 6);
    script.breaks(&["commits"]);
}

#[test]
fn a_commit_is_not_lost() {
    let script = script();
    script.deliver(0, 4);
    script.commit(1, 4);
    script.recorder.note(Note::Crash);
    script.recorder.note(Note::Start);
    script.committed(None);
    script.breaks(&["committed"]);
}

#[test]
fn a_commit_does_not_go_back_by_itself() {
    let script = script();
    script.deliver(0, 10);
    script.commit(1, 4);
    script.commit(1, 8);
    script.committed(Some(4));
    script.breaks(&["committed"]);
}

#[test]
fn a_commit_without_an_answer_may_stand_or_not() {
    for value in [4, 8] {
        let script = script();
        script.deliver(0, 10);
        script.commit(1, 4);
        script.unknown(Script::commit_op(1, 8));
        script.committed(Some(value));
        script.holds();
    }
}

#[test]
fn a_commit_that_was_seen_does_not_go_back() {
    let script = script();
    script.deliver(0, 10);
    script.commit(1, 4);
    script.unknown(Script::commit_op(1, 8));
    script.committed(Some(8));
    script.committed(Some(4));
    script.breaks(&["committed"]);
}

#[test]
fn a_refused_commit_does_not_stand() {
    let script = script();
    script.deliver(0, 10);
    script.commit(1, 4);
    script.refused(Script::commit_op(0, 8), ErrorCode::IllegalGeneration);
    script.committed(Some(8));
    script.breaks(&["committed"]);
}

#[test]
fn a_deleted_group_or_topic_has_nothing_committed() {
    for op in [
        Op::DeleteGroup {
            group: GROUP.into(),
        },
        Op::DeleteTopic { topic: p0().topic },
    ] {
        let script = script();
        script.deliver(0, 10);
        script.commit(1, 4);
        script.unknown(op.clone());
        script.committed(Some(4));
        script.committed(None);
        script.holds();
        script.committed(Some(4));
        script.breaks(&["committed"]);
    }
}

#[test]
fn the_last_reading_asks_for_each_committed_offset() {
    let script = Script::new(Retention::Keep);
    script.commit(1, 0);
    script.audit();
    script.breaks(&["committed"]);
    script.committed(Some(0));
    script.holds();
}

#[test]
fn a_deleted_group_begins_its_generations_again() {
    let delete = || Op::DeleteGroup {
        group: GROUP.into(),
    };
    let script = script();
    script.commit(5, 0);
    script.join(0, 6, vec![p0()]);
    script.ok(delete(), Answer::Done);
    script.commit(1, 0);
    script.join(0, 2, vec![p0()]);
    script.holds();
    script.commit(1, 0);
    script.breaks(&["groups"]);
    // What was told before the deletion still counts among itself.
    let script = self::script();
    script.commit(5, 0);
    script.join(0, 6, vec![p0()]);
    script.commit(5, 0);
    script.unknown(delete());
    script.breaks(&["groups"]);
}

#[test]
fn a_partition_has_one_member_in_a_generation() {
    let script = script();
    script.join(0, 1, vec![p0()]);
    script.join(1, 1, vec![place("t", Some(ID), 1)]);
    script.holds();
    script.join(2, 1, vec![p0()]);
    script.breaks(&["groups"]);
}

#[test]
fn a_member_left_behind_does_not_commit() {
    let script = script();
    script.join(0, 1, vec![p0()]);
    script.deliver(0, 10);
    script.commit(1, 4);
    script.join(1, 2, vec![p0()]);
    script.refused(Script::commit_op(1, 5), ErrorCode::IllegalGeneration);
    script.holds();
    script.commit(1, 6);
    script.breaks(&["groups"]);
}

#[test]
fn generations_go_only_forward() {
    let script = script();
    script.commit(1, 0);
    script.join(0, 3, vec![p0()]);
    script.join(1, 2, vec![p0()]);
    script.breaks(&["groups"]);
}
