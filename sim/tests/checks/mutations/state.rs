//! Changes of what was said about topics, log starts, damage and groups.

use levada_model::{Offset, TopicId};
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use super::{Done, Edit, Mutation, is_ok};

pub const MUTATIONS: [Mutation; 20] = [
    ("a deleted topic is listed", "deletes", list_deleted),
    ("a deleted topic is read", "deletes", read_deleted),
    ("a topic is missing from a listing", "deletes", unlist),
    ("a partition is unknown", "deletes", unknown),
    (
        "a topic that nobody made is listed",
        "deletes",
        list_stranger,
    ),
    (
        "a topic has another count of partitions",
        "deletes",
        recount,
    ),
    ("a topic is created twice", "deletes", create_twice),
    ("the log start moves by itself", "retention", move_start),
    ("the log start falls", "retention", lower_start),
    ("records are deleted, but not all", "retention", delete_less),
    ("what was trimmed is read", "retention", read_trimmed),
    (
        "a record without damage is called damaged",
        "damage",
        call_damaged,
    ),
    ("storage fails without a fault", "damage", fail_storage),
    ("a commit passes far ahead", "commits", commit_far),
    ("a commit passes one record", "commits", commit_one),
    ("a commit is lost", "committed", lose_commit),
    ("a commit goes back", "committed", old_commit),
    (
        "an offset is committed that nobody asked for",
        "committed",
        strange_commit,
    ),
    ("a member left behind commits", "groups", fenced_commit),
    ("two members have one partition", "groups", share),
];

fn list_deleted(edit: &mut Edit) -> Option<()> {
    let deletions = edit.deletions();
    let (deletion, name, id) = edit.pick(deletions)?;
    let listings = edit
        .calls()
        .into_iter()
        .filter_map(|done| match &done.outcome {
            Outcome::Ok(Answer::Topics(topics)) if done.invoked > deletion.returned => {
                let topics = topics.clone();
                Some((done, topics))
            }
            _ => None,
        });
    let listings = listings.collect();
    let (listing, mut topics) = edit.pick(listings)?;
    topics.push(ListedTopic {
        name,
        id,
        partitions: 1,
    });
    edit.set_answer(&listing, Answer::Topics(topics));
    Some(())
}

fn read_deleted(edit: &mut Edit) -> Option<()> {
    let deletions = edit.deletions();
    let (_, name, id) = edit.pick(deletions)?;
    let op = Op::Fetch {
        at: crate::broker::place(&name, Some(id), 0),
        from: Offset(0),
    };
    let answer = Answer::Fetched {
        records: Vec::new(),
        high_watermark: Offset(0),
        log_start: Offset(0),
    };
    edit.add(op, answer);
    Some(())
}

/// The listing behind the audit, and one of its topics that fits.
fn listed(edit: &mut Edit) -> Option<(Done, Vec<ListedTopic>, usize)> {
    let audit = edit.audit();
    let calls = edit.calls();
    let listing = calls
        .into_iter()
        .find(|done| done.invoked > audit && done.op == Op::ListTopics)?;
    let Outcome::Ok(Answer::Topics(topics)) = listing.outcome.clone() else {
        return None;
    };
    let fitting = (0..topics.len())
        .filter(|index| edit.is_kept(&topics[*index].name))
        .collect();
    let index = edit.pick(fitting)?;
    Some((listing, topics, index))
}

fn unlist(edit: &mut Edit) -> Option<()> {
    let (listing, mut topics, index) = listed(edit)?;
    topics.remove(index);
    edit.set_answer(&listing, Answer::Topics(topics));
    Some(())
}

fn recount(edit: &mut Edit) -> Option<()> {
    let (listing, mut topics, index) = listed(edit)?;
    topics[index].partitions += 1;
    edit.set_answer(&listing, Answer::Topics(topics));
    Some(())
}

fn create_twice(edit: &mut Edit) -> Option<()> {
    let (_, topics, index) = listed(edit)?;
    let op = Op::CreateTopic {
        name: topics[index].name.clone(),
        partitions: 1,
        retention: Retention::Keep,
    };
    let id = TopicId([0xee; 16]);
    edit.add(op, Answer::Created { id });
    Some(())
}

fn list_stranger(edit: &mut Edit) -> Option<()> {
    let (listing, mut topics, _) = listed(edit)?;
    topics.push(ListedTopic {
        name: "stranger".into(),
        id: TopicId([0xdd; 16]),
        partitions: 1,
    });
    edit.set_answer(&listing, Answer::Topics(topics));
    Some(())
}

