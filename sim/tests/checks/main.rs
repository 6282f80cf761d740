//! The checks themselves on trial: correct histories pass, and each kind of violation is caught by
//! the check that promises it.

mod broker;
mod clients;
mod correct;
mod groups;
mod log;
mod mutants;
mod mutations;
mod queues;
mod records;
mod script;
mod topics;
