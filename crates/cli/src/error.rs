//! Why a command did not do what it was asked, and the exit code that says so.

use thiserror::Error;

/// A command's result.
pub type CliResult<T = ()> = Result<T, CliError>;

/// What a person reads on stderr. The kinds decide the exit code, which scripts rely on.
#[derive(Debug, Error)]
pub enum CliError {
    /// Exit code 1: it was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// Exit code 2: the command line (or a file it names) asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3: nobody answers at the address.
    #[error("{0}")]
    Unreachable(String),
    /// Exit code 4: the server answered and refused.
    #[error("{0}")]
    Refused(String),
    /// Exit code 130: Ctrl-C was pressed, or SIGTERM came.
    #[error("interrupted")]
    Interrupted,
    /// Exit code 0: the reader of stdout went away (`levada consume … | head`).
    #[error("stdout was closed")]
    PipeClosed,
}

impl CliError {
    /// The process's exit code: 1 failed, 2 usage, 3 cannot reach the server, 4 refused by it,
    /// 130 interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Refused(_) => 4,
            Self::Interrupted => 130,
            Self::PipeClosed => 0,
        }
    }

    /// Whether stderr stays empty.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Interrupted | Self::PipeClosed)
    }
}

/// Trouble with stdin, stdout or a local file. Add the file's name with a [`CliError::Failed`] of
/// your own where there is one.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::PipeClosed,
            std::io::ErrorKind::Interrupted => Self::Interrupted,
            _ => Self::Failed(error.to_string()),
        }
    }
}
