//! Changes of what was produced and fetched.

use levada_model::Offset;
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use super::{Ack, Done, Edit, Fetched, Mutation, is_ok};

pub const MUTATIONS: [Mutation; 25] = [
    ("an acknowledged record is passed over", "kept", drop_middle),
    (
        "the last acknowledged record is not found",
        "kept",
        drop_last,
    ),
    ("two acknowledged records change places", "kept", swap),
    ("an acknowledgement names the next offset", "kept", move_ack),
    (
        "an acknowledged offset is out of range",
        "kept",
        out_of_range,
    ),
    ("a record has other bytes", "origin", foreign),
    (
        "a record comes from another partition",
        "origin",
        other_partition,
    ),
    ("a record that was refused appears", "origin", refused),
    ("a record is read before it is written", "origin", too_early),
    (
        "an idempotent batch stands twice",
        "duplicates",
        duplicate_sequenced,
    ),
    ("a plain batch stands twice", "duplicates", duplicate_plain),
    ("offsets have a gap", "order", gap),
    ("a batch is torn", "order", torn),
    (
        "a producer's sequences change places",
        "order",
        swap_sequences,
    ),
    ("a producer's sequence is left out", "order", skip_sequence),
    ("a batch that follows is out of order", "order", refuse_next),
    ("a fenced epoch writes", "order", old_epoch),
    ("a later batch gets an earlier offset", "order", swap_bases),
    ("one offset is read as two records", "reads", reread),
    ("what was read is out of range", "reads", unread),
    ("nothing is read where something is", "reads", empty),
    ("a read ends where the log ended before", "linear", stale),
    ("the watermark is one too low", "watermark", low_watermark),
    ("the watermark is one too high", "linear", high_watermark),
    ("the watermark is far ahead", "watermark", far_watermark),
];

/// A read behind the audit whose records are all acknowledged.
fn acknowledged_read(edit: &mut Edit, at_least: usize) -> Option<Fetched> {
    let acks = edit.acks();
    let mut reads = edit.audit_reads();
    reads.retain(|read| {
        let is_acknowledged = |(offset, _): &(Offset, RecordId)| {
            acks.iter().any(|(_, at, _, records, base)| {
                *at == read.at && (*base..*base + records.len() as i64).contains(&offset.0)
            })
        };
        read.records.len() >= at_least && read.records.iter().all(is_acknowledged)
    });
    edit.pick(reads)
}

fn drop_middle(edit: &mut Edit) -> Option<()> {
    let mut read = acknowledged_read(edit, 3)?;
    read.records.remove(1);
    edit.set_read(read);
    Some(())
}

fn drop_last(edit: &mut Edit) -> Option<()> {
    let mut read = acknowledged_read(edit, 2)?;
    read.records.pop();
    edit.set_read(read);
    Some(())
}

fn swap(edit: &mut Edit) -> Option<()> {
    let mut read = acknowledged_read(edit, 2)?;
    let first = read.records[0].1;
    read.records[0].1 = read.records[1].1;
    read.records[1].1 = first;
    edit.set_read(read);
    Some(())
}

fn move_ack(edit: &mut Edit) -> Option<()> {
    let reads = edit.audit_reads();
    let mut acks = edit.acks();
    acks.retain(|(_, at, _, records, base)| {
        let next = (Offset(base + records.len() as i64), at);
        reads.iter().any(|read| {
            read.at == *next.1 && read.records.iter().any(|(offset, _)| *offset == next.0)
        })
    });
    let (done, _, _, _, base) = edit.pick(acks)?;
    let base = Offset(base + 1);
    edit.set_answer(&done, Answer::Appended { base });
    Some(())
}

fn out_of_range(edit: &mut Edit) -> Option<()> {
    let read = acknowledged_read(edit, 1)?;
    edit.is_kept(&read.at.topic.name).then_some(())?;
    edit.set_outcome(
        &read.done,
        Outcome::Refused(ErrorCode::OffsetOutOfRange.code()),
    );
    Some(())
}

fn foreign(edit: &mut Edit) -> Option<()> {
    let reads = edit.reads();
    let mut read = edit.pick(reads)?;
    read.records[0].1 = RecordId::Foreign(7);
    edit.set_read(read);
    Some(())
}

