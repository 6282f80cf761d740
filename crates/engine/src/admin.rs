//! Topics and their settings: create, delete, grow, alter, describe; producer ids.

use levada_catalog::{
    Command, Reply, State, Topic, TopicError,
    command::CreateTopic,
    topic_config::{self, Definition, Kind},
};
use levada_env::port::Urgency;
use levada_model::{Offset, ProducerEpoch, ProducerId, TopicId};

use crate::{AdminError, Engine, ReadError, TopicRef, read::resolve};

/// A topic as listeners see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub id: TopicId,
    pub name: String,
    pub partitions: u32,
    /// Only what differs from the defaults.
    pub configs: Vec<(String, String)>,
    pub created_ms: i64,
}

/// A topic to be created.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// `None`: the setting `num_partitions`.
    pub partitions: Option<u32>,
    pub configs: Vec<(String, String)>,
    /// Check only.
    pub validate_only: bool,
}

/// One change of a topic's setting (Kafka's IncrementalAlterConfigs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub name: String,
    pub op: ConfigOp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOp {
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds to a list setting.
    Append(String),
    /// Takes out of a list setting.
    Subtract(String),
}

/// A setting of a topic as it acts.
#[derive(Clone, Debug)]
pub struct TopicSetting {
    pub definition: &'static Definition,
    pub value: String,
    pub source: SettingSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    Topic,
    Default,
}

fn info(topic: &Topic) -> TopicInfo {
    TopicInfo {
        id: topic.id,
        name: topic.name.to_string(),
        partitions: topic.partition_count(),
        configs: topic
            .overrides
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        created_ms: topic.created_ms,
    }
}

fn find<'a>(state: &'a State, topic: &TopicRef) -> Result<&'a Topic, AdminError> {
    match topic {
        TopicRef::Name(name) => state.topic_named(name).ok_or(AdminError::UnknownTopic),
        TopicRef::Id(id) => state.topic(*id).ok_or(AdminError::UnknownTopicId),
    }
}

impl Engine {
    /// All topics, in the order of their names.
    pub fn topics(&self) -> Vec<TopicInfo> {
        let sequencer = &self.inner.sequencer;
        sequencer.read(|state| state.topics().map(info).collect())
    }

    pub fn topic(&self, topic: &TopicRef) -> Option<TopicInfo> {
        let sequencer = &self.inner.sequencer;
        sequencer.read(|state| find(state, topic).ok().map(info))
    }

    /// Looks at what a topic has for a setting, without a copy; `None`: no such topic, or it has not
    /// set it. Others wait for `look`.
    pub fn topic_setting<R>(
        &self,
        topic: &str,
        setting: &str,
        look: impl FnOnce(Option<&str>) -> R,
    ) -> R {
        self.inner.sequencer.read(|state| {
            let topic = state.topic_named(topic);
            look(topic.and_then(|topic| topic.overrides.get(setting).map(String::as_str)))
        })
    }

    /// Creates a topic; it can be written to when this returns.
    ///
    /// # Errors
    /// Its name, number of partitions or settings are refused, or it exists.
    pub async fn create_topic(&self, new: NewTopic) -> Result<TopicInfo, AdminError> {
        let mut id = [0; 16];
        self.inner.env.random_bytes(&mut id);
        // Zero is the protocol's "no id"; one bit rules it out.
        id[0] |= 1;
        let create = CreateTopic {
            name: new.name,
            id: TopicId(id),
            partitions: new.partitions.unwrap_or(self.inner.settings.num_partitions),
            configs: new.configs,
        };
        self.inner
            .sequencer
            .read(|state| state.check_create_topic(&create))?;
        if new.validate_only {
            return Ok(TopicInfo {
                // As Kafka does: an id that no topic will ever have.
                id: create.id,
                name: create.name,
                partitions: create.partitions,
                configs: create.configs,
                created_ms: self.inner.env.now_ms(),
            });
        }
        let id = create.id;
        self.change(Command::CreateTopic(create)).await?;
        self.topic(&TopicRef::Id(id))
            .ok_or(AdminError::UnknownTopic)
    }

