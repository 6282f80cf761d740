//! The listener over a real engine in memory, driven with raw HTTP in both protocols.
#![allow(clippy::disallowed_methods)]

mod attributes;
mod dead_letters;
mod fifo;
mod hostile;
mod messages;
mod policies;
mod signed;
mod support;