fn other_partition(edit: &mut Edit) -> Option<()> {
    let reads = edit.audit_reads();
    let mut read = edit.pick(reads)?;
    let mut acks = edit.acks();
    // Whichever topic a name means, the number of the partition is another.
    acks.retain(|(_, at, ..)| at.partition != read.at.partition);
    let (_, _, _, records, _) = edit.pick(acks)?;
    read.records[0].1 = records[0];
    edit.set_read(read);
    Some(())
}

fn refused(edit: &mut Edit) -> Option<()> {
    let reads = edit.reads();
    let mut acks = edit.acks();
    acks.retain(|(_, at, sequenced, records, _)| {
        let is_read =
            |read: &Fetched| read.at == *at && read.records.iter().any(|(_, id)| *id == records[0]);
        sequenced.is_none() && reads.iter().any(is_read)
    });
    let (done, ..) = edit.pick(acks)?;
    edit.set_outcome(&done, Outcome::Refused(ErrorCode::MessageTooLarge.code()));
    Some(())
}

fn too_early(edit: &mut Edit) -> Option<()> {
    let acks = edit.acks();
    let (later, at, _, records, _) = edit.pick(acks)?;
    let is_first = edit
        .acks()
        .iter()
        .all(|(done, _, _, other, _)| *other != records || done.invoked >= later.invoked);
    let unknown = edit.calls().iter().any(|done| {
        matches!(&done.op, Op::Produce { records: other, .. } if *other == records)
            && done.invoked < later.invoked
    });
    let mut reads = edit.reads();
    reads
        .retain(|read| read.at == at && read.done.returned < later.invoked && is_first && !unknown);
    let mut read = edit.pick(reads)?;
    read.records[0].1 = records[0];
    edit.set_read(read);
    Some(())
}

/// Puts a record of this partition once more behind the end.
fn duplicate(edit: &mut Edit, is_sequenced: bool) -> Option<()> {
    let mut reads = edit.audit_reads();
    reads.retain(|read| {
        read.records
            .last()
            .is_some_and(|(last, _)| last.0 + 1 == read.high)
    });
    let mut read = edit.pick(reads)?;
    let mut acks = edit.acks();
    acks.retain(|(done, at, sequenced, records, _)| {
        // A plain one must have been sent once only.
        let again = |other: &Done| {
            other.invoked != done.invoked
                && matches!(&other.op, Op::Produce { records: of, .. } if of == records)
        };
        *at == read.at
            && sequenced.is_some() == is_sequenced
            && (is_sequenced || !edit.calls().iter().any(again))
    });
    let (_, _, _, records, _) = edit.pick(acks)?;
    read.records.push((Offset(read.high), records[0]));
    read.high += 1;
    edit.set_read(read);
    Some(())
}

fn duplicate_sequenced(edit: &mut Edit) -> Option<()> {
    duplicate(edit, true)
}

fn duplicate_plain(edit: &mut Edit) -> Option<()> {
    duplicate(edit, false)
}

fn gap(edit: &mut Edit) -> Option<()> {
    let mut reads = edit.reads();
    reads.retain(|read| read.records.len() > 1);
    let mut read = edit.pick(reads)?;
    for (offset, _) in read.records.iter_mut().skip(1) {
        *offset = offset.plus(1);
    }
    edit.set_read(read);
    Some(())
}

/// Two records of a batch that was never acknowledged change places in every read.
fn torn(edit: &mut Edit) -> Option<()> {
    let calls = edit.calls();
    let acked = calls.iter().filter_map(|done| match &done.op {
        Op::Produce { records, .. } if is_ok(done) => Some(records),
        _ => None,
    });
    let acked: Vec<&Vec<RecordId>> = acked.collect();
    let reads = edit.reads();
    let batches = calls.iter().filter_map(|done| match &done.op {
        Op::Produce { records, at, .. } if records.len() > 1 && at.topic.id.is_some() => {
            Some(records)
        }
        _ => None,
    });
    let is_read = |id: &RecordId| {
        reads
            .iter()
            .any(|read| read.records.iter().any(|(_, of)| of == id))
    };
    let batches = batches.filter(|batch| !acked.contains(batch) && batch.iter().all(is_read));
    let batches: Vec<Vec<RecordId>> = batches.cloned().collect();
    let batch = edit.pick(batches)?;
    for mut read in reads {
        for (_, id) in &mut read.records {
            *id = match *id {
                one if one == batch[0] => batch[1],
                two if two == batch[1] => batch[0],
                other => other,
            };
        }
        edit.set_read(read);
    }
    Some(())
}

