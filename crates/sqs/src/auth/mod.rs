//! Who asks: Signature Version 4 in the header or in the address, against the configured keys.

mod keys;
mod sigv4;

pub use keys::{AccessKeys, KeyFileError};
pub use sigv4::{Signed, verify};
