//! A filesystem in memory that forgets: what was not synced when the power goes is gone, or, worse,
//! partly there. Mounted by FUSE, so that raw system calls, O_DIRECT and fallocate are seen too.
//!
//! It is stricter than a real one: a new file's name is gone until its folder was synced.

mod errors;
mod fuse;
mod store;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::load::Random;
use errors::Errors;
pub use errors::{Files, Operation};
use store::{Cut, Store};

/// A mounted filesystem; unmounted when dropped.
pub struct Lossy {
    store: Arc<Mutex<Store>>,
    errors: Arc<Mutex<Errors>>,
    cuts: Mutex<(u32, Random)>,
    _session: fuser::BackgroundSession,
}

impl Lossy {
    /// Mounts an empty one over a folder.
    ///
    /// # Errors
    /// When /dev/fuse is missing or mounting is not allowed here.
    pub fn mount(folder: &Path) -> Result<Lossy> {
        let store = Arc::new(Mutex::new(Store::default()));
        let errors = Arc::new(Mutex::new(Errors::default()));
        let filesystem = fuse::Adapter::new(Arc::clone(&store), Arc::clone(&errors));
        let options = [
            fuser::MountOption::FSName("lossy".into()),
            fuser::MountOption::RW,
        ];
        let session = fuser::spawn_mount2(filesystem, folder, &options)
            .with_context(|| format!("mounting over {} (root and /dev/fuse?)", folder.display()))?;
        Ok(Lossy {
            store,
            errors,
            cuts: Mutex::new((0, Random(0x5eed))),
            _session: session,
        })
    }

    /// Forgets what was not synced. Every second time each unsynced page is kept or lost by chance:
    /// disks reorder what nobody told them to keep in order.
    pub fn cut_power(&self) {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        cuts.0 += 1;
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if cuts.0.is_multiple_of(2) {
            let random = &mut cuts.1;
            store.cut(&mut Cut::Some(&mut || random.number().is_multiple_of(2)));
        } else {
            store.cut(&mut Cut::All);
        }
    }

    /// The `number`-th of these operations from now on, and the `count - 1` after it, answer EIO.
    pub fn fail(&self, operation: Operation, files: Files, number: u64, count: u64) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.arm(operation, files, number, count);
    }

    /// Nothing fails any more; gives how many operations have failed since they were to.
    pub fn heal(&self) -> u64 {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.disarm()
    }
}
