//! Copy before write: keeps a snapshot consistent at one position while commands go on.
//!
//! Every row carries a [`Mark`]: the number of the last snapshot that holds it, or during which it
//! was made. Whoever changes or removes a row asks [`Saver::wants`] first and, if so, writes the
//! row as it still is. The walk over the tables does the same for rows that nobody has changed.

use levada_model::codec::Encoder;

/// Which table a saved row belongs to. The ordinals are part of the stored format: frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RowKind {
    Topic = 1,
    Partition = 2,
    Producer = 3,
    Segment = 4,
    Group = 5,
    Queue = 6,
}

impl RowKind {
    pub(crate) const COUNT: usize = 6;

    pub(crate) fn from_ordinal(ordinal: u8) -> Option<RowKind> {
        match ordinal {
            1 => Some(RowKind::Topic),
            2 => Some(RowKind::Partition),
            3 => Some(RowKind::Producer),
            4 => Some(RowKind::Segment),
            5 => Some(RowKind::Group),
            6 => Some(RowKind::Queue),
            _ => None,
        }
    }

    /// Position in an array of counts.
    pub(crate) fn slot(self) -> usize {
        self as usize - 1
    }
}

/// The last snapshot that holds a row, or during which the row was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u32);

/// Rows saved for the snapshot under way and not handed out yet.
#[derive(Default)]
pub struct Saver {
    active: bool,
    round: u32,
    out: Encoder,
    counts: [u64; RowKind::COUNT],
}

impl Saver {
    /// Whether a snapshot is under way.
    #[inline]
    pub fn active(&self) -> bool {
        self.active
    }

    /// Whether a row with this mark must be written before it changes or goes.
    #[inline]
    pub fn wants(&self, mark: Mark) -> bool {
        self.active && mark.0 != self.round
    }

    /// The mark of a row that is made or has been written now.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.round)
    }

    /// Where to append the row: key and all; it must read back without a length before it.
    pub fn row(&mut self, kind: RowKind) -> &mut Encoder {
        self.counts[kind.slot()] += 1;
        self.out.u8(kind as u8);
        &mut self.out
    }

    /// A new snapshot: from now on every row is wanted once.
    pub(crate) fn begin(&mut self) {
        self.round += 1;
        self.active = true;
        self.out.bytes = Vec::new();
        self.counts = [0; RowKind::COUNT];
    }

    pub(crate) fn end(&mut self) {
        self.active = false;
        self.out.bytes = Vec::new();
    }

    /// Bytes saved and not taken yet.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.out.bytes.len()
    }

    /// Takes what has been saved since the last call.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out.bytes)
    }

    pub(crate) fn counts(&self) -> [u64; RowKind::COUNT] {
        self.counts
    }
}
