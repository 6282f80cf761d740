//! Floor 4: what the service does, in no protocol's words: append, read, topics, groups, retention.
//!
//! Knows the catalog, the two ports and records. Knows no socket, no wire code, and not which
//! backend was chosen. A produced batch goes `append` -> `accumulator` -> `committer` -> ports ->
//! catalog -> `tail`; a fetch goes `read` -> `tail`, or index -> `read_ahead` -> journal.

mod accumulator;
mod admin;
mod append;
mod committer;
mod effects;
mod engine;
mod errors;
pub mod groups;
mod index_run;
mod metrics;
mod offsets;
pub mod queue;
mod read;
mod read_ahead;
mod requests;
mod retention;
mod rewrite;
mod rules;
mod run_cache;
mod settings;
mod slices;
mod source;
pub mod survey;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
mod walk;
mod watch;

pub use admin::{ConfigChange, ConfigOp, NewTopic, SettingSource, TopicInfo, TopicSetting};
pub use append::AppendTicket;
pub use engine::{Engine, EngineSizes};
pub use errors::{AdminError, AppendError, ReadError};
pub use groups::{GroupError, GroupSettings, Groups};
pub use levada_catalog::topic_config::{self, Definition};
pub use metrics::{EngineMetrics, MetricsSnapshot};
pub use offsets::{FoundOffset, OffsetSpec};
pub use requests::{AppendEntry, Appended, ReadPartition, ReadRequest, ReadSlice, TopicRef};
pub use rules::BadRecord;
pub use settings::EngineSettings;
