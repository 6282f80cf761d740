//! Which topics there were, from when to when: a name can stand for several one after another.

use levada_model::TopicId;

use super::calls::{Call, Effect, place_of};
use crate::history::*;

/// A partition of one topic, not of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Index in [`Topics::all`].
    pub topic: usize,
    pub partition: i32,
}

/// One topic that was or may have been. Times are indices of events.
#[derive(Clone, Debug)]
pub struct OneTopic {
    pub name: String,
    /// None: a creation without an answer that nobody saw succeed.
    pub id: Option<TopicId>,
    /// None: somebody was shown it, but nobody asked for it.
    pub partitions: Option<i32>,
    pub retention: Retention,
    /// It cannot have been before.
    pub born: usize,
    /// It surely was from here on, until `dying`.
    pub made: Option<usize>,
    /// Somebody asked to delete it, or something of its name: from here on it may be gone.
    pub dying: usize,
    /// It surely is gone from here on.
    pub dead: Option<usize>,
}

impl OneTopic {
    /// Whether it surely was there all the time between two events.
    pub fn is_there(&self, from: usize, until: usize) -> bool {
        self.made.is_some_and(|made| made < from) && until < self.dying
    }
}

/// Every topic of a history.
#[derive(Debug, Default)]
pub struct Topics {
    pub all: Vec<OneTopic>,
}

impl Topics {
    pub fn new(calls: &[Call<'_>]) -> Topics {
        let mut topics = Topics::default();
        let mut unclaimed = Vec::new();
        for call in calls {
            topics.create(call, &mut unclaimed);
        }
        for call in calls {
            topics.list(call, &mut unclaimed);
        }
        for call in calls {
            topics.meet(call, &mut unclaimed);
        }
        // What is left may have been made, though nobody ever saw it.
        for call in unclaimed {
            topics.push(call, None, None);
        }
        for call in calls {
            topics.delete(call);
        }
        topics
    }

    /// The topic with this id.
    pub fn by_id(&self, id: TopicId) -> Option<usize> {
        self.all.iter().position(|topic| topic.id == Some(id))
    }

    /// Every topic that a request between two events can have met under this name.
    pub fn candidates(&self, name: &str, from: usize, until: usize) -> Vec<usize> {
        let all = self.all.iter().enumerate();
        let met = all.filter(|(_, topic)| {
            topic.name == name && topic.born < until && topic.dead.is_none_or(|dead| from < dead)
        });
        met.map(|(index, _)| index).collect()
    }

    /// The topic that a request between two events means, if that is certain.
    pub fn meant(&self, topic: &Topic, from: usize, until: usize) -> Option<usize> {
        match topic.id {
            Some(id) => self.by_id(id),
            None => match self.candidates(&topic.name, from, until)[..] {
                [only] => Some(only),
                _ => None,
            },
        }
    }

    /// The partition that a request between two events means, if that is certain.
    pub fn part(&self, place: &Place, from: usize, until: usize) -> Option<Part> {
        let topic = self.meant(&place.topic, from, until)?;
        Some(Part {
            topic,
            partition: place.partition,
        })
    }

    /// A partition in words.
    pub fn name(&self, part: Part) -> String {
        let topic = &self.all[part.topic];
        let named = Topic {
            name: topic.name.clone(),
            id: topic.id,
        };
        format!("{named}/{}", part.partition)
    }

    fn create<'c, 'a>(&mut self, call: &'c Call<'a>, unclaimed: &mut Vec<&'c Call<'a>>) {
        if !matches!(call.op, Op::CreateTopic { .. }) {
            return;
        }
        match (call.answer(), call.effect()) {
            (Some(Answer::Created { id }), _) => self.push(call, Some(*id), call.returned),
            (_, Effect::Maybe) => unclaimed.push(call),
            _ => {}
        }
    }

    fn push(&mut self, call: &Call<'_>, id: Option<TopicId>, made: Option<usize>) {
        let Op::CreateTopic {
            name,
            partitions,
            retention,
        } = call.op
        else {
            return;
        };
        self.all.push(OneTopic {
            name: name.clone(),
            id,
            partitions: Some(*partitions),
            retention: *retention,
            born: call.invoked,
            made,
            dying: usize::MAX,
            dead: None,
        });
    }

    /// A listing may show the id that a creation without an answer gave.
    fn list(&mut self, call: &Call<'_>, unclaimed: &mut Vec<&Call<'_>>) {
        if let Some(Answer::Topics(listed)) = call.answer() {
            for one in listed {
                self.show(call, &one.name, one.id, Some(one.partitions), unclaimed);
            }
        }
    }

    /// So does a call that succeeds, if its client knew the id from elsewhere.
    fn meet(&mut self, call: &Call<'_>, unclaimed: &mut Vec<&Call<'_>>) {
        if let (Some(_), Some(Place { topic, .. })) = (call.answer(), place_of(call.op))
            && let Some(id) = topic.id
        {
            self.show(call, &topic.name, id, None, unclaimed);
        }
    }

    fn show(
        &mut self,
        call: &Call<'_>,
        shown: &str,
        id: TopicId,
        count: Option<i32>,
        unclaimed: &mut Vec<&Call<'_>>,
    ) {
        if self.by_id(id).is_some() {
            return;
        }
        let fits = |create: &Call<'_>| {
            matches!(create.op, Op::CreateTopic { name, partitions, .. }
                if name == shown && count.is_none_or(|count| count == *partitions))
                && create.invoked < call.answered()
        };
        let makers: Vec<usize> = (0..unclaimed.len())
            .filter(|index| fits(unclaimed[*index]))
            .collect();
        match makers[..] {
            [only] => self.push(unclaimed.remove(only), Some(id), call.returned),
            [] => self.all.push(OneTopic {
                name: shown.to_owned(),
                id: Some(id),
                partitions: None,
                retention: Retention::Trim,
                born: call.invoked,
                made: None,
                dying: usize::MAX,
                dead: None,
            }),
            // It is one of them, and each of the others may have been a topic as well.
            [first, ..] => {
                self.push(unclaimed[first], Some(id), call.returned);
                let topic = self.all.last_mut().expect("just pushed");
                for other in makers {
                    weaken(topic, unclaimed[other].op);
                }
            }
        }
    }

    fn delete(&mut self, call: &Call<'_>) {
        let Op::DeleteTopic { topic } = call.op else {
            return;
        };
        if call.effect() == Effect::Never {
            return;
        }
        let targets = match topic.id {
            Some(id) => self.by_id(id).into_iter().collect(),
            None => self.candidates(&topic.name, call.invoked, call.end()),
        };
        for index in &targets {
            let target = &mut self.all[*index];
            target.dying = target.dying.min(call.invoked);
        }
        if let ([only], Effect::Happened) = (&targets[..], call.effect()) {
            let target = &mut self.all[*only];
            let returned = call.end();
            target.dead = Some(target.dead.map_or(returned, |dead| dead.min(returned)));
        }
    }
}

/// What holds of a topic that may have been made by this call instead.
fn weaken(topic: &mut OneTopic, create: &Op) {
    let Op::CreateTopic {
        partitions,
        retention,
        ..
    } = create
    else {
        return;
    };
    topic.partitions = topic.partitions.map(|count| count.min(*partitions));
    if *retention == Retention::Trim {
        topic.retention = Retention::Trim;
    }
}
