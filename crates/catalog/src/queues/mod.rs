//! The queue side of a topic: which messages are done, which are an exception to "never received".

mod settings;

pub use settings::{QueueOrigin, QueueSettings};
