//! Who asks, and may they: Signature Version 4 in the header or in the address, against the
//! configured keys; then the policy of the queue.

mod judge;
mod keys;
mod policy;
mod sigv4;
mod time;

pub use judge::{Caller, PolicyCache, authorize};
pub use keys::{AccessKeys, Identity, KeyFileError, Role};
pub use policy::Policy;
#[cfg(feature = "testing")]
pub use policy::{Circumstances, Question, Verdict};
pub use sigv4::{Signed, verify};
