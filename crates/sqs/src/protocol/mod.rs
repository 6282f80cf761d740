//! The two wire protocols at the edge: bytes to one tree of [`Value`]s, one [`Writer`] back. What
//! lies between, the actions, knows neither.

pub mod fields;
pub mod json;
pub mod query;
pub mod reply;
mod value;
mod writer;

pub use fields::Fields;
pub use value::Value;
pub use writer::Writer;

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.0: SDKs since the end of 2023.
    Json,
    /// Form in, XML out: those before.
    Query,
}

/// What a field is called in each protocol.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub json: &'static str,
    pub query: &'static str,
}

impl Name {
    pub const fn new(json: &'static str, query: &'static str) -> Self {
        Self { json, query }
    }

    pub(crate) fn of(self, protocol: Protocol) -> &'static str {
        match protocol {
            Protocol::Json => self.json,
            Protocol::Query => self.query,
        }
    }
}
