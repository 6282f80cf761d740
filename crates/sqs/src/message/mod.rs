//! Messages between their two forms: fields of a request, and a record with headers.

mod attributes;
mod contents;
mod headers;
mod receive;
mod send;

use attributes::Attribute;

pub use attributes::is_all;
pub use contents::{hex, is_id};
pub use headers::RESERVED;
pub use receive::{Delivered, Wanted, write_message};
pub use send::{Outgoing, QueueRules, SentReply};
