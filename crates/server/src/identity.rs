//! `DIR/identity.json`: what makes a data folder itself, kept over every restart.
//!
//! It stands twice, the copy in `identity.copy.json`: one of them that was damaged or lost is
//! written again from the other.

use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};
use levada_env::Env;
use serde::{Deserialize, Serialize};

use crate::StartError;

const FILE: &str = "identity.json";
const COPY: &str = "identity.copy.json";
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
    /// CRC-64/NVME of the fields before, in hexadecimal; the first builds wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

/// One of the two files as it is.
enum Stored {
    Missing,
    /// Not what was written: why.
    Damaged(String),
    Sound(Identity),
}

impl Identity {
    /// Reads the identity of `dir`, or gives it one. Blocks.
    ///
    /// # Errors
    /// [`StartError::Folder`] when neither file can be read or understood, or one not be written.
    pub fn load_or_create(env: &Env, dir: &Path) -> Result<Self, StartError> {
        let (path, copy) = (dir.join(FILE), dir.join(COPY));
        let stored = [read(env, &path), read(env, &copy)];
        let identity = match choose(&stored) {
            Some(identity) => identity.signed(),
            None => match stored.iter().find_map(Stored::damage) {
                None => Self::new(env).signed(),
                Some(why) => {
                    return Err(cannot(
                        "understand",
                        &path,
                        &format!(
                            "{why}; restore it from a backup, or remove it and {COPY} to get a new \
                             cluster id"
                        ),
                    ));
                }
            },
        };
        if identity.format_version != FORMAT_VERSION {
            let version = identity.format_version;
            let why = format!(
                "the folder has format {version}, this version of levada reads format \
                 {FORMAT_VERSION}"
            );
            return Err(cannot("use", &path, &why));
        }
        for (path, stored) in [path, copy].iter().zip(&stored) {
            stored.mend(env, path, &identity)?;
        }
        Ok(identity)
    }

    /// Looks at the two files and changes nothing: those that are damaged, with why. Blocks.
    pub fn survey(env: &Env, dir: &Path) -> Vec<(PathBuf, String)> {
        let paths = [FILE, COPY].map(|name| dir.join(name));
        let damage = |path: PathBuf| match read(env, &path) {
            Stored::Damaged(why) => Some((path, why)),
            Stored::Missing | Stored::Sound(_) => None,
        };
        paths.into_iter().filter_map(damage).collect()
    }

    fn new(env: &Env) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            cluster_id: new_cluster_id(env),
            created_ms: env.now_ms(),
            checksum: None,
        }
    }

    fn sum(&self) -> String {
        let fields = format!(
            "{} {} {}",
            self.format_version, self.cluster_id, self.created_ms
        );
        let sum = checksum(CrcAlgorithm::Crc64Nvme, fields.as_bytes());
        format!("{sum:016x}")
    }

    fn signed(&self) -> Self {
        Self {
            checksum: Some(self.sum()),
            ..self.clone()
        }
    }
}

impl Stored {
    fn damage(&self) -> Option<&str> {
        match self {
            Self::Damaged(why) => Some(why),
            Self::Missing | Self::Sound(_) => None,
        }
    }

    /// Writes the file if it is not what it should be.
    fn mend(&self, env: &Env, path: &Path, identity: &Identity) -> Result<(), StartError> {
        match self {
            Self::Sound(stored) if stored == identity => return Ok(()),
            Self::Damaged(why) => {
                let path = path.display();
                tracing::warn!(%path, why, "damaged, and written again from its copy: check the disk");
            }
            Self::Sound(_) | Self::Missing => {}
        }
        let mut bytes = serde_json::to_vec_pretty(identity)
            .map_err(|error| cannot("write", path, &error.to_string()))?;
        bytes.push(b'\n');
        env.fs()
            .write_atomic(path, &bytes)
            .map_err(|error| cannot("write", path, &error.to_string()))
    }
}

