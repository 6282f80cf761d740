//! A real `levada serve` on a folder and a port of its own, and the real binary against it.
#![allow(clippy::disallowed_methods, dead_code)]

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running service. It is killed when it is dropped.
pub struct Server {
    child: Child,
    pub folder: tempfile::TempDir,
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (child, address) = serve(folder.path(), "127.0.0.1:0");
        Self {
            child,
            folder,
            address,
        }
    }

    /// Kills the service as a power cut would its process, and starts it again where it was.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, _) = serve(self.folder.path(), &self.address);
    }

    /// Runs a command against it.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }

    /// Runs a command with bytes on stdin.
    pub fn run_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self.spawn(args);
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        Ran::new(child.wait_with_output().unwrap())
    }

    /// Starts a command whose stdin and stdout are the test's.
    pub fn spawn(&self, args: &[&str]) -> Child {
        command(args)
            .env("LEVADA_BROKER", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// The binary with arguments.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levada"));
    command.args(args);
    command
}

fn serve(folder: &Path, kafka: &str) -> (Child, String) {
    let ready = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let child = command(&["serve", "--kafka", kafka, "--http", "off", "--data"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = eventually("the service is ready", || {
        let ready: Value = serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()?;
        Some(ready["kafka"].as_str()?.to_owned())
    });
    (child, address)
}

/// Tries until there is a result.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a command has left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its stdout, when it has succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Its stdout as JSON, when it has succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
