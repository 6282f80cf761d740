//! The write-ahead log: framed, checksummed files, one sync for everybody who waits.
//!
//! Appends get their place at once and are only queued ([`Wal::append`]). One writer turns what
//! waits into a *group*, writes it with one vectored write and one sync, and wakes all who asked
//! for it ([`Wal::sync_to`]). What `sync_to` confirmed survives any crash, byte for byte and in
//! order; what it refused with [`WalError::Full`] never happened.
//!
//! The log knows two kinds of frames: data, which is read back by its place, and commands, which
//! are replayed in order and stored twice. It knows nothing of topics. [`format`] defines the
//! stored form, `walk` tells a torn tail from damage, `recovery` says what opening does.

mod config;
mod error;
mod files;
pub mod format;
mod group;
mod handle;
mod metrics;
mod pool;
mod recovery;
mod search;
mod seen;
mod shared;
mod state;
mod survey;
mod tail;
mod walk;
mod writer;

pub use config::{Durability, WalConfig};
pub use error::WalError;
pub use files::FileInfo;
pub use format::FrameKind;
pub use handle::Wal;
pub use metrics::{SYNC_CLASSES_US, WalMetrics};
pub use recovery::{DamagedRange, Recovered, TornTail};
pub use state::{Appended, Priority};
pub use survey::{Damage, DamageKind, Survey, survey};
