//! A group as it lies on disk, and how it is mended from the group after it.

use bytes::Bytes;

use crate::format::GroupHeader;

/// A command with its position.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) position: u64,
    pub(crate) checksum: u64,
    pub(crate) payload: Bytes,
}

/// A sound group, or one whose damage is known exactly.
#[derive(Debug)]
pub(crate) struct WalkedGroup {
    pub(crate) header: GroupHeader,
    pub(crate) header_checksum: u64,
    /// Start of its file.
    pub(crate) file: u64,
    /// In order; mended where needed.
    pub(crate) commands: Vec<Command>,
    /// Damaged ranges of data: offset in the file and length.
    pub(crate) damaged: Vec<(u64, u64)>,
    /// Positions of commands taken from their copies.
    pub(crate) mended: Vec<u64>,
    /// Positions of commands that are lost, and that nobody needs.
    pub(crate) forgone: Vec<u64>,
    /// Copies of commands of the group before are damaged.
    pub(crate) broken_copies: bool,
}

/// A group as it lies on disk.
pub(crate) struct Seen {
    pub(crate) header: GroupHeader,
    pub(crate) header_checksum: u64,
    pub(crate) commands: Vec<Command>,
    pub(crate) copies: Vec<Command>,
    /// Positions of commands whose payload is damaged.
    pub(crate) broken_commands: Vec<u64>,
    pub(crate) broken_data: Vec<(u64, u64)>,
    pub(crate) broken_copies: bool,
    /// From here on, frames could not even be told apart: position.
    pub(crate) unresolved: Option<u64>,
}

impl Seen {
    pub(crate) fn is_sound(&self) -> bool {
        self.broken_commands.is_empty()
            && self.broken_data.is_empty()
            && !self.broken_copies
            && self.unresolved.is_none()
    }
}

impl Seen {
    /// Whether some of its commands behind `after` are to be read from their copies.
    pub(crate) fn needs_copies(&self, after: u64) -> bool {
        self.broken_commands.iter().any(|p| *p > after) || self.unresolved.is_some()
    }

    /// The group as it is: commands that are damaged are left out.
    pub(crate) fn into_group(self, file: u64) -> WalkedGroup {
        WalkedGroup {
            header: self.header,
            header_checksum: self.header_checksum,
            file,
            commands: self.commands,
            damaged: self.broken_data,
            mended: Vec::new(),
            forgone: self.broken_commands,
            broken_copies: self.broken_copies,
        }
    }
}

/// A damaged group with its commands taken from the copies in `next`, the group after it. Those up
/// to `after` may be lost.
pub(crate) fn mend(
    seen: Seen,
    next: &Seen,
    start: u64,
    after: u64,
) -> Result<WalkedGroup, &'static str> {
    let (broken, unresolved) = (seen.broken_commands.clone(), seen.unresolved);
    let frames_end = seen.header.position + seen.header.frames_end;
    let mut group = seen.into_group(start);
    if let Some(from) = unresolved {
        if next.broken_copies {
            return Err("what remains of it cannot be told apart, nor do copies tell");
        }
        group.damaged.push((from - start, frames_end - from));
    }
    for copy in &next.copies {
        let lost =
            broken.contains(&copy.position) || unresolved.is_some_and(|from| copy.position >= from);
        if lost {
            group.mended.push(copy.position);
            group.commands.push(copy.clone());
        }
    }
    group.commands.sort_by_key(|command| command.position);
    group.forgone = broken;
    group
        .forgone
        .retain(|position| !group.mended.contains(position));
    match group.forgone.iter().any(|position| *position > after) {
        true => Err("both copies of one of its commands are damaged"),
        false => Ok(group),
    }
}
