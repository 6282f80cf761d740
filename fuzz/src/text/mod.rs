//! What people and their tools write: configuration, identity, command lines.

pub mod command_line;
pub mod config;
pub mod parsers;
pub mod policy;
