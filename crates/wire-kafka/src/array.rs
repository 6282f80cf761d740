//! Arrays of answers that are larger on the wire than they need be in memory.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::field::{Field, Nullable, Version};
use crate::reader::{Reader, WireError};
use crate::writer::Writer;

/// The elements of an array. Read, they are always `Rows`.
#[derive(Clone)]
pub enum Array<T> {
    Rows(Vec<T>),
    /// The same elements in many messages.
    Shared(Arc<[T]>),
    /// `count` elements that differ only in what `number` puts into `row`: 0, 1, 2 and so on. They are
    /// made one after the other while they are written.
    Numbered {
        row: Box<T>,
        count: u32,
        number: fn(&mut T, u32),
    },
}

impl<T: Clone> Array<T> {
    pub fn len(&self) -> usize {
        match self {
            Array::Rows(rows) => rows.len(),
            Array::Shared(rows) => rows.len(),
            Array::Numbered { count, .. } => *count as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All elements, made now if they are numbered ones.
    pub fn rows(&self) -> Cow<'_, [T]> {
        match self {
            Array::Rows(rows) => Cow::Borrowed(rows),
            Array::Shared(rows) => Cow::Borrowed(rows),
            Array::Numbered { row, count, number } => {
                let make = |at| {
                    let mut row = T::clone(row);
                    number(&mut row, at);
                    row
                };
                Cow::Owned((0..*count).map(make).collect())
            }
        }
    }
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Array::Rows(Vec::new())
    }
}

impl<T: Clone + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows().fmt(f)
    }
}

/// Equal when the elements are, however they are kept.
impl<T: Clone + PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rows() == other.rows()
    }
}

impl<T: Field + Clone> Field for Array<T> {
    fn size_min(version: Version) -> usize {
        Vec::<T>::size_min(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Self, WireError> {
        Vec::read(reader, version).map(Array::Rows)
    }

    fn write(&self, writer: &mut Writer, version: Version) {
        Self::write_nullable(Some(self), writer, version);
    }
}

impl<T: Field + Clone> Nullable for Array<T> {
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, WireError> {
        Ok(Vec::read_nullable(reader, version)?.map(Array::Rows))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) {
        writer.length(value.map(Array::len), version.flexible);
        let mut write = |rows: &[T]| rows.iter().for_each(|row| row.write(writer, version));
        match value {
            None => {}
            Some(Array::Rows(rows)) => write(rows),
            Some(Array::Shared(rows)) => write(rows),
            Some(Array::Numbered { row, count, number }) => {
                let mut row = T::clone(row);
                let before = writer.len();
                for at in 0..*count {
                    number(&mut row, at);
                    row.write(writer, version);
                    if at == 0 {
                        // The others take about as much: a buffer that grows by copying would hold
                        // the array twice.
                        let bytes = writer.len() - before;
                        writer.reserve(bytes.saturating_mul(*count as usize - 1));
                    }
                }
            }
        }
    }
}

#[cfg(feature = "sample")]
impl<T: crate::sample::Sample + Default> crate::sample::Sample for Array<T> {
    fn sample(source: &mut crate::sample::Source, version: Version) -> Self {
        Array::Rows(Vec::sample(source, version))
    }

    fn unfold(&mut self) {
        if let Array::Rows(rows) = self {
            rows.unfold();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(array: &Array<i32>, flexible: bool) -> Vec<u8> {
        let version = Version {
            number: 1,
            flexible,
        };
        let mut writer = Writer::new();
        array.write(&mut writer, version);
        writer.finish().into_bytes().to_vec()
    }

    #[test]
    fn elements_stand_alike_on_the_wire_however_they_are_kept() {
        let numbered = Array::Numbered {
            row: Box::new(0),
            count: 300,
            number: |row: &mut i32, at| *row = at as i32 + 5,
        };
        let rows = Array::Rows((5..305).collect());
        let shared = Array::Shared((5..305).collect());
        for flexible in [true, false] {
            let expected = written(&rows, flexible);
            assert!(expected.len() > 1200);
            assert_eq!(written(&numbered, flexible), expected);
            assert_eq!(written(&shared, flexible), expected);
        }
        assert_eq!(numbered, rows);
        assert_eq!((numbered.len(), shared.len()), (300, 300));
    }

    #[test]
    fn none_at_all_can_be_numbered() {
        let none = Array::Numbered {
            row: Box::new(0),
            count: 0,
            number: |row: &mut i32, at| *row = at as i32,
        };
        assert!(none.is_empty());
        assert_eq!(written(&none, true), written(&Array::default(), true));
    }
}
