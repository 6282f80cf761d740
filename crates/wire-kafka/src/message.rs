//! What every message can do.

use crate::api::ApiKey;
use crate::field::{Field, Version};
use crate::reader::{Reader, WireError};
use crate::writer::Writer;

/// A request's or an answer's body.
pub trait Message: Field + Clone + Default + std::fmt::Debug + PartialEq {
    /// Kafka's name of the message.
    const NAME: &'static str;

    /// The first flexible version (KIP-482).
    const FLEXIBLE_FROM: i16;

    /// Reads a body. Bytes may be left over; see [`Reader::expect_end`].
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not this message in this version.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, WireError>;

    /// Writes a body. What `version` does not carry is left out silently.
    fn encode(&self, writer: &mut Writer, version: i16);

    /// How `version` stands on the wire.
    #[doc(hidden)]
    fn wire_version(version: i16) -> Version {
        Version {
            number: version,
            flexible: version >= Self::FLEXIBLE_FROM,
        }
    }
}

/// A request with the answer that belongs to it.
pub trait Request: Message {
    const KEY: ApiKey;
    type Response: Message;
}
