//! A consumer that shares topics with the other members of its group (the classic protocol).

pub mod assignor;
mod member;
pub mod protocol;

use std::collections::BTreeMap;
use std::time::Duration;

use levada_env::Env;

use crate::cluster::Client;
use crate::consumer::{ConsumedBatch, Consumer, ConsumerOptions};
use crate::error::{ClientError, ClientResult};
use member::{Member, Signal};

/// How a member takes part in its group.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    pub group: String,
    pub topics: Vec<String>,
    /// Makes the member static (KIP-345): it keeps its partitions over a short restart.
    pub instance_id: Option<String>,
    /// Without a sign of life for so long, the group goes on without the member.
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// How long the group waits for a member to rejoin.
    pub rebalance_timeout: Duration,
    /// How often positions are committed by themselves; `None`: only when told to.
    pub auto_commit_interval: Option<Duration>,
    pub consumer: ConsumerOptions,
}

impl GroupOptions {
    /// The defaults.
    pub fn new(group: &str, topics: &[&str]) -> Self {
        Self {
            group: group.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            instance_id: None,
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(60),
            auto_commit_interval: Some(Duration::from_secs(5)),
            consumer: ConsumerOptions::default(),
        }
    }
}

/// A member of a group. What [`GroupConsumer::poll`] gave counts as done at the next `poll`, and is
/// committed then by the interval (at least once). Close it with [`GroupConsumer::close`]; dropped,
/// it leaves by its session timeout.
pub struct GroupConsumer {
    env: Env,
    client: Client,
    options: GroupOptions,
    consumer: Consumer,
    member: Member,
    joined: bool,
    /// Given to the caller, not counted as done yet.
    handed: Option<(String, i32, i64)>,
    /// Done and not committed yet.
    done: BTreeMap<(String, i32), i64>,
    committed_at: Duration,
}

impl GroupConsumer {
    /// A member that joins with its first `poll`. `client` is shared, its connections are its own.
    pub fn new(client: &Client, options: GroupOptions) -> Self {
        Self {
            env: client.env().clone(),
            client: client.clone(),
            consumer: Consumer::new(client, options.consumer.clone()),
            member: Member::new(client, &options),
            options,
            joined: false,
            handed: None,
            done: BTreeMap::new(),
            committed_at: client.env().monotonic(),
        }
    }

    /// What is assigned to this member: topic, partition, next offset.
    pub fn positions(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.consumer.positions()
    }

    /// See [`Consumer::lag`]; only what this member reads.
    pub fn lag(&self) -> Option<i64> {
        self.consumer.lag()
    }

    /// Whether the member has its partitions.
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// The next batch of what is assigned, or `None` when there is none within `wait`. Joins, and
    /// rejoins when the group changes, which may take longer than `wait`.
    ///
    /// # Errors
    /// As [`Consumer::poll`], and the group's refusals.
    pub async fn poll(&mut self, wait: Duration) -> ClientResult<Option<ConsumedBatch>> {
        if let Some((topic, partition, next)) = self.handed.take() {
            self.done.insert((topic, partition), next);
        }
        let deadline = self.env.monotonic().saturating_add(wait);
        loop {
            if !self.joined {
                self.join().await?;
            }
            self.commit_if_due().await?;
            let left = deadline.saturating_sub(self.env.monotonic());
            let left = match self.options.auto_commit_interval {
                Some(interval) => left.min(interval),
                None => left,
            };
            let signalled = tokio::select! {
                biased;
                signal = self.member.signalled() => Some(signal),
                batch = self.consumer.poll(left) => match batch? {
                    Some(batch) => {
                        let topic = batch.topic.to_string();
                        self.handed = Some((topic, batch.partition, batch.next_offset()));
                        return Ok(Some(batch));
                    }
                    None => None,
                },
            };
            match signalled {
                Some(signal) => self.prepare_rejoin(signal).await,
                None if self.env.monotonic() >= deadline => return Ok(None),
                None => {}
            }
        }
    }

    /// Counts only what lies before `offset` as done, of the batch that was given last.
    pub fn done_up_to(&mut self, topic: &str, partition: i32, offset: i64) {
        self.handed = Some((topic.to_owned(), partition, offset));
    }

    /// Commits everything that was given so far.
    ///
    /// # Errors
    /// The group's refusal; REBALANCE_IN_PROGRESS and the like mean that others will get it again.
    pub async fn commit(&mut self) -> ClientResult<()> {
        if let Some((topic, partition, next)) = self.handed.take() {
            self.done.insert((topic, partition), next);
        }
        self.commit_done().await
    }

    async fn commit_done(&mut self) -> ClientResult<()> {
        self.committed_at = self.env.monotonic();
        if self.done.is_empty() {
            return Ok(());
        }
        // Kept until it is committed: whoever drops this may close the member yet.
        self.member.commit(&self.done).await?;
        self.done.clear();
        Ok(())
    }

    async fn commit_if_due(&mut self) -> ClientResult<()> {
        let Some(interval) = self.options.auto_commit_interval else {
            return Ok(());
        };
        if self.env.monotonic().saturating_sub(self.committed_at) < interval {
            return Ok(());
        }
        match self.commit_done().await {
            Err(error) if self.member.must_rejoin(&error) || error.is_retriable() => {
                tracing::debug!(%error, "the commit is tried again");
                Ok(())
            }
            result => result,
        }
    }

    /// Before partitions are given up, what is done is committed if the group still listens.
    async fn prepare_rejoin(&mut self, signal: Signal) {
        if signal == Signal::Rebalance
            && self.options.auto_commit_interval.is_some()
            && let Err(error) = self.commit_done().await
        {
            tracing::debug!(%error, "not committed before the rebalance");
        }
        self.done.clear();
        self.consumer.assign([]);
        self.joined = false;
    }

    async fn join(&mut self) -> ClientResult<()> {
        let mut retries = self.client.retries();
        let assigned = loop {
            match self.member.join().await {
                Err(error) if retries.again(&error).await => {}
                done => break done?,
            }
        };
        let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &assigned {
            wanted.entry(topic.clone()).or_default().push(*partition);
        }
        let mut committed = BTreeMap::new();
        if !wanted.is_empty() {
            committed = self
                .client
                .committed_offsets(&self.options.group, Some(&wanted))
                .await?;
        }
        let mut partitions = Vec::with_capacity(assigned.len());
        for (topic, partition) in assigned {
            let place = (topic, partition);
            let offset = match committed.get(&place) {
                Some(committed) => committed.offset,
                None => self.consumer.reset_offset(&place.0, place.1).await?,
            };
            partitions.push((place.0, place.1, offset));
        }
        tracing::debug!(group = %self.options.group, ?partitions, "joined");
        self.consumer.assign(partitions);
        self.committed_at = self.env.monotonic();
        self.joined = true;
        Ok(())
    }

    /// Commits what was given and leaves the group, so that the others take over at once; also one
    /// that it was about to join.
    ///
    /// # Errors
    /// Those of the commit; the member has left all the same.
    pub async fn close(mut self) -> ClientResult<()> {
        let committed = if self.joined {
            self.commit().await
        } else {
            Ok(())
        };
        if let Err(error) = self.member.leave(self.joined).await {
            tracing::debug!(%error, "left without a goodbye");
        }
        match committed {
            Err(ClientError::Closed) => Ok(()),
            other => other,
        }
    }
}
