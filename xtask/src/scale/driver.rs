//! A broker under measurement: loads on it, its memory, its restart.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::broker::{Broker, levada_binary};
use crate::process;

const CHILD_POLL: Duration = Duration::from_millis(10);

/// A broker with its folder.
pub struct Driver {
    folder: PathBuf,
    flags: Vec<String>,
    broker: Broker,
}

/// How long a start took, in milliseconds from the start of the process.
pub struct Restart {
    /// Until every listener accepts.
    pub ready_ms: f64,
    /// Until a record was acknowledged, with the start of the producer's own process.
    pub first_ack_ms: f64,
}

impl Driver {
    /// A broker on a fresh folder.
    ///
    /// # Errors
    /// When it does not start.
    pub fn fresh(folder: &Path, flags: &[&str]) -> Result<Driver> {
        fs::remove_dir_all(folder).ok();
        let broker = Broker::start_levada_with(folder, flags)?;
        Ok(Driver {
            folder: folder.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            broker,
        })
    }

    /// Kills the broker and starts it on the same folder, with these flags from now on.
    ///
    /// # Errors
    /// When it does not start, or does not acknowledge.
    pub fn restart(self, flags: Option<&[&str]>) -> Result<(Driver, Restart)> {
        let Driver {
            folder,
            flags: old,
            broker,
        } = self;
        drop(broker);
        let flags = flags.map_or(old, |new| new.iter().map(|f| (*f).to_owned()).collect());
        let started = Instant::now();
        let words: Vec<&str> = flags.iter().map(String::as_str).collect();
        let broker = Broker::start_levada_with(&folder, &words)?;
        let ready_ms = started.elapsed().as_secs_f64() * 1e3;
        let driver = Driver {
            folder,
            flags,
            broker,
        };
        driver.bench(&[
            "produce",
            "--topic",
            "first-ack",
            "--size",
            "100",
            "--count",
            "1",
            "--batch",
            "1",
        ])?;
        let first_ack_ms = started.elapsed().as_secs_f64() * 1e3;
        let restart = Restart {
            ready_ms,
            first_ack_ms,
        };
        Ok((driver, restart))
    }

    pub fn address(&self) -> &str {
        &self.broker.address
    }

    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A counter of `/metrics`, where the broker was started with an HTTP listener.
    ///
    /// # Errors
    /// When nobody answers there, or has no such counter.
    pub fn counter(&self, name: &str) -> Result<f64> {
        let ready: Value = serde_json::from_slice(&fs::read(self.data().join("ready.json"))?)?;
        let address = ready.get("http").and_then(Value::as_str);
        let mut stream = TcpStream::connect(address.context("the broker serves no metrics")?)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("no {name} among the metrics"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::command(levada_binary());
        command
            .args(arguments)
            .args(["--broker", self.address(), "-o", "json"]);
        command
    }

    /// A command of `levada` to its end.
    ///
    /// # Errors
    /// When it fails; what it said is in the message.
    pub fn levada(&self, arguments: &[&str]) -> Result<()> {
        let output = self.command(arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`levada {}`: {said}", arguments.join(" "));
        }
        Ok(())
    }

    /// One run of `levada bench`, in full and without a wrong answer.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn bench(&self, arguments: &[&str]) -> Result<Value> {
        self.begin(arguments)?.end()
    }

    /// Begins a run of `levada bench` that goes on beside others.
    ///
    /// # Errors
    /// When it does not start.
    pub fn begin(&self, arguments: &[&str]) -> Result<Run> {
        let mut words = vec!["bench"];
        words.extend(arguments);
        let mut command = self.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("the load does not start")?;
        Ok(Run {
            child,
            words: words.join(" "),
        })
    }

    /// A value of `/proc/PID/status` in MB (10^6 bytes): `VmRSS`, or `VmHWM` for the most so far.
    ///
    /// # Errors
    /// Without such a file.
    pub fn memory_mb(&self, key: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.broker.pid()))?;
        let line = text.lines().find(|line| line.starts_with(key));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        Ok(kib.with_context(|| format!("no {key} in /proc/PID/status"))? * 1024.0 / 1e6)
    }
}

/// A load under way.
pub struct Run {
    child: Child,
    words: String,
}

impl Run {
    /// Its figures, or None when it was ended early because `over` was set.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn end_before(mut self, over: &AtomicBool) -> Result<Option<Value>> {
        while self.child.try_wait()?.is_none() {
            if over.load(Ordering::Relaxed) {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(None);
            }
            thread::sleep(CHILD_POLL);
        }
        self.end().map(Some)
    }

    /// Its figures.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn end(self) -> Result<Value> {
        let output = self.child.wait_with_output()?;
        let figures: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let clean = figures.get("errors").and_then(Value::as_u64) == Some(0)
            && figures.get("verified").and_then(Value::as_bool) == Some(true);
        if !output.status.success() || !clean {
            bail!("`levada {}` found errors: {figures}", self.words);
        }
        Ok(figures)
    }
}

/// A number among figures.
pub fn number(figures: &Value, key: &str) -> f64 {
    figures.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
