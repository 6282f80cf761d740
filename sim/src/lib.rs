//! The whole service in one process with simulated time, network and disk, driven from a seed; and
//! the checks that every history of what clients saw must pass.

pub mod broker;
pub mod clients;
pub mod faults;
pub mod flip;
pub mod history;
pub mod injector;
pub mod network;
pub mod plan;
pub mod report;
pub mod run;
pub mod sweep;
pub mod world;
