//! The queue side of a topic: which messages are done, and which are an exception to "never
//! received and not delayed". All others are a range above a floor and cost nothing.

mod command;
mod deduplication;
mod delays;
mod moves;
mod progress;
mod rules;
mod settings;
mod table;

pub use command::{Delivery, QueueCommand, QueuedBatch};
pub(crate) use command::{read_queued, write_queued};
pub use deduplication::{DEDUPLICATION_MS, Digest};
pub use moves::{
    MOVES_KEPT_MAX, MOVES_KEPT_MS, Move, MoveId, MoveState, MoveTable, MoveUpdate, NewMove,
};
pub use progress::{Exception, Progress};
pub use settings::{QueueOrigin, QueueSettings};
pub use table::{QueueTable, ReceiptKey};
