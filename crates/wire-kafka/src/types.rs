//! Types of fields that Rust has no name for.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// An immutable string that shares the memory of the frame it was read from.
///
/// What is kept longer than its frame should be copied (`KStr::from(&*name)`), or the whole frame
/// stays in memory with it.
pub use bytestring::ByteString as KStr;

/// A topic's id and the like (KIP-516): sixteen bytes, shown as Kafka shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Kafka's "no id".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this is Kafka's "no id".
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// URL-safe base64 without padding, 22 characters, as in Kafka's own tools.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        let digit = |index: u128| char::from(DIGITS[(index & 63) as usize]);
        let mut text = String::with_capacity(22);
        text.extend((0..21).map(|place| digit(bits >> (122 - 6 * place))));
        text.push(digit(bits << 4));
        f.write_str(&text)
    }
}

/// Record batches as they stand on the wire: opaque here, never copied. Decoding gives one piece;
/// what is encoded may lie in many.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The batches, one piece after the other.
    pub pieces: Vec<Bytes>,
}

impl Records {
    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one piece; copies only if there are several.
    pub fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() > 1 {
            let mut joined = BytesMut::with_capacity(self.len());
            for piece in &self.pieces {
                joined.extend_from_slice(piece);
            }
            return joined.freeze();
        }
        self.pieces.pop().unwrap_or_default()
    }
}

impl From<Bytes> for Records {
    fn from(piece: Bytes) -> Self {
        Self {
            pieces: vec![piece],
        }
    }
}

/// Equal when the bytes are, however they are cut into pieces.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let bytes = self.pieces.iter().flatten();
        self.len() == other.len() && bytes.eq(other.pieces.iter().flatten())
    }
}