/// Two acknowledged batches of one producer in one partition, each sent once, of one length.
fn two_batches(edit: &mut Edit, fits: impl Fn(&Edit, &Done) -> bool) -> Option<(Done, Done)> {
    let calls = edit.calls();
    let attempts = |records: &[RecordId]| {
        let same = calls
            .iter()
            .filter(|done| matches!(&done.op, Op::Produce { records: of, .. } if of == records));
        same.count()
    };
    let mut acks = edit.acks();
    acks.retain(|(_, _, sequenced, records, _)| sequenced.is_some() && attempts(records) == 1);
    let pairs = acks.iter().enumerate().flat_map(|(index, one)| {
        let others = acks[index + 1..].iter().filter(|other| {
            let (a, b) = (
                one.2.map(|own| own.producer),
                other.2.map(|own| own.producer),
            );
            one.1 == other.1 && a == b && one.3.len() == other.3.len()
        });
        others.map(|other| (one.0.clone(), other.0.clone()))
    });
    let pairs = pairs.filter(|(_, other)| fits(edit, other)).collect();
    edit.pick(pairs)
}

fn with_sequence(op: &Op, new: Option<Sequenced>) -> Op {
    let mut op = op.clone();
    if let Op::Produce { sequenced, .. } = &mut op {
        *sequenced = new;
    }
    op
}

fn sequence(op: &Op) -> Option<Sequenced> {
    match op {
        Op::Produce { sequenced, .. } => *sequenced,
        _ => None,
    }
}

fn swap_sequences(edit: &mut Edit) -> Option<()> {
    let (one, other) = two_batches(edit, |_, _| true)?;
    edit.set_op(&one, with_sequence(&one.op, sequence(&other.op)));
    edit.set_op(&other, with_sequence(&other.op, sequence(&one.op)));
    Some(())
}

/// The last of a producer's batches jumps ahead, in a log that is known as a whole.
fn skip_sequence(edit: &mut Edit) -> Option<()> {
    let (_, other) = two_batches(edit, is_last_of_whole)?;
    let mut sequenced = sequence(&other.op)?;
    sequenced.base = sequenced.base.plus(1000);
    edit.set_op(&other, with_sequence(&other.op, Some(sequenced)));
    Some(())
}

fn is_last_of_whole(edit: &Edit, done: &Done) -> bool {
    let (Op::Produce { at: place, .. }, Some(own)) = (&done.op, sequence(&done.op)) else {
        return false;
    };
    let is_whole = edit.is_kept(&place.topic.name) && !edit.is_damaged(place);
    is_whole
        && edit.calls().iter().all(|other| match &other.op {
            Op::Produce {
                at,
                sequenced: Some(of),
                ..
            } => at != place || of.producer != own.producer || of.base <= own.base,
            _ => true,
        })
}

fn refuse_next(edit: &mut Edit) -> Option<()> {
    let acks = edit.acks();
    let follows = |(done, at, sequenced, ..): &&Ack| {
        let before = |(first, of, own, records, _): &Ack| {
            let next = own.map(|own| Sequenced {
                base: own.base.plus(records.len() as u32),
                ..own
            });
            of == at && next.is_some() && next == *sequenced && first.returned < done.invoked
        };
        acks.iter().any(before)
    };
    let fitting = acks.iter().filter(follows).cloned().collect();
    let (done, ..) = edit.pick(fitting)?;
    let code = ErrorCode::OutOfOrderSequenceNumber.code();
    edit.set_outcome(&done, Outcome::Refused(code));
    Some(())
}

/// The earlier of two batches gets a later epoch.
fn old_epoch(edit: &mut Edit) -> Option<()> {
    let (one, _) = two_batches(edit, |_, _| true)?;
    let mut sequenced = sequence(&one.op)?;
    sequenced.epoch.0 += 1;
    edit.set_op(&one, with_sequence(&one.op, Some(sequenced)));
    Some(())
}

