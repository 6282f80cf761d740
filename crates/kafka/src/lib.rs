//! Floor 5: the Kafka front end over [`Engine`](levada_engine::Engine).
//!
//! A frame's way: `connection` reads it (`frame`, within a `budget` of bytes) -> `dispatch` finds
//! its API and version -> one file a API in `handlers` turns the message into a call of the engine
//! -> `errors` turns what the engine refuses into Kafka's codes -> `reply` writes the answers in
//! the order of their requests, many in one vectored write.
//!
//! Knows the protocol and the engine. Knows no journal, no sequencer and no other listener.

mod budget;
mod call;
mod clients;
mod connection;
mod deadline;
mod dispatch;
mod errors;
mod frame;
mod handlers;
mod listener;
mod metrics;
mod reply;
mod settings;

pub use clients::{Client, Clients};
pub use dispatch::advertised_apis;
pub use listener::KafkaListener;
pub use metrics::{ApiSnapshot, KafkaMetrics, LATENCY_BOUNDS_US, MetricsSnapshot};
pub use settings::{Advertised, InvalidAdvertised, KafkaSettings};

/// The one node id that every client sees.
pub const NODE_ID: i32 = 1;
