//! Making, changing, looking at, emptying and deleting queues.

use levada_catalog::command::QueueCommand;
use levada_catalog::{State, Topic};
use levada_model::PartitionId;

use super::{
    Found, NewQueue, QueueCounts, QueueError, QueueInfo, QueueOrigin, QueueSettings,
    urgency_of_done,
};
use crate::{AdminError, ConfigChange, ConfigOp, Engine, NewTopic, TopicRef};

/// A queue may be purged once in this time.
pub(super) const PURGE_PAUSE_MS: i64 = 60_000;

fn info(state: &State, topic: &Topic, settings: &QueueSettings) -> QueueInfo {
    let own = topic.overrides.iter();
    QueueInfo {
        topic: topic.id,
        name: topic.name.to_string(),
        created_ms: topic.created_ms,
        settings: settings.clone(),
        configs: own
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        counts: topic
            .partitions()
            .filter_map(|id| count(state, id))
            .fold(QueueCounts::default(), add),
    }
}

/// What a partition holds by the state alone: who received what is not known to it.
fn count(state: &State, id: PartitionId) -> Option<QueueCounts> {
    let partition = state.partition(id)?;
    let (start, end) = (partition.log_start(), partition.high_watermark());
    let Some(progress) = state.queue_progress(id) else {
        return Some(QueueCounts {
            visible: (end.0 - start.0).unsigned_abs(),
            ..QueueCounts::default()
        });
    };
    let floor = progress.floor().max(start);
    let open = (end.0 - floor.0).unsigned_abs();
    Some(QueueCounts {
        visible: open.saturating_sub(progress.done_count()),
        ..QueueCounts::default()
    })
}

fn add(sum: QueueCounts, more: QueueCounts) -> QueueCounts {
    QueueCounts {
        visible: sum.visible + more.visible,
        in_flight: sum.in_flight + more.in_flight,
        delayed: sum.delayed + more.delayed,
    }
}

impl Engine {
    /// What a queue is and holds now.
    ///
    /// # Errors
    /// [`QueueError::Unknown`]: no topic of this name, or one that is no queue.
    pub fn queue(&self, name: &str) -> Result<QueueInfo, QueueError> {
        let now_ms = self.inner.env.now_ms();
        let (mut info, partitions, delayed) = self.inner.sequencer.read(|state| {
            let topic = state.topic_named(name).ok_or(QueueError::Unknown)?;
            let settings = topic.config.queue.as_deref().ok_or(QueueError::Unknown)?;
            let partitions: Vec<_> = topic.partitions().collect();
            let delayed = partitions.iter().filter_map(|id| {
                let start = state.partition(*id)?.log_start();
                Some(state.queue_progress(*id)?.delayed_count(start, now_ms))
            });
            let delayed = delayed.sum();
            Ok::<_, QueueError>((info(state, topic, settings), partitions, delayed))
        })?;
        let desks = partitions
            .iter()
            .filter_map(|id| Some((*id, self.inner.queues.known_desk(*id)?)));
        let (mut in_flight, mut damaged) = (0, 0);
        for (id, desk) in desks {
            self.inner.sequencer.read(|state| {
                let live = desk.live.lock();
                in_flight += live.in_flight(now_ms);
                damaged += live.damaged(state.queue_progress(id));
            });
        }
        let counts = &mut info.counts;
        counts.delayed = delayed;
        counts.in_flight = in_flight;
        counts.visible = (counts.visible).saturating_sub(delayed + in_flight + damaged);
        Ok(info)
    }

    /// Names of queues that begin with `prefix`, in their order, behind `after`, at most `max`.
    pub fn queue_names(&self, prefix: &str, after: Option<&str>, max: usize) -> Vec<String> {
        self.names_of_queues(after, max, |name, _| name.starts_with(prefix))
    }

    /// Names of the queues whose dead-letter queue is `name`, in their order, behind `after`.
    pub fn dead_letter_sources(&self, name: &str, after: Option<&str>, max: usize) -> Vec<String> {
        self.names_of_queues(after, max, |_, settings| {
            settings.dead_letter_topic.as_deref() == Some(name)
        })
    }

    fn names_of_queues(
        &self,
        after: Option<&str>,
        max: usize,
        is_wanted: impl Fn(&str, &QueueSettings) -> bool,
    ) -> Vec<String> {
        self.inner.sequencer.read(|state| {
            let queues = state.topics_after(after).filter(|topic| {
                let settings = topic.config.queue.as_deref();
                settings.is_some_and(|settings| is_wanted(&topic.name, settings))
            });
            queues
                .take(max)
                .map(|topic| topic.name.to_string())
                .collect()
        })
    }

