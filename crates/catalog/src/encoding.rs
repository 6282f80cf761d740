//! The stored form of commands. (Being written.)

use bytes::Bytes;

use crate::command::CommandGroup;

pub(crate) fn encode_group(_group: &CommandGroup) -> Bytes {
    Bytes::new()
}
