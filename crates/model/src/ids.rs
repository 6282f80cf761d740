//! Newtypes for what must not be mixed.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Position of a record in its partition, from 0, contiguous.
    Offset(i64)
}
number! {
    /// Leader epoch of a partition; Levada has no partition leaders, so it never changes.
    Epoch(i32)
}
number! {
    /// Id of an idempotent producer, allocated by `InitProducerId`.
    ProducerId(i64)
}
number! {
    /// Epoch of a producer id: a higher one fences a lower one.
    ProducerEpoch(i16)
}
number! {
    /// Sequence of a producer's record in a partition; wraps from `i32::MAX` to 0.
    Sequence(i32)
}
number! {
    /// The cell's own dense number of a partition: allocated by the catalog, never used again.
    PartitionId(u64)
}

impl Epoch {
    /// The constant leader epoch of every partition (constant and never negative: see KAFKA.md).
    pub const ONLY: Epoch = Epoch(0);
}

impl Offset {
    pub const ZERO: Offset = Offset(0);

    /// The offset `count` records further on.
    pub fn plus(self, count: u64) -> Offset {
        Offset(self.0.saturating_add_unsigned(count))
    }
}

impl Sequence {
    /// The sequence `count` records further on, wrapping from `i32::MAX` to 0 as Kafka does.
    pub fn plus(self, count: u32) -> Sequence {
        let sum = i64::from(self.0) + i64::from(count);
        Sequence((sum % (i64::from(i32::MAX) + 1)) as i32)
    }
}

/// Kafka's topic id (KIP-516): 16 bytes, random, never all zero for a topic that exists.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// What the protocol sends for "no topic id".
    pub const NONE: TopicId = TopicId([0; 16]);

    pub fn is_none(self) -> bool {
        self == TopicId::NONE
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero_after_its_maximum() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(5).plus(0), Sequence(5));
    }
}
