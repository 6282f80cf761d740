//! Consumer groups: coordinator look-up, membership, offsets, administration.

use crate::dispatch::Api;

/// The rows of this part of the table: `now!` for what answers at once, `later!` for what may wait
/// for other members.
pub const APIS: &[Api] = &[];
