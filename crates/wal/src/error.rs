//! What can go wrong, by what the caller may do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use levada_env::port::PortError;
use thiserror::Error;

/// An error of the log.
#[derive(Clone, Debug, Error)]
pub enum WalError {
    /// The disk is full. Nothing of what was appended happened; try again later.
    #[error(
        "the disk is full: free some space; nothing was written, and writing goes on by itself"
    )]
    Full,
    /// The log cannot promise anything any more. Stop the process; a restart recovers.
    #[error("the log failed and the process must stop: {0}")]
    Fatal(Arc<str>),
    /// The log was sealed or dropped.
    #[error("the log is closed")]
    Closed,
    /// The bytes asked for are damaged or were never written.
    #[error("{path}: {bytes} bytes at {offset} are not readable as they were written: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// How many bytes.
        bytes: u64,
        /// What was seen.
        reason: String,
    },
    /// No such file: it was released, or never written.
    #[error("the log has no file {0}: it was released or never written")]
    NoSuchFile(u64),
    /// One frame may hold less than 4 GiB.
    #[error("a frame of {0} bytes is more than the log takes at once")]
    TooLarge(u64),
    /// The log cannot be opened without losing what was acknowledged.
    #[error(
        "the log in {path} cannot be opened: {reason}. Nothing was changed. Restore the folder \
         from a copy, or move the file aside and accept what is lost"
    )]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What was seen and where.
        reason: String,
    },
    /// The system refused.
    #[error("{doing} {path}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        error: Arc<io::Error>,
    },
}

impl WalError {
    /// Whether there was no space for it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            WalError::Full => true,
            WalError::Io { error, .. } => is_full(error),
            _ => false,
        }
    }
}

impl From<WalError> for PortError {
    fn from(error: WalError) -> Self {
        let text = error.to_string();
        match error {
            WalError::Full | WalError::TooLarge(_) | WalError::Io { .. } => {
                PortError::Rejected(text)
            }
            WalError::Fatal(_) | WalError::Closed => PortError::Indeterminate(text),
            WalError::Corrupt { .. } | WalError::NoSuchFile(_) | WalError::Damaged { .. } => {
                PortError::Corrupt(text)
            }
        }
    }
}

/// Names the step and the file of an input/output error.
pub(crate) fn io_error(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> WalError {
    let path = path.to_owned();
    move |error| WalError::Io {
        doing,
        path,
        error: Arc::new(error),
    }
}

/// Whether the system says that there is no space left (for us).
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
