//! Floor 5: the SQS front end over [`Engine`](levada_engine::Engine).
//!
//! A request's way: `listener` accepts (hyper reads HTTP) -> `http` finds the protocol, reads the
//! body within a budget (`arrival`), verifies the signature, and once the action is known asks the queue's policy
//! (`auth`) -> `protocol` decodes JSON or a form into
//! one tree -> one file an action in `actions` reads its fields, calls the engine's queues, and
//! writes its answer through `protocol`'s writer -> `errors` has each refusal's name in both.
//!
//! A queue is a topic: `queue_attributes` knows which attribute is which setting of it, `message`
//! how a message is a record.
//!
//! Knows the protocol and the engine. Knows no journal, no sequencer and no other listener.

mod actions;
mod arrival;
mod auth;
mod batch;
mod call;
mod documents;
mod errors;
mod http;
pub mod limits;
mod listener;
mod message;
mod metrics;
mod names;
mod paging;
mod protocol;
mod queue_attributes;
mod redrive;
mod settings;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod unsent;

pub use auth::{AccessKeys, KeyFileError};
pub use listener::SqsListener;
pub use metrics::{ActionSnapshot, MetricsSnapshot, SqsMetrics};
pub use settings::SqsSettings;
