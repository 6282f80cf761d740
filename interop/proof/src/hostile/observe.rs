//! The broker's process as the system shows it (Linux: `/proc`), and its log.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::observe::{Figures, process};

const POLL: Duration = Duration::from_millis(50);

/// A process and where it logs.
pub struct Process {
    pid: u32,
    log: PathBuf,
}

impl Process {
    pub fn new(pid: u32, log: PathBuf) -> Process {
        Process { pid, log }
    }

    fn figures(&self) -> Result<Figures> {
        process(self.pid).context("the broker is gone")
    }

    /// Memory that is in use now, in MiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn rss_mb(&self) -> Result<u64> {
        Ok(self.figures()?.rss_bytes >> 20)
    }

    /// Open file descriptors.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(usize::try_from(self.figures()?.files_open)?)
    }

    /// Lines that it has logged so far.
    ///
    /// # Errors
    /// When there is no log.
    pub fn lines(&self) -> Result<u64> {
        let text = fs::read(&self.log)?;
        Ok(text.iter().filter(|byte| **byte == b'\n').count() as u64)
    }

    /// Waits until at most so many descriptors are open; gives how many are when the time is up.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn settle(&self, wanted: usize, limit: Duration) -> Result<usize> {
        let started = Instant::now();
        loop {
            let open = self.descriptors()?;
            if open <= wanted || started.elapsed() > limit {
                return Ok(open);
            }
            thread::sleep(POLL);
        }
    }
}
