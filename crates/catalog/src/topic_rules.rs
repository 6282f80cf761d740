//! Rules for topics: create, delete, grow, alter.

use std::sync::Arc;

use levada_model::TopicId;
use levada_model::limits::CELL_PARTITIONS_MAX;

use crate::command::CreateTopic;
use crate::reply::{Effect, TopicError};
use crate::shared_settings::Overrides;
use crate::state::State;
use crate::topic_config::{TopicConfig, check_value, definition};
use crate::topics::{PartitionRange, Topic, check_partitions};

impl State {
    /// Whether a CreateTopic would be taken as things stand.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn check_create_topic(&self, create: &CreateTopic) -> Result<(), TopicError> {
        self.plan_topic(create).map(drop)
    }

    /// Whether CreatePartitions would be taken as things stand.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn check_create_partitions(&self, topic: TopicId, total: u32) -> Result<(), TopicError> {
        let row = self.topics.get(topic).ok_or(TopicError::Unknown)?;
        let present = row.partition_count();
        check_partitions(total, present)?;
        self.check_room(total - present)
    }

    /// Whether AlterTopic would be taken as things stand.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn check_alter_topic(
        &self,
        topic: TopicId,
        changes: &[(String, Option<String>)],
    ) -> Result<(), TopicError> {
        self.plan_alter(topic, changes).map(drop)
    }

    pub(crate) fn create_topic(
        &mut self,
        create: &CreateTopic,
        now_ms: i64,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicId, TopicError> {
        let (overrides, config) = self.plan_topic(create)?;
        let (id, count) = (create.id, create.partitions);
        let (overrides, config) = self.shared.share(overrides, config);
        let append_time = config.log_append_time;
        let first = (self.partitions).create(id, 0, count, append_time, &self.saver);
        self.topics.insert(Topic {
            id,
            name: create.name.as_str().into(),
            config,
            overrides,
            created_ms: now_ms,
            ranges: vec![PartitionRange { first, count }],
            mark: self.saver.mark(),
        });
        effects.push(Effect::TopicCreated { topic: id });
        Ok(id)
    }

    pub(crate) fn delete_topic(
        &mut self,
        id: TopicId,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicId, TopicError> {
        self.save_topic(id);
        let topic = self.topics.remove(id).ok_or(TopicError::Unknown)?;
        let partitions: Vec<_> = topic.partitions().collect();
        for partition in &partitions {
            self.drop_partition(*partition, effects);
        }
        self.forget_queue(id, &partitions);
        self.forget_topic_offsets(id);
        effects.push(Effect::TopicDeleted {
            topic: id,
            name: topic.name.as_ref().to_owned(),
            partitions,
        });
        Ok(id)
    }

    pub(crate) fn create_partitions(
        &mut self,
        id: TopicId,
        total: u32,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicId, TopicError> {
        self.check_create_partitions(id, total)?;
        self.save_topic(id);
        let topic = self.topics.get_mut(id).ok_or(TopicError::Unknown)?;
        let present = topic.partition_count();
        let count = total - present;
        let append_time = topic.config.log_append_time;
        let first = (self.partitions).create(id, present, count, append_time, &self.saver);
        topic.grow(PartitionRange { first, count });
        effects.push(Effect::PartitionsAdded { topic: id });
        Ok(id)
    }

    pub(crate) fn alter_topic(
        &mut self,
        id: TopicId,
        changes: &[(String, Option<String>)],
        effects: &mut Vec<Effect>,
    ) -> Result<TopicId, TopicError> {
        let (overrides, config) = self.plan_alter(id, changes)?;
        let (overrides, config) = self.shared.share(overrides, config);
        self.save_topic(id);
        let topic = self.topics.get_mut(id).ok_or(TopicError::Unknown)?;
        let append_time = config.log_append_time;
        if topic.config.log_append_time != append_time {
            for partition in topic.partitions() {
                if let Some(row) = self.partitions.get_mut(partition) {
                    row.log_append_time = append_time;
                }
            }
        }
        topic.overrides = overrides;
        let is_queue = config.queue.is_some();
        topic.config = config;
        if !is_queue {
            let partitions: Vec<_> = match self.queues.is_empty() {
                true => Vec::new(),
                false => topic.partitions().collect(),
            };
            self.forget_queue(id, &partitions);
        }
        effects.push(Effect::TopicAltered { topic: id });
        Ok(id)
    }

    fn plan_topic(
        &self,
        create: &CreateTopic,
    ) -> Result<(Overrides, Arc<TopicConfig>), TopicError> {
        self.topics.check_new(&create.name, create.id)?;
        check_partitions(create.partitions, 0)?;
        self.check_room(create.partitions)?;
        let mut overrides = Overrides::new();
        for (name, value) in &create.configs {
            overrides.insert(name.clone(), check_value(name, value)?);
        }
        let config = self.config_of(&overrides)?;
        Ok((overrides, config))
    }

    fn plan_alter(
        &self,
        id: TopicId,
        changes: &[(String, Option<String>)],
    ) -> Result<(Overrides, Arc<TopicConfig>), TopicError> {
        let topic = self.topics.get(id).ok_or(TopicError::Unknown)?;
        let mut overrides = Overrides::clone(&topic.overrides);
        for (name, value) in changes {
            match value {
                Some(value) => {
                    overrides.insert(name.clone(), check_value(name, value)?);
                }
                None if definition(name).is_none() => {
                    let text = format!("unknown topic setting '{name}'");
                    return Err(TopicError::InvalidConfig(text));
                }
                None => {
                    overrides.remove(name);
                }
            }
        }
        let config = self.config_of(&overrides)?;
        Ok((overrides, config))
    }

    fn check_room(&self, added: u32) -> Result<(), TopicError> {
        let present = self.partitions.count();
        if present + u64::from(added) > CELL_PARTITIONS_MAX {
            return Err(TopicError::InvalidPartitions(format!(
                "the cell has {present} partitions and may have at most {CELL_PARTITIONS_MAX}: \
                 no room for {added} more"
            )));
        }
        Ok(())
    }

    /// The parsed settings, shared when there is nothing special about them.
    pub(crate) fn config_of(&self, overrides: &Overrides) -> Result<Arc<TopicConfig>, TopicError> {
        if overrides.is_empty() {
            return Ok(self.default_config.clone());
        }
        if let Some(known) = self.shared.config(overrides) {
            return Ok(known);
        }
        let config = TopicConfig::of(overrides);
        config.check()?;
        Ok(Arc::new(config))
    }

    fn save_topic(&mut self, id: TopicId) {
        if let Some(topic) = self.topics.get_mut(id) {
            topic.save(&mut self.saver);
        }
    }
}
