//! Damage to a stored byte costs the frame it hit and no other, over the real log, journal,
//! sequencer and engine.
//!
//! One byte in thirteen has a bit of it flipped, one at a time; all of them with
//! `LEVADA_DAMAGE_EVERY=1`, which takes ten minutes.
#![allow(clippy::disallowed_methods)]

mod check;
mod flips;
mod folder;
mod layout;
mod pairs;
mod survey;

/// A world without threads and with a clock of its own.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}