/// A read behind the audit of a topic that keeps everything.
fn kept_read(edit: &mut Edit) -> Option<super::Fetched> {
    let mut reads = edit.audit_reads();
    reads.retain(|read| edit.is_kept(&read.at.topic.name));
    edit.pick(reads)
}

fn unknown(edit: &mut Edit) -> Option<()> {
    let read = kept_read(edit)?;
    let code = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
    ][edit.picks.below(2)];
    edit.set_outcome(&read.done, Outcome::Refused(code.code()));
    Some(())
}

fn move_start(edit: &mut Edit) -> Option<()> {
    let mut read = kept_read(edit)?;
    read.start = 1;
    edit.set_read(read);
    Some(())
}

fn lower_start(edit: &mut Edit) -> Option<()> {
    let mut reads = edit.audit_reads();
    reads.retain(|read| read.start > 0);
    let mut read = edit.pick(reads)?;
    read.start -= 1;
    edit.set_read(read);
    Some(())
}

fn delete_less(edit: &mut Edit) -> Option<()> {
    let deletes = edit.calls().into_iter().filter_map(|done| match &done.op {
        Op::DeleteRecords { at, before }
            if is_ok(&done) && before.0 > 0 && at.topic.id.is_some() =>
        {
            let before = before.0;
            Some((done, before))
        }
        _ => None,
    });
    let deletes = deletes.collect();
    let (done, before) = edit.pick(deletes)?;
    edit.set_answer(&done, Answer::At(Offset(before - 1)));
    Some(())
}

fn read_trimmed(edit: &mut Edit) -> Option<()> {
    let mut reads = edit.audit_reads();
    reads.retain(|read| read.start > 0 && read.records[0].0.0 == read.start);
    let read = edit.pick(reads)?;
    let op = Op::Fetch {
        at: read.at.clone(),
        from: Offset(read.start - 1),
    };
    edit.set_op(&read.done, op);
    Some(())
}

fn call_damaged(edit: &mut Edit) -> Option<()> {
    let mut reads = edit.reads();
    reads.retain(|read| !edit.is_damaged(&read.at));
    let read = edit.pick(reads)?;
    edit.set_outcome(
        &read.done,
        Outcome::Refused(ErrorCode::CorruptMessage.code()),
    );
    Some(())
}

fn fail_storage(edit: &mut Edit) -> Option<()> {
    let read = kept_read(edit)?;
    edit.set_outcome(
        &read.done,
        Outcome::Refused(ErrorCode::KafkaStorageError.code()),
    );
    Some(())
}

/// A member's commit: its call, group, generation, partition and offset.
type CommitCall = (Done, String, i32, Place, i64);

/// Commits of members.
fn commits(edit: &Edit) -> Vec<CommitCall> {
    let commits = edit
        .calls()
        .into_iter()
        .filter_map(|done| match done.op.clone() {
            Op::Commit {
                group,
                generation: Some(generation),
                at,
                offset,
            } => Some((done, group, generation, at, offset.0)),
            _ => None,
        });
    commits.collect()
}

fn set_commit(edit: &mut Edit, commit: &CommitCall, generation: i32, offset: i64) {
    let op = Op::Commit {
        group: commit.1.clone(),
        generation: Some(generation),
        at: commit.3.clone(),
        offset: Offset(offset),
    };
    edit.set_op(&commit.0, op);
}

fn commit_far(edit: &mut Edit) -> Option<()> {
    let mut all = commits(edit);
    all.retain(|(_, _, _, at, _)| edit.is_kept(&at.topic.name));
    let commit = edit.pick(all)?;
    set_commit(edit, &commit, commit.2, commit.4 + 10_000);
    Some(())
}

fn commit_one(edit: &mut Edit) -> Option<()> {
    let delivered: Vec<(usize, Place, i64)> = edit
        .history
        .events
        .iter()
        .enumerate()
        .filter_map(|(index, event)| match &event.what {
            What::Note(Note::Delivered { at, until, .. }) => Some((index, at.clone(), until.0)),
            _ => None,
        })
        .collect();
    let mut all = commits(edit);
    all.retain(|(done, _, _, at, offset)| {
        let ahead = |(index, of, until): &(usize, Place, i64)| {
            *index < done.invoked && of == at && until > offset
        };
        edit.is_kept(&at.topic.name) && !edit.is_damaged(at) && !delivered.iter().any(ahead)
    });
    let commit = edit.pick(all)?;
    set_commit(edit, &commit, commit.2, commit.4 + 1);
    Some(())
}

