//! `DIR/identity.json`: what makes a data folder itself, kept over every restart.

use std::path::Path;

use levada_env::Env;
use serde::{Deserialize, Serialize};

use crate::StartError;

const FILE: &str = "identity.json";
/// The layout of the data folder. A folder with another one is refused.
const FORMAT_VERSION: u32 = 1;
/// Kafka's cluster ids are 16 random bytes in this alphabet (RFC 4648 §5), without padding.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CLUSTER_ID_BYTES: usize = 16;

/// Who this data folder is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format_version: u32,
    /// 22 characters, as Kafka's.
    pub cluster_id: String,
    created_ms: i64,
}

impl Identity {
    /// Reads the identity of `dir`, or gives it one. Blocks.
    ///
    /// # Errors
    /// [`StartError::Folder`] when the file cannot be read, written or understood.
    pub fn load_or_create(env: &Env, dir: &Path) -> Result<Self, StartError> {
        let path = dir.join(FILE);
        let cannot = |doing: &str, why: String| {
            StartError::Folder(format!("cannot {doing} {}: {why}", path.display()))
        };
        if env.fs().exists(&path) {
            let bytes = env
                .fs()
                .read(&path)
                .map_err(|error| cannot("read", error.to_string()))?;
            let identity: Self = serde_json::from_slice(&bytes).map_err(|error| {
                cannot(
                    "understand",
                    format!(
                        "{error}; restore it from a backup, or remove it to get a new cluster id"
                    ),
                )
            })?;
            if identity.format_version != FORMAT_VERSION {
                return Err(cannot(
                    "use",
                    format!(
                        "the folder has format {}, this version of levada reads format {FORMAT_VERSION}",
                        identity.format_version
                    ),
                ));
            }
            return Ok(identity);
        }
        let identity = Self {
            format_version: FORMAT_VERSION,
            cluster_id: new_cluster_id(env),
            created_ms: env.now_ms(),
        };
        let mut bytes = serde_json::to_vec_pretty(&identity)
            .map_err(|error| cannot("write", error.to_string()))?;
        bytes.push(b'\n');
        env.fs()
            .write_atomic(&path, &bytes)
            .map_err(|error| cannot("write", error.to_string()))?;
        Ok(identity)
    }
}

fn new_cluster_id(env: &Env) -> String {
    let mut bytes = [0; CLUSTER_ID_BYTES];
    env.random_bytes(&mut bytes);
    // A flag's parser would take an id that begins with a dash for a flag.
    bytes[0] &= 0x7f;
    let mut id = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..=chunk.len() {
            let index = bits >> (18 - 6 * position) & 63;
            id.push(char::from(ALPHABET[index as usize]));
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_cluster_id_and_another_gets_another() {
        let env = Env::real();
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Identity::load_or_create(&env, one.path()).unwrap();
        assert_eq!(first.cluster_id.len(), 22);
        assert_eq!(Identity::load_or_create(&env, one.path()).unwrap(), first);
        assert_ne!(Identity::load_or_create(&env, two.path()).unwrap(), first);
    }

    #[test]
    fn a_damaged_or_foreign_identity_is_refused() {
        let env = Env::real();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        env.fs().write_atomic(&path, b"{\"clus").unwrap();
        let error = Identity::load_or_create(&env, dir.path()).unwrap_err();
        assert!(error.to_string().contains("restore it"), "{error}");
        let text = br#"{"format_version":2,"cluster_id":"x","created_ms":0}"#;
        env.fs().write_atomic(&path, text).unwrap();
        let error = Identity::load_or_create(&env, dir.path()).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }
}
