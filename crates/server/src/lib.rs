//! The service as a whole: its configuration, the only list of listeners and backends, and the
//! order in which they start and stop.

pub mod config;
