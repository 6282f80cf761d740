//! A small Kafka client over the wire crate, for any Kafka cluster: the commands, the demo and the
//! load generator stand on it.
//!
//! - [`Client`] finds brokers and leaders and keeps connections; its methods in [`admin`] are what
//!   an administrator does.
//! - [`Producer`] gathers records into batches and sends them, in order through retries.
//! - [`Consumer`] reads partitions that it is told to; [`GroupConsumer`] shares a topic with others.
//! - [`raw`] sends one prepared request over and over, for load.
//!
//! Everything reaches the machine through `levada_env::Env`; no byte from a broker makes it panic.

pub mod admin;
pub mod cluster;
pub mod connection;
pub mod consumer;
pub mod error;
pub mod group;
pub mod metadata;
pub mod patience;
pub mod producer;
pub mod raw;

pub use cluster::{Client, ClientOptions, Lane};
pub use connection::{Connection, ConnectionOptions};
pub use consumer::{ConsumedBatch, Consumer, ConsumerOptions, ResetTo};
pub use error::{ClientError, ClientResult};
pub use group::{GroupConsumer, GroupOptions};
pub use metadata::{Broker, Partition, Topic};
pub use patience::{Notice, Patience};
pub use producer::{Acks, Delivered, Delivery, Producer, ProducerOptions};
