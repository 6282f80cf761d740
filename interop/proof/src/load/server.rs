//! The broker under test: started at one address again and again, killed without warning, stopped
//! in the middle of things.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use levada_wire_kafka::messages::MetadataRequest;
use rustix::process::{Pid, Signal, kill_process};

use crate::connection::Connection;

const START_WAIT_MAX: Duration = Duration::from_secs(60);
const STOP_WAIT_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(3);

pub struct Server {
    command: Vec<String>,
    log: PathBuf,
    data: PathBuf,
    pub address: String,
    child: Option<Child>,
}

/// Levada's command line for [`Server::new`], with these settings beside.
pub fn levada(binary: &Path, settings: &[(&str, &str)]) -> Vec<String> {
    let fixed = [
        "serve",
        "--kafka",
        "{address}",
        "--data",
        "{data}",
        "--http",
        "off",
        "--sqs",
        "off",
    ];
    let mut words = vec![binary.display().to_string()];
    words.extend(fixed.map(str::to_owned));
    for (name, value) in settings {
        words.extend([format!("--{name}"), (*value).to_owned()]);
    }
    words
}

/// How a start went.
#[derive(Debug)]
pub enum Started {
    Answers,
    /// It ended by itself.
    Refused(ExitStatus),
}

impl Server {
    /// Picks an address; nothing runs yet. In the command `{address}` and `{data}` stand for where
    /// it listens and keeps its data; what it says goes to `broker.log` in `folder`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(command: &[String], folder: &Path, data: PathBuf) -> Result<Server> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .to_string();
        Ok(Server {
            command: command.to_vec(),
            log: folder.join("broker.log"),
            data,
            address,
            child: None,
        })
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer within a minute.
    pub fn start(&mut self) -> Result<()> {
        match self.try_start()? {
            Started::Answers => Ok(()),
            Started::Refused(status) => bail!(
                "it ended at once ({status}); see {}: {}",
                self.log.display(),
                self.last_line()
            ),
        }
    }

    /// Starts it and waits until it answers or ends.
    ///
    /// # Errors
    /// When it does neither within a minute, or there is no such program.
    pub fn try_start(&mut self) -> Result<Started> {
        let fill = |word: &String| {
            word.replace("{address}", &self.address)
                .replace("{data}", &self.data.display().to_string())
        };
        let words: Vec<String> = self.command.iter().map(fill).collect();
        let (program, arguments) = words.split_first().context("no command")?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {words:?}"))?;
        self.child = Some(child);
        let started = Instant::now();
        while !self.answers() {
            if let Some(status) = self.ended()? {
                return Ok(Started::Refused(status));
            }
            if started.elapsed() > START_WAIT_MAX {
                bail!(
                    "no answer after {START_WAIT_MAX:?}; see {}",
                    self.log.display()
                );
            }
            thread::sleep(POLL);
        }
        Ok(Started::Answers)
    }

    fn answers(&self) -> bool {
        let answer = Connection::open(&self.address)
            .and_then(|mut connection| connection.call(1, &MetadataRequest::default()));
        answer.is_ok()
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let child = self.child.as_mut().context("it was not started")?;
        Ok(child.try_wait()?)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// When the process table cannot be read.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait()?;
        }
        Ok(())
    }

    /// Stands still from now on; [`Server::resume`] lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to stop in order, and waits until it has.
    ///
    /// # Errors
    /// When it does not within 20 s, or does not end with 0.
    pub fn shut_down(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        match self.wait_end(STOP_WAIT_MAX)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("it stopped with {status}: {}", self.last_line()),
            None => bail!("it still runs {STOP_WAIT_MAX:?} after SIGTERM"),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.pid().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).context("it does not run")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it ends by itself; None when it still runs after `limit`.
    ///
    /// # Errors
    /// When it was not started.
    pub fn wait_end(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Some(status) = self.ended()? {
                self.child = None;
                return Ok(Some(status));
            }
            thread::sleep(POLL);
        }
        Ok(None)
    }

    /// How long its log is: where to read on.
    pub fn log_bytes(&self) -> usize {
        fs::metadata(&self.log).map_or(0, |metadata| metadata.len() as usize)
    }

    /// What it has said since its log was so long.
    pub fn said_since(&self, bytes: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(bytes..).unwrap_or_default()).into_owned()
    }

    /// The last thing that it said.
    pub fn last_line(&self) -> String {
        let log = self.said_since(0);
        log.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill().ok();
    }
}