    /// Deletes a topic with its records and committed offsets.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn delete_topic(&self, topic: &TopicRef) -> Result<TopicId, AdminError> {
        let id = self
            .inner
            .sequencer
            .read(|state| find(state, topic).map(|t| t.id))?;
        self.change(Command::DeleteTopic { topic: id }).await?;
        Ok(id)
    }

    /// Grows a topic to `total` partitions.
    ///
    /// # Errors
    /// It does not exist, or has as many already.
    pub async fn grow_topic(
        &self,
        name: &str,
        total: u32,
        validate_only: bool,
    ) -> Result<(), AdminError> {
        let topic = TopicRef::Name(name.to_owned());
        let id = self.inner.sequencer.read(|state| {
            let id = find(state, &topic)?.id;
            state.check_create_partitions(id, total)?;
            Ok::<_, AdminError>(id)
        })?;
        if !validate_only {
            self.change(Command::CreatePartitions { topic: id, total })
                .await?;
        }
        Ok(())
    }

    /// Moves a partition's log start to `before` (`None`: the high watermark).
    ///
    /// # Errors
    /// [`AdminError::OffsetOutOfRange`] beyond the high watermark.
    pub async fn delete_records(
        &self,
        topic: &TopicRef,
        partition: i32,
        before: Option<Offset>,
    ) -> Result<Offset, AdminError> {
        let (id, to) = self.inner.sequencer.read(|state| {
            let id = resolve(state, topic, partition)?;
            let partition = state.partition(id).ok_or(ReadError::UnknownPartition)?;
            let end = partition.high_watermark();
            let to = before.unwrap_or(end);
            match to > end || to.0 < 0 {
                true => Err(AdminError::OffsetOutOfRange),
                false => Ok((id, to)),
            }
        })?;
        let command = Command::AdvanceLogStart {
            moves: vec![(id, to)],
        };
        match self
            .inner
            .sequencer
            .propose(command, Urgency::Reclaim)
            .await?
        {
            Reply::LogStarts(starts) => match starts.as_slice() {
                [Some(start)] => Ok(*start),
                _ => Err(AdminError::UnknownPartition),
            },
            other => unreachable!("moved log starts are answered as such, not by {other:?}"),
        }
    }

    /// Every setting of a topic with its value and where that comes from.
    ///
    /// # Errors
    /// The topic does not exist.
    pub fn topic_configs(&self, topic: &TopicRef) -> Result<Vec<TopicSetting>, AdminError> {
        self.inner.sequencer.read(|state| {
            let topic = find(state, topic)?;
            let setting = |definition: &'static Definition| {
                let own = topic.overrides.get(definition.name);
                TopicSetting {
                    definition,
                    value: own.map_or(definition.default, String::as_str).to_owned(),
                    source: match own {
                        Some(_) => SettingSource::Topic,
                        None => SettingSource::Default,
                    },
                }
            };
            let own = |name: &str| topic.overrides.get(name).map(String::as_str);
            Ok(topic_config::definitions_for(own).map(setting).collect())
        })
    }

    /// Changes settings of a topic; all of them or none.
    ///
    /// # Errors
    /// [`AdminError::InvalidConfig`] names what is wrong.
    pub async fn alter_topic(
        &self,
        topic: &TopicRef,
        changes: Vec<ConfigChange>,
        validate_only: bool,
    ) -> Result<(), AdminError> {
        let (id, changes) = self.inner.sequencer.read(|state| {
            let topic = find(state, topic)?;
            let changes: Vec<_> = changes
                .into_iter()
                .map(|change| settle_change(topic, change))
                .collect::<Result<_, _>>()?;
            state.check_alter_topic(topic.id, &changes)?;
            Ok::<_, AdminError>((topic.id, changes))
        })?;
        if !validate_only {
            self.change(Command::AlterTopic { topic: id, changes })
                .await?;
        }
        Ok(())
    }

    /// Replaces all of a topic's settings: what is not named goes back to its default.
    ///
    /// # Errors
    /// As [`Engine::alter_topic`].
    pub async fn replace_topic_configs(
        &self,
        topic: &TopicRef,
        configs: Vec<(String, String)>,
        validate_only: bool,
    ) -> Result<(), AdminError> {
        let old = self.topic(topic).ok_or(AdminError::UnknownTopic)?.configs;
        let gone = old
            .into_iter()
            .filter(|(name, _)| configs.iter().all(|(kept, _)| kept != name))
            .map(|(name, _)| ConfigChange {
                name,
                op: ConfigOp::Delete,
            });
        let set = configs.iter().map(|(name, value)| ConfigChange {
            name: name.clone(),
            op: ConfigOp::Set(value.clone()),
        });
        self.alter_topic(topic, gone.chain(set).collect(), validate_only)
            .await
    }

    /// Live bytes of each partition of a topic, in order.
    pub fn log_sizes(&self, topic: &TopicRef) -> Vec<(i32, u64)> {
        self.inner.sequencer.read(|state| {
            let Ok(topic) = find(state, topic) else {
                return Vec::new();
            };
            let partitions = topic.partitions().filter_map(|id| state.partition(id));
            partitions.map(|p| (p.index(), p.live_bytes())).collect()
        })
    }

    /// A producer id for an idempotent producer without transactional id.
    ///
    /// # Errors
    /// Storage refused.
    pub async fn allocate_producer(&self) -> Result<(ProducerId, ProducerEpoch), AdminError> {
        let command = Command::AllocateProducer;
        match self
            .inner
            .sequencer
            .propose(command, Urgency::Normal)
            .await?
        {
            Reply::Producer { id, epoch } => Ok((id, epoch)),
            other => unreachable!("an allocation is answered as such, not by {other:?}"),
        }
    }

    async fn change(&self, command: Command) -> Result<TopicId, AdminError> {
        // Deletes and shorter retention make room.
        let urgency = match command {
            Command::CreateTopic { .. } => Urgency::Reserve,
            _ => Urgency::Reclaim,
        };
        match self.inner.sequencer.propose(command, urgency).await? {
            Reply::Topic(result) => Ok(result?),
            other => unreachable!("a topic command is answered as such, not by {other:?}"),
        }
    }
}

