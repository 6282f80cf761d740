//! The stored form of commands. (Being written.)

use bytes::Bytes;
use levada_model::codec::DecodeError;

use crate::command::CommandGroup;

pub(crate) fn encode_group(_group: &CommandGroup) -> Bytes {
    Bytes::new()
}

/// Reads what [`CommandGroup::encode`] wrote.
///
/// # Errors
/// When the bytes are not the stored form of a command group.
pub fn decode_group(_bytes: &[u8]) -> Result<CommandGroup, DecodeError> {
    Err(DecodeError("being written"))
}
