//! Topics by hand: deleted means deleted, and nothing else is.

use levada_model::{Offset, TopicId};
use levada_sim::history::check::check_all;
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use crate::broker::place;
use crate::script::*;

const OTHER: TopicId = TopicId([2; 16]);

fn script() -> Script {
    Script::new(Retention::Keep)
}

fn named(id: Option<TopicId>) -> Topic {
    place("t", id, 0).topic
}

fn delete(id: Option<TopicId>) -> Op {
    Op::DeleteTopic { topic: named(id) }
}

fn create() -> Op {
    Op::CreateTopic {
        name: "t".into(),
        partitions: 2,
        retention: Retention::Keep,
    }
}

fn listed(name: &str, id: TopicId, partitions: i32) -> ListedTopic {
    ListedTopic {
        name: name.into(),
        id,
        partitions,
    }
}

fn list(script: &Script, topics: &[ListedTopic]) {
    script.ok(Op::ListTopics, Answer::Topics(topics.to_vec()));
}

#[test]
fn a_deleted_topic_is_gone() {
    let script = script();
    list(&script, &[listed("t", ID, 2)]);
    script.append(0, &[1]);
    script.ok(delete(Some(ID)), Answer::Done);
    list(&script, &[]);
    script.refused(fetch(0), ErrorCode::UnknownTopicId);
    script.audit();
    script.holds();
}

#[test]
fn a_deleted_topic_does_not_answer() {
    for by_id in [false, true] {
        let script = script();
        script.ok(delete(Some(ID)), Answer::Done);
        let at = place("t", Some(ID).filter(|_| by_id), 0);
        let op = Op::Fetch {
            at,
            from: Offset(0),
        };
        script.ok(op, fetched(0, &[], 0));
        script.breaks(&["deletes"]);
    }
}

#[test]
fn a_deleted_topic_is_not_listed() {
    let script = script();
    script.ok(delete(None), Answer::Done);
    list(&script, &[listed("t", ID, 2)]);
    script.breaks(&["deletes"]);
}

#[test]
fn a_topic_once_seen_gone_does_not_come_back() {
    let script = script();
    script.unknown(delete(Some(ID)));
    script.read(0, &[], 0);
    list(&script, &[]);
    script.holds();
    script.read(0, &[], 0);
    script.breaks(&["deletes"]);
}

#[test]
fn records_do_not_come_back_under_a_new_topic_of_the_name() {
    let script = script();
    script.append(0, &[1]);
    script.ok(delete(None), Answer::Done);
    script.ok(create(), Answer::Created { id: OTHER });
    let op = Op::Fetch {
        at: place("t", Some(OTHER), 0),
        from: Offset(0),
    };
    script.ok(op, fetched(0, &[1], 1));
    script.breaks(&["origin", "watermark", "linear"]);
}

#[test]
fn a_name_that_may_mean_two_topics_says_nothing_about_either() {
    let script = script();
    let call = script.invoke(Op::Produce {
        at: place("t", None, 0),
        sequenced: None,
        records: records(&[1]),
    });
    script.ok(delete(None), Answer::Done);
    script.ok(create(), Answer::Created { id: OTHER });
    script.recorder.ok(call, appended(0));
    script.holds();
    assert_eq!(check_all(&script.recorder.history()).ambiguous, 1);
}

/// The same of what would be held against the topic if it were certain.
#[test]
fn what_may_have_meant_a_topic_is_tolerated() {
    let at = place("t", None, 0);
    let script = script();
    script.append(0, &[1, 2]);
    let trim = script.invoke(Op::DeleteRecords {
        at: at.clone(),
        before: Offset(1),
    });
    let commit = script.invoke(Op::Commit {
        group: GROUP.into(),
        generation: None,
        at,
        offset: Offset(1),
    });
    script.commit(1, 0);
    script.unknown(delete(None));
    script.unknown(create());
    script.recorder.ok(trim, Answer::At(Offset(1)));
    script.recorder.ok(commit, Answer::Done);
    script.end(End::Earliest, 1);
    script.committed(Some(0));
    script.holds();
}

#[test]
fn nothing_else_is_deleted() {
    let script = script();
    list(&script, &[]);
    script.breaks(&["deletes"]);
    let script = self::script();
    script.refused(fetch(0), ErrorCode::UnknownTopicOrPartition);
    script.breaks(&["deletes"]);
    let script = self::script();
    list(&script, &[listed("t", ID, 1)]);
    script.breaks(&["deletes"]);
}

#[test]
fn a_partition_that_the_topic_does_not_have_is_unknown() {
    let script = script();
    let op = Op::Fetch {
        at: place("t", Some(ID), 2),
        from: Offset(0),
    };
    script.refused(op, ErrorCode::UnknownTopicOrPartition);
    script.holds();
}

#[test]
fn nothing_is_listed_that_nobody_made() {
    let script = script();
    list(&script, &[listed("t", ID, 2), listed("u", OTHER, 1)]);
    script.breaks(&["deletes"]);
}

#[test]
fn a_creation_without_an_answer_may_be_listed() {
    let script = script();
    script.unknown(Op::CreateTopic {
        name: "u".into(),
        partitions: 1,
        retention: Retention::Keep,
    });
    list(&script, &[listed("t", ID, 2)]);
    list(&script, &[listed("t", ID, 2), listed("u", OTHER, 1)]);
    script.holds();
    // Once it was seen it is there.
    list(&script, &[listed("t", ID, 2)]);
    script.breaks(&["deletes"]);
}

#[test]
fn a_name_is_created_once() {
    let script = script();
    script.ok(create(), Answer::Created { id: OTHER });
    script.breaks(&["deletes"]);
}

#[test]
fn a_topic_whose_deletion_has_no_answer_is_read_back_if_it_is_there() {
    let script = script();
    script.append(0, &[1]);
    script.append(1, &[2]);
    script.unknown(delete(Some(ID)));
    script.audit();
    script.read(0, &[1], 2);
    script.breaks(&["kept"]);
    script.refused(fetch(1), ErrorCode::UnknownTopicId);
    script.holds();
}