impl From<ReadError> for AdminError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::UnknownTopicId => AdminError::UnknownTopicId,
            ReadError::UnknownPartition => AdminError::UnknownPartition,
            ReadError::UnknownTopic => AdminError::UnknownTopic,
            other => AdminError::Storage(other.to_string()),
        }
    }
}

/// Turns list operations into the value that results.
fn settle_change(
    topic: &Topic,
    change: ConfigChange,
) -> Result<(String, Option<String>), AdminError> {
    let definition = topic_config::definition(&change.name);
    let current = || {
        let own = topic.overrides.get(&change.name).map(String::as_str);
        let default = definition.map_or("", |d| d.default);
        let items = own.unwrap_or(default).split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let list_only = || match definition {
        Some(definition) if is_list(definition) => Ok(()),
        _ => Err(TopicError::InvalidConfig(format!(
            "{} is not a list: set it instead of adding to it",
            change.name
        ))),
    };
    let value = match &change.op {
        ConfigOp::Set(value) => Some(value.clone()),
        ConfigOp::Delete => None,
        ConfigOp::Append(more) => {
            list_only()?;
            let mut items = current();
            for item in more.split(',').map(str::trim) {
                if items.iter().all(|old| old != item) {
                    items.push(item.to_owned());
                }
            }
            Some(items.join(","))
        }
        ConfigOp::Subtract(less) => {
            list_only()?;
            let less: Vec<_> = less.split(',').map(str::trim).collect();
            let mut items = current();
            items.retain(|item| !less.contains(&item.as_str()));
            Some(items.join(","))
        }
    };
    Ok((change.name, value))
}

fn is_list(definition: &Definition) -> bool {
    matches!(definition.kind, Kind::ListOf(_))
}
