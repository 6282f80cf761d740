//! Configuration: one table of settings, read from a file, the environment and flags.
//!
//! [`table`] is the only list of settings. What a person can read about them (`levada config
//! default`, `config show`, `docs/configuration.md`) is generated from it, so it cannot be wrong.

pub mod document;
pub mod load;
pub mod table;
pub mod value;

pub use load::{ConfigError, Layers, Loaded, Source};
pub use table::{SETTINGS, Setting, Settings, setting};
