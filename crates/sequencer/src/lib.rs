//! Floor 3: the one owner of the catalog's state at a time.
//!
//! Commands are logged, made durable together with the segments that they name, then applied in
//! position order; nothing that is not durable is visible. Knows no payload bytes and no journal.

pub mod command_log;
