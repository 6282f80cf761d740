//! Readers of stored files, for the fuzzer (feature `testing`).

use std::path::Path;

use levada_env::Env;

use crate::StartError;
use crate::identity::Identity;

/// The cluster id of the data folder `dir`, which gets one if it has none.
///
/// # Errors
/// As a start: what is wrong with the folder.
pub fn cluster_id(env: &Env, dir: &Path) -> Result<String, StartError> {
    Identity::load_or_create(env, dir).map(|identity| identity.cluster_id)
}
