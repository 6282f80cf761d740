//! The broker under test: started at one address again and again, killed without warning.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use levada_wire_kafka::messages::MetadataRequest;

use super::Plan;
use crate::connection::Connection;

const START_WAIT_MAX: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(3);

pub struct Server {
    command: Vec<String>,
    folder: PathBuf,
    data: PathBuf,
    pub address: String,
    child: Option<Child>,
}

impl Server {
    /// Picks an address; nothing runs yet.
    pub fn new(plan: &Plan, data: PathBuf) -> Result<Server> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .to_string();
        Ok(Server {
            command: plan.command.clone(),
            folder: plan.folder.clone(),
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
        let fill = |word: &String| {
            word.replace("{address}", &self.address)
                .replace("{data}", &self.data.display().to_string())
        };
        let words: Vec<String> = self.command.iter().map(fill).collect();
        let (program, arguments) = words.split_first().context("no command")?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("broker.log"))?;
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
            if !self.is_running() || started.elapsed() > START_WAIT_MAX {
                bail!(
                    "no answer after {:?}; see {}/broker.log",
                    started.elapsed(),
                    self.folder.display()
                );
            }
            thread::sleep(START_POLL);
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let answer = Connection::open(&self.address)
            .and_then(|mut connection| connection.call(1, &MetadataRequest::default()));
        answer.is_ok()
    }

    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill().ok();
    }
}
