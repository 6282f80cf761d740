//! A real `levada serve` on a folder and a port of its own, and the real binary against it.
#![allow(clippy::disallowed_methods, dead_code)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

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
        self.kill();
        self.restart();
    }

    /// Kills the service.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts a killed service again where it was.
    pub fn restart(&mut self) {
        (self.child, _) = serve(self.folder.path(), &self.address);
    }

    /// Where it takes SQS requests.
    pub fn sqs(&self) -> String {
        let ready = std::fs::read(self.folder.path().join("ready.json"));
        let ready = ready
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let address = ready.and_then(|ready| Some(ready["sqs"].as_str()?.to_owned()));
        // A killed service has none: nobody listens on port 1.
        address.unwrap_or_else(|| "127.0.0.1:1".to_owned())
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
            .env("LEVADA_SQS", self.sqs())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// A command that goes on, with what it says.
pub struct Going {
    pub child: Child,
    pub stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
    /// What it has said on stderr so far.
    pub said: String,
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Going {
    pub fn new(mut child: Child) -> Self {
        Self {
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            stderr: BufReader::new(child.stderr.take().unwrap()).lines(),
            said: String::new(),
            child,
        }
    }

    /// The next `count` lines of stdout.
    pub fn lines(&mut self, count: usize) -> Vec<String> {
        let lines = self.stdout.by_ref().take(count);
        lines.map(Result::unwrap).collect()
    }

    /// Waits until stderr says `words`.
    pub fn wait_for(&mut self, words: &str) {
        for line in self.stderr.by_ref() {
            let line = line.unwrap() + "\n";
            self.said.push_str(&line);
            if line.contains(words) {
                return;
            }
        }
        panic!("it ended without saying '{words}': {}", self.said);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the exit code and all that it said.
    pub fn end(mut self) -> (i32, String) {
        drop(self.child.stdin.take());
        for line in self.stderr.by_ref() {
            self.said.push_str(&(line.unwrap() + "\n"));
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, std::mem::take(&mut self.said))
    }
}

/// The binary with arguments.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levada"));
    command.args(args);
    command
}

/// Starts the service and reads its messages until it says that it is ready.
fn serve(folder: &Path, kafka: &str) -> (Child, String) {
    let mut child = command(&[
        "serve",
        "--kafka",
        kafka,
        "--http",
        "off",
        "--sqs",
        "127.0.0.1:0",
        "--data",
    ])
    .arg(folder)
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = messages
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains(" ready "));
    assert!(ready, "the service did not start");
    // It must never wait for somebody to read what it says.
    std::thread::spawn(move || messages.for_each(drop));
    let ready = std::fs::read(folder.join("ready.json")).unwrap();
    let ready: Value = serde_json::from_slice(&ready).unwrap();
    (child, ready["kafka"].as_str().unwrap().to_owned())
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