fn swap_bases(edit: &mut Edit) -> Option<()> {
    let acks = edit.acks();
    let plain: Vec<_> = acks.iter().filter(|ack| ack.2.is_none()).collect();
    let pairs = plain.iter().flat_map(|one| {
        let later = plain.iter().filter(|other| {
            one.1 == other.1 && one.3.len() == other.3.len() && one.0.returned < other.0.invoked
        });
        later.map(|other| (one.0.clone(), one.4, other.0.clone(), other.4))
    });
    let pairs = pairs.collect();
    let (one, first, other, second) = edit.pick(pairs)?;
    let answer = |base| Answer::Appended { base: Offset(base) };
    edit.set_answer(&one, answer(second));
    edit.set_answer(&other, answer(first));
    Some(())
}

fn reread(edit: &mut Edit) -> Option<()> {
    let before = edit.reads();
    let mut reads = edit.audit_reads();
    reads.retain(|read| {
        let (offset, _) = read.records[0];
        let again = |other: &Fetched| {
            other.done.invoked != read.done.invoked
                && other.at == read.at
                && other.records.iter().any(|(of, _)| *of == offset)
        };
        read.records.len() > 1 && before.iter().any(again)
    });
    let mut read = edit.pick(reads)?;
    read.records[0].1 = read.records[1].1;
    edit.set_read(read);
    Some(())
}

fn unread(edit: &mut Edit) -> Option<()> {
    let before = edit.reads();
    let mut reads = edit.audit_reads();
    reads.retain(|read| {
        let covers = |other: &Fetched| {
            other.at == read.at
                && other.done.returned < read.done.invoked
                && other.records.last().map(|(last, _)| *last) >= Some(read.records[0].0)
        };
        edit.is_kept(&read.at.topic.name) && before.iter().any(covers)
    });
    let read = edit.pick(reads)?;
    edit.set_outcome(
        &read.done,
        Outcome::Refused(ErrorCode::OffsetOutOfRange.code()),
    );
    Some(())
}

fn empty(edit: &mut Edit) -> Option<()> {
    let reads = edit.reads();
    let mut read = edit.pick(reads)?;
    read.records.clear();
    edit.set_read(read);
    Some(())
}

/// Whether an acknowledgement before this call says that the log reached `end`.
fn was_acknowledged(edit: &Edit, place: &Place, end: i64, invoked: usize) -> bool {
    edit.acks().iter().any(|(done, at, _, records, base)| {
        at == place && done.returned < invoked && base + records.len() as i64 >= end
    })
}

fn stale(edit: &mut Edit) -> Option<()> {
    let mut reads = edit.reads();
    reads.retain(|read| {
        was_acknowledged(edit, &read.at, read.records[0].0.0 + 1, read.done.invoked)
    });
    let mut read = edit.pick(reads)?;
    read.high = read.records[0].0.0;
    read.records.clear();
    edit.set_read(read);
    Some(())
}

/// A word about the end of a log behind the audit.
fn latest(
    edit: &mut Edit,
    fits: impl Fn(&Edit, &Done, &Place, i64) -> bool,
) -> Option<(Done, i64)> {
    let audit = edit.audit();
    let told = edit
        .calls()
        .into_iter()
        .filter_map(|done| match (&done.op, &done.outcome) {
            (
                Op::ListOffset {
                    at,
                    end: End::Latest,
                },
                Outcome::Ok(Answer::At(end)),
            ) if done.invoked > audit && fits(edit, &done, at, end.0) => {
                let end = end.0;
                Some((done, end))
            }
            _ => None,
        });
    let told = told.collect();
    edit.pick(told)
}

fn low_watermark(edit: &mut Edit) -> Option<()> {
    let (done, end) = latest(edit, |edit, done, at, end| {
        was_acknowledged(edit, at, end, done.invoked)
    })?;
    edit.set_answer(&done, Answer::At(Offset(end - 1)));
    Some(())
}

fn high_watermark(edit: &mut Edit) -> Option<()> {
    let (done, end) = latest(edit, |edit, _, at, _| edit.is_certain(&at.topic.name))?;
    edit.set_answer(&done, Answer::At(Offset(end + 1)));
    Some(())
}

fn far_watermark(edit: &mut Edit) -> Option<()> {
    let (done, end) = latest(edit, |_, _, _, _| true)?;
    edit.set_answer(&done, Answer::At(Offset(end + 1_000_000)));
    Some(())
}
