//! Queues: what is sent is received, hidden, acknowledged; over restarts too. Time is simulated.
#![allow(clippy::disallowed_methods)]

mod damage;
mod dead_letters;
mod deep;
mod fair;
mod fifo;
mod full_disk;
mod moves;
mod restart;
mod standard;
mod support;
mod told;
mod with_streams;
