//! The measuring core of every load: one histogram, one pace, one set of figures, whatever protocol
//! its driver speaks, so that figures of different systems can be held against each other.

mod figures;
mod pace;

pub use figures::{Asked, Figures, Latencies, Tally, latencies};
pub use pace::{Pace, Turn};
