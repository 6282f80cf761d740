//! The Kafka protocol without I/O: messages from tables, bounds checked, zero-copy both ways.
//!
//! - [`messages`]: one struct for each message of the protocol and each of their parts.
//! - [`Reader`] reads a frame; strings, bytes and records that come out share its memory.
//! - [`Writer`] gathers a frame; large bytes go in by reference and out by a vectored write.
//! - [`header`]: what stands before each request and answer. [`ApiKey`], [`ErrorCode`]: Kafka's lists.
//!
//! Nothing here knows of anything else of ours. No byte from outside makes it panic, and it takes
//! memory only for elements that the bytes really hold.

mod api;
mod array;
mod error_code;
mod field;
pub mod header;
mod message;
pub mod messages;
mod reader;
#[cfg(feature = "sample")]
pub mod sample;
mod table;
mod types;
mod writer;

pub use api::ApiKey;
pub use array::Array;
pub use error_code::ErrorCode;
pub use message::{Message, Request};
pub use reader::{Reader, STRING_BYTES_MAX, WireError};
pub use types::{KStr, Records, Uuid};
pub use writer::{FRAME_SIZE_BYTES, Frame, REFERENCE_BYTES_MIN, Writer};