/// The one that its checksum proves, else one without, else none.
fn choose(stored: &[Stored; 2]) -> Option<&Identity> {
    let sound = || {
        stored.iter().filter_map(|stored| match stored {
            Stored::Sound(identity) => Some(identity),
            Stored::Missing | Stored::Damaged(_) => None,
        })
    };
    let proven = sound().find(|identity| identity.checksum.is_some());
    proven.or_else(|| sound().next())
}

fn read(env: &Env, path: &Path) -> Stored {
    if !env.fs().exists(path) {
        return Stored::Missing;
    }
    let bytes = match env.fs().read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Stored::Damaged(error.to_string()),
    };
    match serde_json::from_slice::<Identity>(&bytes) {
        Ok(identity) => match &identity.checksum {
            Some(sum) if *sum != identity.sum() => {
                Stored::Damaged("its checksum does not match".to_owned())
            }
            _ => Stored::Sound(identity),
        },
        Err(error) => Stored::Damaged(error.to_string()),
    }
}

fn cannot(doing: &str, path: &Path, why: &str) -> StartError {
    StartError::Folder(format!("cannot {doing} {}: {why}", path.display()))
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
    use std::sync::Arc;

    use levada_env::{Fs, fault::FaultFs};

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

    fn simulated() -> (FaultFs, Env) {
        let fs = FaultFs::new(1);
        fs.create_dir_all(Path::new("/data")).unwrap();
        let env = Env::simulated(1, Arc::new(fs.clone()));
        (fs, env)
    }

    #[tokio::test(start_paused = true)]
    async fn a_flipped_bit_in_either_file_changes_nothing_and_is_mended() {
        let (fs, env) = simulated();
        let dir = Path::new("/data");
        let identity = Identity::load_or_create(&env, dir).unwrap();
        for name in [FILE, COPY] {
            let path = dir.join(name);
            let whole = fs.read(&path).unwrap();
            for bit in 0..whole.len() * 8 {
                fs.flip_bit(&path, bit as u64 / 8, (bit % 8) as u8).unwrap();
                let found = Identity::load_or_create(&env, dir).unwrap();
                assert_eq!(found, identity, "{name} bit {bit}");
                assert_eq!(Identity::load_or_create(&env, dir).unwrap(), identity);
            }
            fs.write_atomic(&path, &whole).unwrap();
            fs.remove_file(&path).unwrap();
            assert_eq!(Identity::load_or_create(&env, dir).unwrap(), identity);
            assert_eq!(fs.read(&path).unwrap(), whole);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_of_the_first_builds_keeps_its_cluster_id() {
        let (fs, env) = simulated();
        let dir = Path::new("/data");
        let text = br#"{"format_version":1,"cluster_id":"AAAAAAAAAAAAAAAAAAAAAA","created_ms":5}"#;
        fs.write_atomic(&dir.join(FILE), text).unwrap();
        let identity = Identity::load_or_create(&env, dir).unwrap();
        assert_eq!(identity.cluster_id, "AAAAAAAAAAAAAAAAAAAAAA");
        fs.flip_bit(&dir.join(FILE), 43, 0).unwrap();
        assert_eq!(Identity::load_or_create(&env, dir).unwrap(), identity);
    }

    #[test]
    fn an_identity_damaged_in_both_files_or_foreign_is_refused() {
        let env = Env::real();
        let dir = tempfile::tempdir().unwrap();
        for name in [FILE, COPY] {
            let path = dir.path().join(name);
            env.fs().write_atomic(&path, b"{\"clus").unwrap();
        }
        let error = Identity::load_or_create(&env, dir.path()).unwrap_err();
        assert!(error.to_string().contains("restore it"), "{error}");
        let text = br#"{"format_version":2,"cluster_id":"x","created_ms":0}"#;
        env.fs().write_atomic(&dir.path().join(FILE), text).unwrap();
        let error = Identity::load_or_create(&env, dir.path()).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }
}
