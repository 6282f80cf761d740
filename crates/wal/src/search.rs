//! The search for a group's header where nobody knows where one begins: at each block boundary.

use crate::error::WalError;
use crate::format::{BLOCK_BYTES, GROUP_HEADER_BYTES, GroupHeader};

/// Bytes looked through at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Calls `look` with a window and each block boundary in it between `from` and `to`, as an index
/// into the window and as a position. The window reaches one header further to both sides. `read`
/// fills a buffer from an offset in the file that starts at position `start`.
pub(crate) fn search<T>(
    read: impl Fn(&mut [u8], u64) -> Result<(), WalError>,
    start: u64,
    from: u64,
    to: u64,
    look: impl Fn(&[u8], usize, u64) -> Option<T>,
) -> Result<Option<T>, WalError> {
    let margin = GROUP_HEADER_BYTES as u64;
    let mut at = from;
    let mut window = Vec::new();
    while at <= to {
        let base = at.saturating_sub(margin);
        let end = (at + CHUNK_BYTES + margin).min(to);
        window.resize(end.saturating_sub(base) as usize, 0);
        read(&mut window, base)?;
        let chunk_end = (at + CHUNK_BYTES).min(to + 1);
        while at < chunk_end {
            if let Some(found) = look(&window, (at - base) as usize, start + at) {
                return Ok(Some(found));
            }
            at += BLOCK_BYTES;
        }
    }
    Ok(None)
}

/// The header, with its checksum, of a group that begins at index `at` of a window, which is
/// `position` in the log: one that stands elsewhere is a stray copy and proves nothing.
pub(crate) fn head(window: &[u8], at: usize, position: u64) -> Option<(GroupHeader, u64)> {
    let found = GroupHeader::decode(window.get(at..)?)?;
    (found.0.position == position).then_some(found)
}

/// The same of a group that ends there.
pub(crate) fn footer(window: &[u8], at: usize, position: u64) -> Option<(GroupHeader, u64)> {
    let bytes = window.get(at.checked_sub(GROUP_HEADER_BYTES)?..at)?;
    let found = GroupHeader::decode(bytes)?;
    (found.0.end() == position).then_some(found)
}
