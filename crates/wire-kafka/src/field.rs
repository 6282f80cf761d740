//! How a value of each type stands on the wire, by version of its message.

use bytes::Bytes;

use crate::reader::{Reader, WireError};
use crate::types::{KStr, Records, Uuid};
use crate::writer::Writer;

/// A message's version and whether it is a flexible one (KIP-482).
#[derive(Clone, Copy, Debug)]
pub struct Version {
    pub number: i16,
    pub flexible: bool,
}

/// A value that is read and written as a field or as an element of an array.
pub trait Field: Sized {
    /// The fewest bytes that a value takes: what bounds the count of an array.
    fn size_min(version: Version) -> usize;

    fn read(reader: &mut Reader, version: Version) -> Result<Self, WireError>;

    fn write(&self, writer: &mut Writer, version: Version);
}

/// A value that can be null.
pub trait Nullable: Field + Default {
    fn size_min_nullable(version: Version) -> usize {
        Self::size_min(version)
    }

    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, WireError>;

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version);
}

impl<T: Nullable> Field for Option<T> {
    fn size_min(version: Version) -> usize {
        T::size_min_nullable(version)
    }

    fn read(reader: &mut Reader, version: Version) -> Result<Self, WireError> {
        T::read_nullable(reader, version)
    }

    fn write(&self, writer: &mut Writer, version: Version) {
        T::write_nullable(self.as_ref(), writer, version);
    }
}

/// Writes a field that can be null in a version in which it cannot: null becomes the empty value.
pub fn write_required<T: Nullable>(value: &Option<T>, writer: &mut Writer, version: Version) {
    match value {
        Some(value) => value.write(writer, version),
        None => T::default().write(writer, version),
    }
}

/// Whether a tagged field has to be written.
pub fn differs<T: PartialEq>(value: &T, default: T) -> bool {
    *value != default
}

macro_rules! fixed {
    ($($name:ident: $ty:ty, $size:literal;)*) => {$(
        impl Field for $ty {
            fn size_min(_: Version) -> usize {
                $size
            }

            fn read(reader: &mut Reader, _: Version) -> Result<Self, WireError> {
                reader.$name()
            }

            fn write(&self, writer: &mut Writer, _: Version) {
                writer.$name(*self);
            }
        }
    )*};
}

fixed! {
    bool: bool, 1;
    i8: i8, 1;
    i16: i16, 2;
    i32: i32, 4;
    i64: i64, 8;
    uuid: Uuid, 16;
}

/// Types of variable length, whose length also tells null: `read` is `read_nullable` without it.
macro_rules! sized {
    ($({$($generic:tt)*})? $ty:ty, $size:literal) => {
        impl$(<$($generic)*>)? Field for $ty {
            fn size_min(version: Version) -> usize {
                if version.flexible { 1 } else { $size }
            }

            fn read(reader: &mut Reader, version: Version) -> Result<Self, WireError> {
                Self::read_nullable(reader, version)?.ok_or(WireError::Null)
            }

            fn write(&self, writer: &mut Writer, version: Version) {
                Self::write_nullable(Some(self), writer, version);
            }
        }
    };
}

sized!(KStr, 2);
sized!(Bytes, 4);
sized!(Records, 4);
sized!({T: Field} Vec<T>, 4);

impl Nullable for KStr {
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, WireError> {
        reader.string(version.flexible)
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) {
        writer.string(value.map(|text| &**text), version.flexible);
    }
}

impl Nullable for Bytes {
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, WireError> {
        match reader.length(version.flexible)? {
            Some(length) => reader.slice(length).map(Some),
            None => Ok(None),
        }
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) {
        writer.length(value.map(Bytes::len), version.flexible);
        if let Some(bytes) = value {
            writer.raw(bytes);
        }
    }
}

impl Nullable for Records {
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, WireError> {
        let records = Bytes::read_nullable(reader, version)?;
        reader.charge(size_of_val(&records))?;
        Ok(records.map(Self::from))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) {
        writer.length(value.map(Records::len), version.flexible);
        for piece in value.iter().flat_map(|records| &records.pieces) {
            writer.raw(piece);
        }
    }
}

impl<T: Field> Nullable for Vec<T> {
    /// Refuses a count that what is left cannot hold, or whose memory the frame is not worth.
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, WireError> {
        let Some(count) = reader.length(version.flexible)? else {
            return Ok(None);
        };
        let left = reader.remaining();
        let needed = count.saturating_mul(T::size_min(version).max(1));
        if needed > left {
            return Err(WireError::Truncated { needed, left });
        }
        reader.charge(count.saturating_mul(size_of::<T>()))?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(reader, version)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) {
        writer.length(value.map(Vec::len), version.flexible);
        for element in value.into_iter().flatten() {
            element.write(writer, version);
        }
    }
}
