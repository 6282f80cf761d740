//! The text of each event: one line, the same for the same event, so that two runs of one seed can
//! be compared byte by byte.

use std::fmt::{self, Display, Formatter};

use super::History;
use super::event::*;

impl Display for ClientId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl Display for CallId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The name, and the first four bytes of the id where the request carried one.
impl Display for Topic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.id {
            Some(id) => write!(f, "~{}", &id.to_string()[..8]),
            None => Ok(()),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Op::CreateTopic {
                name,
                partitions,
                retention,
            } => write!(f, "create {name} partitions={partitions} {retention:?}"),
            Op::DeleteTopic { topic } => write!(f, "delete {topic}"),
            Op::ListTopics => f.write_str("list-topics"),
            Op::Produce {
                at,
                sequenced,
                records,
            } => {
                write!(f, "produce {at}")?;
                if let Some(own) = sequenced {
                    write!(f, " p{}.{} seq={}", own.producer, own.epoch, own.base)?;
                }
                write!(f, " {}", Spaced(records))
            }
            Op::Fetch { at, from } => write!(f, "fetch {at} from={from}"),
            Op::ListOffset { at, end } => write!(f, "list-offset {at} {end:?}"),
            Op::DeleteRecords { at, before } => write!(f, "delete-records {at} before={before}"),
            Op::Join { group } => write!(f, "join {group}"),
            Op::Commit {
                group,
                generation,
                at,
                offset,
            } => {
                write!(f, "commit {group} ")?;
                if let Some(generation) = generation {
                    write!(f, "generation={generation} ")?;
                }
                write!(f, "{at} offset={offset}")
            }
            Op::FetchCommitted { group, at } => write!(f, "fetch-committed {group} {at}"),
            Op::DeleteGroup { group } => write!(f, "delete-group {group}"),
            Op::Queue { queue, op } => write!(f, "{queue} {op}"),
        }
    }
}

impl Display for ListedTopic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let topic = Topic {
            name: self.name.clone(),
            id: Some(self.id),
        };
        write!(f, "{topic}*{}", self.partitions)
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Done => f.write_str("done"),
            Answer::Created { id } => write!(f, "id={id}"),
            Answer::Topics(topics) => Spaced(topics).fmt(f),
            Answer::Appended { base } => write!(f, "base={base}"),
            Answer::Fetched {
                records,
                high_watermark,
                log_start,
            } => {
                write!(f, "start={log_start} high={high_watermark}")?;
                let mut next = None;
                for (offset, id) in records {
                    // Offsets that follow each other need not be written out.
                    if next != Some(*offset) {
                        write!(f, " @{offset}")?;
                    }
                    write!(f, " {id}")?;
                    next = Some(offset.plus(1));
                }
                Ok(())
            }
            Answer::At(offset) => write!(f, "at={offset}"),
            Answer::Joined {
                generation,
                assignment,
            } => write!(f, "generation={generation} {}", Spaced(assignment)),
            Answer::Committed(Some(offset)) => write!(f, "committed={offset}"),
            Answer::Committed(None) => f.write_str("committed=none"),
            Answer::Queue(answer) => answer.fmt(f),
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ok(answer) => write!(f, "ok {answer}"),
            Outcome::Refused(code) => write!(f, "refused {code}"),
            Outcome::Unknown(why) => write!(f, "unknown {why:?}"),
        }
    }
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Note::Crash => f.write_str("crash"),
            Note::Start => f.write_str("start"),
            Note::Damage { what, may_cost } => {
                write!(f, "damage {what:?}")?;
                match may_cost {
                    None => f.write_str(" cost unknown"),
                    Some(costs) => write!(f, " may cost [{}]", Spaced(costs)),
                }
            }
            Note::ClockJump { by_ms } => write!(f, "clock jumps {by_ms} ms"),
            Note::Fault { what } => write!(f, "fault {what:?}"),
            Note::GroupBegins { group, at, offset } => {
                write!(f, "group {group} begins {at} offset={offset}")
            }
            Note::Delivered {
                group,
                client,
                at,
                from,
                until,
            } => write!(f, "{client} delivered {group} {at} {from}..{until}"),
            Note::Audit => f.write_str("audit"),
        }
    }
}

impl Display for Cost {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.at, self.from, self.until)
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}us ", self.at_us)?;
        match &self.what {
            What::Invoke { call, client, op } => write!(f, "{client} {call} > {op}"),
            What::Return {
                call,
                client,
                outcome,
            } => write!(f, "{client} {call} < {outcome}"),
            What::Note(note) => write!(f, "-- {note}"),
        }
    }
}

/// One line for each event, with its index: what an error of a check names.
impl Display for History {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut events = self.events.iter().enumerate();
        events.try_for_each(|(index, event)| writeln!(f, "{index:>6} {event}"))
    }
}

/// Items with a space between two.
pub(super) struct Spaced<'a, T>(pub &'a [T]);

impl<T: Display> Display for Spaced<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use levada_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId};

    use super::*;
    use crate::history::{RecordId, Recorder};

    #[test]
    fn events_have_one_stable_line_each() {
        let recorder = Recorder::default();
        let at = Place {
            topic: Topic {
                name: "a".into(),
                id: Some(TopicId([0xab; 16])),
            },
            partition: 2,
        };
        let produce = Op::Produce {
            at: at.clone(),
            sequenced: Some(Sequenced {
                producer: ProducerId(7),
                epoch: ProducerEpoch(1),
                base: Sequence(40),
            }),
            records: vec![RecordId::Written(3), RecordId::Written(4)],
        };
        let call = recorder.invoke(ClientId(1), produce);
        recorder.ok(call, Answer::Appended { base: Offset(9) });
        let call = recorder.invoke(
            ClientId(1),
            Op::Fetch {
                at,
                from: Offset(9),
            },
        );
        recorder.note(Note::Crash);
        recorder.unknown(call, "cut");
        assert_eq!(
            recorder.history().to_string(),
            "     0          0us c1 #0 > produce a~abababab/2 p7.1 seq=40 r3 r4\n\
             \x20    1          0us c1 #0 < ok base=9\n\
             \x20    2          0us c1 #1 > fetch a~abababab/2 from=9\n\
             \x20    3          0us -- crash\n\
             \x20    4          0us c1 #1 < unknown \"cut\"\n"
        );
    }
}
