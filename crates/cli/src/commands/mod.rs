//! One file a command; each has `Args` and `run`.

pub mod bench;
pub mod completions;
pub mod config;
pub mod consume;
pub mod demo;
pub mod doctor;
pub mod group;
pub mod produce;
pub mod queue;
pub mod serve;
pub mod topic;
