//! A small disk of its own for a test: mounted and unmounted by it (root).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A mounted filesystem; unmounted when dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// In memory: quick, and a sync costs nothing.
    ///
    /// # Errors
    /// When mounting is not allowed here.
    pub fn in_memory(folder: &Path, mib: u64) -> Result<SmallDisk> {
        fs::create_dir_all(folder)?;
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "levada-small"])
            .arg(folder))?;
        Ok(SmallDisk {
            folder: folder.to_owned(),
        })
    }

    /// ext4 on a loop device over a file beside the folder.
    ///
    /// # Errors
    /// When mounting is not allowed here.
    pub fn on_a_loop_device(folder: &Path, mib: u64) -> Result<SmallDisk> {
        fs::create_dir_all(folder)?;
        let image = folder.with_extension("img");
        fs::File::create(&image)?.set_len(mib << 20)?;
        run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0", "-F"])
            .arg(&image))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(folder))?;
        Ok(SmallDisk {
            folder: folder.to_owned(),
        })
    }

    /// Fills what is free but for `left` bytes with a file beside the broker's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fill(&self, left: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        let free = stat.f_bavail * stat.f_frsize;
        let file = fs::File::create(self.ballast())?;
        let mut bytes = free.saturating_sub(left);
        let mode = rustix::fs::FallocateFlags::empty();
        // What is free may be less than was said: the broker writes meanwhile.
        while bytes > 0 && rustix::fs::fallocate(&file, mode, 0, bytes).is_err() {
            bytes -= (bytes / 64).max(1);
        }
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn release(&self) -> Result<()> {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} (root?): {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = Command::new("umount").arg("-l").arg(&self.folder).output();
        if !unmount.is_ok_and(|output| output.status.success()) {
            println!("!! {} is still mounted", self.folder.display());
        }
        fs::remove_file(self.folder.with_extension("img")).ok();
    }
}
