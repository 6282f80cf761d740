//! Where stored bytes lie, and positions in the command log.

use std::fmt;

/// Names one immutable segment of the journal. Local: the number of a WAL file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

/// A stored run of bytes: segment, position in it, length; both in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    pub segment: SegmentId,
    pub position: u64,
    pub length: u32,
}

impl Extent {
    /// The part of this extent that starts `offset` bytes in and is `length` bytes long.
    pub fn part(self, offset: u64, length: u32) -> Extent {
        Extent {
            segment: self.segment,
            position: self.position + offset,
            length,
        }
    }
}

/// A place in the ordered, durable list of commands. Opaque but ordered: in embedded mode a byte
/// position in the WAL, in PostgreSQL a row number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub u64);

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
