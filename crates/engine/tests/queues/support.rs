//! An engine with a queue, and short words for what tests do with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use levada_engine::queue::{Message, NewMessage, NewQueue, QueueError, Receive, Sent};
use levada_engine::testing::{engine_on, engine_over};
use levada_engine::{Engine, EngineSettings};
use levada_env::fault::{Crash, FaultFs};
use levada_env::{Clock, Env, Fs};
use levada_journal::local::LocalJournal;
use levada_journal::memory::MemoryJournal;
use levada_sequencer::command_log::memory::MemoryLog;
use levada_sequencer::command_log::wal::WalLog;
use levada_wal::WalConfig;

/// An engine on storage that outlives it.
pub struct Cell {
    pub engine: Engine,
    env: Env,
    storage: Storage,
}

enum Storage {
    Memory(Arc<MemoryJournal>, MemoryLog),
    Disk(FaultFs),
}

const DIR: &str = "/data";

impl Cell {
    pub async fn start() -> Self {
        let env = Env::simulated(1, Arc::new(FaultFs::new(1)));
        let (journal, log) = (Arc::default(), MemoryLog::new());
        Self::on(env, journal, log).await
    }

    pub async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let env = Env::simulated(1, Arc::new(FaultFs::new(1))).with_clock(clock);
        let (journal, log) = (Arc::default(), MemoryLog::new());
        Self::on(env, journal, log).await
    }

    async fn on(env: Env, journal: Arc<MemoryJournal>, log: MemoryLog) -> Self {
        let settings = EngineSettings::default();
        let engine = engine_on(env.clone(), settings, Arc::clone(&journal), log.clone()).await;
        Self {
            engine,
            env,
            storage: Storage::Memory(journal, log),
        }
    }

    /// On the real log, with a small reserve, and nothing of it in memory.
    pub async fn on_disk(fs: &FaultFs) -> Self {
        let settings = EngineSettings {
            queue_ahead_bytes: 0,
            ..Self::on_disk_settings()
        };
        Self::on_disk_with(fs, settings).await
    }

    /// On the real log, with little of its index and none of its records in memory.
    pub async fn deep() -> Self {
        let settings = EngineSettings {
            index_tail_entries_max: 64,
            ..Self::on_disk_settings()
        };
        Self::on_disk_with(&FaultFs::new(1), settings).await
    }

    fn on_disk_settings() -> EngineSettings {
        EngineSettings {
            tail_cache_bytes: 0,
            disk_slack_bytes: 1 << 30,
            maintenance_interval: Duration::from_secs(1),
            ..EngineSettings::default()
        }
    }

    async fn on_disk_with(fs: &FaultFs, settings: EngineSettings) -> Self {
        let env = Env::simulated(5, Arc::new(fs.clone()));
        let config = WalConfig {
            file_bytes_max: 64 << 10,
            group_bytes_max: 16 << 10,
            pool_bytes_max: 0,
            reserve_bytes: 512 << 10,
            ..WalConfig::default()
        };
        let (log, _) = WalLog::open(&env, Path::new(DIR), config).unwrap();
        let journal = LocalJournal::new(env.clone(), log.wal().clone());
        let engine = engine_over(env.clone(), settings, Arc::new(journal), log).await;
        Self {
            engine,
            env,
            storage: Storage::Disk(fs.clone()),
        }
    }

    /// As after `kill -9`: what was durable is there, the rest is gone.
    pub async fn restart(self) -> Self {
        match self.storage {
            Storage::Memory(journal, log) => Self::on(self.env, journal, log).await,
            Storage::Disk(fs) => {
                drop(self.engine);
                fs.crash(Crash::LoseUnsynced);
                Self::on_disk(&fs).await
            }
        }
    }

    /// Flips a bit of the stored bytes `text`.
    pub fn flip(&self, text: &str) {
        let Storage::Disk(fs) = &self.storage else {
            panic!("nothing is stored");
        };
        let folder = Path::new(DIR).join("wal");
        for name in fs.read_dir(&folder).unwrap() {
            let path = folder.join(name);
            let bytes = fs.read(&path).unwrap();
            let found = bytes.windows(text.len()).position(|w| w == text.as_bytes());
            if let Some(at) = found {
                return fs.flip_bit(&path, at as u64, 0).unwrap();
            }
        }
        panic!("{text} is not stored");
    }

    pub async fn queue(&self, name: &str, configs: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let new = NewQueue {
            name: name.to_owned(),
            configs: configs.iter().map(own).collect(),
        };
        self.engine.create_queue(new).await.unwrap();
    }

    pub async fn send(&self, queue: &str, body: &str) -> Sent {
        self.send_message(queue, message(body)).await.unwrap()
    }

    pub async fn send_message(&self, queue: &str, new: NewMessage) -> Result<Sent, QueueError> {
        let mut sent = self.engine.send(queue, vec![new]).await;
        sent.pop().expect("one result a message")
    }

    /// Up to ten, without waiting.
    pub async fn receive(&self, queue: &str) -> Vec<Message> {
        let received = self.engine.receive(queue, receive(10, 0)).await;
        received.unwrap()
    }

    pub async fn bodies(&self, queue: &str) -> Vec<String> {
        bodies(&self.receive(queue).await)
    }

    pub async fn acknowledge(&self, queue: &str, message: &Message) -> Result<(), QueueError> {
        let receipts = [message.receipt.clone()];
        let mut results = self.engine.acknowledge(queue, &receipts).await;
        results.pop().expect("one result a receipt")
    }

    pub async fn hide(&self, queue: &str, message: &Message, s: u64) -> Result<(), QueueError> {
        let change = [(message.receipt.clone(), Duration::from_secs(s))];
        let mut results = self.engine.change_visibility(queue, &change).await;
        results.pop().expect("one result a receipt")
    }

    /// Visible, in flight, delayed.
    pub fn counts(&self, queue: &str) -> (u64, u64, u64) {
        let counts = self.engine.queue(queue).unwrap().counts;
        (counts.visible, counts.in_flight, counts.delayed)
    }

    pub async fn pass(&self, seconds: u64) {
        self.env.sleep(Duration::from_secs(seconds)).await;
    }
}

pub fn message(body: &str) -> NewMessage {
    NewMessage {
        body: Bytes::copy_from_slice(body.as_bytes()),
        ..NewMessage::default()
    }
}

/// Of a group.
pub fn member(group: &str, body: &str) -> NewMessage {
    NewMessage {
        group: Some(Bytes::copy_from_slice(group.as_bytes())),
        ..message(body)
    }
}

pub fn receive(messages_max: usize, wait_s: u64) -> Receive {
    Receive {
        messages_max,
        bytes_max: 1 << 20,
        visibility: None,
        wait: Some(Duration::from_secs(wait_s)),
        attempt: None,
    }
}

pub fn bodies(messages: &[Message]) -> Vec<String> {
    let text = |message: &Message| String::from_utf8_lossy(&message.body).into_owned();
    messages.iter().map(text).collect()
}
