//! The whole service in one process with simulated time, network and disk, driven from a seed; and
//! the checks that every history of what clients saw must pass.

pub mod history;