/// What was committed, as told behind the audit, in a group that nobody asked to delete.
fn committed(edit: &mut Edit) -> Option<(Done, String, Place, i64)> {
    let audit = edit.audit();
    let told = edit
        .calls()
        .into_iter()
        .filter_map(|done| match (&done.op, &done.outcome) {
            (Op::FetchCommitted { group, at }, Outcome::Ok(Answer::Committed(Some(offset))))
                if done.invoked > audit
                    && edit.is_kept(&at.topic.name)
                    && is_lasting(edit, group) =>
            {
                let (group, at, offset) = (group.clone(), at.clone(), offset.0);
                Some((done, group, at, offset))
            }
            _ => None,
        });
    let told = told.collect();
    edit.pick(told)
}

fn is_lasting(edit: &Edit, group: &str) -> bool {
    edit.calls().iter().all(|done| {
        !matches!(&done.op, Op::DeleteGroup { group: of } if of == group)
            || matches!(done.outcome, Outcome::Refused(_))
    })
}

fn lose_commit(edit: &mut Edit) -> Option<()> {
    let (told, group, place, _) = committed(edit)?;
    let is_sure = commits(edit)
        .iter()
        .any(|(done, of, _, at, _)| *of == group && *at == place && is_ok(done));
    is_sure.then(|| edit.set_answer(&told, Answer::Committed(None)))
}

fn old_commit(edit: &mut Edit) -> Option<()> {
    let (told, group, place, now) = committed(edit)?;
    let mut here = commits(edit);
    here.retain(|(_, of, _, at, _)| *of == group && *at == place);
    let old = here.iter().filter(|(done, _, _, _, offset)| {
        let is_later = |other: &CommitCall| is_ok(&other.0) && done.returned < other.0.invoked;
        // Whoever asked for this offset was answered, and overwritten.
        let settles = |other: &CommitCall| {
            other.4 != *offset || (is_ok(&other.0) && other.0.returned <= done.returned)
        };
        *offset != now && here.iter().all(settles) && here.iter().any(is_later)
    });
    let old = old.map(|(_, _, _, _, offset)| *offset).collect();
    let old = edit.pick(old)?;
    edit.set_answer(&told, Answer::Committed(Some(Offset(old))));
    Some(())
}

fn strange_commit(edit: &mut Edit) -> Option<()> {
    let (done, ..) = committed(edit)?;
    edit.set_answer(&done, Answer::Committed(Some(Offset(77_777))));
    Some(())
}

/// An answered join: its call, group, generation and assignment.
type JoinCall = (Done, String, i32, Vec<Place>);

fn joins(edit: &Edit) -> Vec<JoinCall> {
    let joins = edit.calls().into_iter().filter_map(|done| {
        let (
            Op::Join { group },
            Outcome::Ok(Answer::Joined {
                generation,
                assignment,
            }),
        ) = (done.op.clone(), done.outcome.clone())
        else {
            return None;
        };
        is_lasting(edit, &group).then_some((done, group, generation, assignment))
    });
    joins.collect()
}

fn fenced_commit(edit: &mut Edit) -> Option<()> {
    let (all, joins) = (commits(edit), joins(edit));
    let fitting = all.iter().filter(|(done, group, generation, _, _)| {
        let first = all
            .iter()
            .filter(|(first, of, ..)| of == group && is_ok(first));
        let first = first.map(|(first, ..)| first.returned).min();
        let told = |(join, of, own, _): &JoinCall| {
            of == group
                && own == generation
                && first.is_some_and(|first| first < join.returned)
                && join.returned < done.invoked
        };
        is_ok(done) && joins.iter().any(told)
    });
    let fitting = fitting.cloned().collect();
    let commit = edit.pick(fitting)?;
    set_commit(edit, &commit, commit.2 - 1, commit.4);
    Some(())
}

fn share(edit: &mut Edit) -> Option<()> {
    let joins = joins(edit);
    let pairs = joins.iter().flat_map(|one| {
        let others = joins.iter().filter(|other| {
            one.1 == other.1
                && one.0.client != other.0.client
                && one.3.iter().any(|place| other.3.contains(place))
        });
        others.map(|other| (one.clone(), other.clone()))
    });
    let pairs = pairs.collect();
    let (one, other) = edit.pick(pairs)?;
    let answer = Answer::Joined {
        generation: one.2,
        assignment: other.3,
    };
    edit.set_answer(&other.0, answer);
    Some(())
}
