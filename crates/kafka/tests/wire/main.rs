//! The listener over a real engine in memory, driven with frames over loopback.
#![allow(clippy::disallowed_methods)]

mod address;
mod admin;
mod crowded;
mod deadline;
mod flow;
mod groups;
mod hostile;
mod support;
