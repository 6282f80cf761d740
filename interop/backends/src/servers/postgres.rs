//! PostgreSQL: a cluster of its own, with the settings that a server has by default.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use super::{START_POLL, START_TIME_MAX, free_ports};

/// Who runs it when we are root, which it refuses to be.
const USERS: [&str; 2] = ["postgres", "nobody"];

pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    /// User and group, when we are root.
    user: Option<(u32, u32)>,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a cluster, starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the end of its log is in the message.
    pub async fn start(programs: &Path) -> Result<Postgres> {
        let folder = tempfile::Builder::new().prefix("levada-pg").tempdir()?;
        let user = match getuid().is_root() {
            true => Some(unprivileged()?),
            false => None,
        };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let [port] = free_ports()?;
        let mut postgres = Postgres {
            programs: programs.to_owned(),
            folder,
            user,
            port,
            child: None,
        };
        let mut initdb = postgres.command("initdb");
        // The files of an empty cluster need not outlive a power loss; what comes later is synced.
        initdb.args(["--no-sync", "--auth=trust", "--username=levada"]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--pgdata=data"]);
        let made = initdb.output().context("initdb")?;
        let why = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb failed: {why}");
        postgres.restart().await?;
        Ok(postgres)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        command.env("LC_ALL", "C").stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Ends every process of it with SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The children lead sessions of their own; a machine that stops takes them too.
        for pid in family(child.id()) {
            kill_process(pid, Signal::KILL).ok();
        }
        child.kill().ok();
        child.wait().ok();
    }

    /// Stops or continues every process of it: a server that hangs.
    pub fn signal(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        for pid in family(child.id()) {
            kill_process(pid, signal).ok();
        }
    }

    /// Starts it over what is there and waits until it answers.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.spawn()?;
        let began = Instant::now();
        while let Err(error) = self.client().await {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if began.elapsed() > START_TIME_MAX {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(10).collect();
                bail!("PostgreSQL did not start ({ended:?}, {error}); last lines first: {tail:#?}");
            }
            if ended.is_some() {
                // A process that was forked while its family was killed holds the memory for a
                // moment longer.
                self.spawn()?;
            }
            tokio::time::sleep(START_POLL).await;
        }
        Ok(())
    }

    fn spawn(&mut self) -> Result<()> {
        let log = fs::File::create(self.folder.path().join("log"))?;
        let mut postgres = self.command("postgres");
        postgres.args(["-D", "data", "-h", "127.0.0.1", "-c"]);
        postgres.args(["unix_socket_directories=", "-p", &self.port.to_string()]);
        let started = postgres.stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(started.context("postgres")?);
        Ok(())
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What a client takes to reach it at `address`: its own, or a proxy's.
    pub fn connection(address: SocketAddr) -> String {
        let (host, port) = (address.ip(), address.port());
        format!("host={host} port={port} user=levada dbname=postgres")
    }

    /// A connection for what a log does not do.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn client(&self) -> Result<tokio_postgres::Client> {
        let connection = Postgres::connection(self.address());
        let connecting = tokio_postgres::connect(&connection, tokio_postgres::NoTls);
        let (client, connection) = connecting.await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.kill();
    }
}

/// A process and its children.
fn family(parent: u32) -> Vec<Pid> {
    let children = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // After the name, which is in parentheses: state, parent.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            (fields.nth(1)?.parse() == Ok(parent)).then_some(pid)
        });
    let all = [parent as i32].into_iter().chain(children);
    all.filter_map(Pid::from_raw).collect()
}

fn unprivileged() -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    let found = USERS.iter().find_map(|user| find(user));
    found.context("PostgreSQL does not run as root, and there is no other user for it")
}