    /// Makes a queue, durably; whether it was made. One that is there already is given as it is:
    /// whoever asked compares. A topic becomes a queue too, and keeps its records for both.
    ///
    /// # Errors
    /// Its name or a setting is refused, or storage is.
    pub async fn create_queue(&self, new: NewQueue) -> Result<(QueueInfo, bool), QueueError> {
        match self.queue(&new.name) {
            Err(QueueError::Unknown) => {}
            known => return known.map(|info| (info, false)),
        }
        let topic = TopicRef::Name(new.name.clone());
        let is_there = self.topic(&topic).is_some();
        let mut configs = new.configs;
        let origin = if is_there { "topic" } else { "queue" };
        configs.push(("queue.enabled".into(), "true".into()));
        configs.push(("queue.origin".into(), origin.into()));
        let done = if is_there {
            let is_set = |wanted: &str| configs.iter().any(|(name, _)| name == wanted);
            if !is_set("queue.retain") {
                configs.push(("queue.retain".into(), "true".into()));
            }
            let set = configs.into_iter().map(|(name, value)| ConfigChange {
                name,
                op: ConfigOp::Set(value),
            });
            self.alter_topic(&topic, set.collect(), false).await
        } else {
            let created = self.create_topic(NewTopic {
                name: new.name.clone(),
                partitions: Some(1),
                configs,
                validate_only: false,
            });
            created.await.map(drop)
        };
        match done {
            Ok(()) => self.queue(&new.name).map(|info| (info, true)),
            // Somebody was faster.
            Err(AdminError::TopicExists(_)) => self.queue(&new.name).map(|info| (info, false)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets (`Some`) or resets (`None`) settings; all or none.
    ///
    /// # Errors
    /// As [`Engine::create_queue`].
    pub async fn alter_queue(
        &self,
        name: &str,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<(), QueueError> {
        let found = self.inner.find_queue(name)?;
        let changes = changes.into_iter().map(|(name, value)| ConfigChange {
            name,
            op: value.map_or(ConfigOp::Delete, ConfigOp::Set),
        });
        let topic = TopicRef::Id(found.topic);
        Ok(self.alter_topic(&topic, changes.collect(), false).await?)
    }

    /// Deletes a queue: the topic if it was made as a queue, else the queue side.
    ///
    /// # Errors
    /// There is none, or storage refused.
    pub async fn delete_queue(&self, name: &str) -> Result<(), QueueError> {
        let found = self.inner.find_queue(name)?;
        let topic = TopicRef::Id(found.topic);
        if found.settings.origin == QueueOrigin::Queue {
            self.delete_topic(&topic).await?;
        } else {
            let configs = self.topic(&topic).ok_or(QueueError::Unknown)?.configs;
            let own = configs
                .into_iter()
                .filter(|(name, _)| name.starts_with("queue."));
            let resets = own.map(|(name, _)| ConfigChange {
                name,
                op: ConfigOp::Delete,
            });
            self.alter_topic(&topic, resets.collect(), false).await?;
        }
        // Receivers that wait find the queue gone.
        self.inner
            .queues
            .receivers
            .wake(found.partitions.iter().copied());
        self.inner.queues.purged.lock().remove(&found.topic);
        let mut desks = self.inner.queues.desks.lock();
        for partition in &found.partitions {
            desks.remove(partition);
        }
        Ok(())
    }

    /// Drops every message, received ones included.
    ///
    /// # Errors
    /// [`QueueError::PurgeInProgress`] within a minute of the last one.
    pub async fn purge_queue(&self, name: &str) -> Result<(), QueueError> {
        let found = self.inner.find_queue(name)?;
        let now_ms = self.inner.env.now_ms();
        {
            let mut purged = self.inner.queues.purged.lock();
            let last = purged.get(&found.topic);
            if last.is_some_and(|last| now_ms - last < PURGE_PAUSE_MS) {
                return Err(QueueError::PurgeInProgress);
            }
            purged.insert(found.topic, now_ms);
        }
        for partition in found.partitions {
            let command = QueueCommand::Purge { partition };
            let urgency = urgency_of_done(&found.settings);
            self.inner.propose_queue(command, urgency).await?;
            let floor = self.inner.sequencer.read(|state| {
                let progress = state.queue_progress(partition);
                progress.map(levada_catalog::queues::Progress::floor)
            });
            if let (Some(desk), Some(floor)) = (self.inner.queues.known_desk(partition), floor) {
                desk.live.lock().purge(floor);
            }
        }
        Ok(())
    }
}

impl Found {
    /// Whether deliveries may go on forever: no dead-letter queue takes what fails.
    pub(super) fn attempts_max(&self) -> Option<(&str, u32)> {
        let target = self.settings.dead_letter_topic.as_deref()?;
        Some((target, self.settings.attempts_max))
    }
}
