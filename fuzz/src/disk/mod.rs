//! What is read from the disk: written by us once, by a failing device or anybody since.

pub mod commands;
pub mod folder;
pub mod index_run;
pub mod snapshot;
