//! The headers that stand before each request and each answer.

use crate::api::ApiKey;
use crate::reader::{Reader, WireError};
use crate::types::KStr;
use crate::writer::Writer;

/// What stands before a request: version 2 of it for flexible versions, else 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API's number, see [`ApiKey`]; one that we do not know can be read too.
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<KStr>,
}

impl RequestHeader {
    /// Reads a header; of an unknown API or version as if it were not flexible.
    ///
    /// # Errors
    /// [`WireError`] if it is cut short or its client id is not a string.
    pub fn decode(reader: &mut Reader) -> Result<Self, WireError> {
        let header = Self {
            api_key: reader.i16()?,
            api_version: reader.i16()?,
            correlation_id: reader.i32()?,
            // Never compact, in any version of the header.
            client_id: reader.string(false)?,
        };
        if header.is_flexible() {
            reader.skip_tagged()?;
        }
        Ok(header)
    }

    /// Writes the header that belongs to its API and version.
    pub fn encode(&self, writer: &mut Writer) {
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.string(self.client_id.as_deref(), false);
        if self.is_flexible() {
            writer.uvarint(0);
        }
    }

    /// Only a version that we know can be flexible: a newer one may come from any client, and is
    /// answered by its correlation id alone.
    fn is_flexible(&self) -> bool {
        ApiKey::try_from(self.api_key).is_ok_and(|key| key.is_flexible(self.api_version))
    }
}

/// What stands before an answer: version 1 of it for flexible versions, else 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header of an answer to a request of `key` in `version`.
    ///
    /// # Errors
    /// [`WireError`] if it is cut short.
    pub fn decode(reader: &mut Reader, key: ApiKey, version: i16) -> Result<Self, WireError> {
        let correlation_id = reader.i32()?;
        if Self::is_flexible(key, version) {
            reader.skip_tagged()?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes the header of an answer to a request of `key` in `version`.
    pub fn encode(&self, writer: &mut Writer, key: ApiKey, version: i16) {
        writer.i32(self.correlation_id);
        if Self::is_flexible(key, version) {
            writer.uvarint(0);
        }
    }

    /// ApiVersions' is always version 0, since a client cannot know yet what we speak (KIP-511).
    fn is_flexible(key: ApiKey, version: i16) -> bool {
        key != ApiKey::ApiVersions && key.is_flexible(version)
    }
}
