//! SeaweedFS as the S3 server: master, volumes, filer and gateway in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use levada_journal::object::{S3Settings, s3_store};
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

use super::{START_POLL, START_TIME_MAX, free_ports};

const KEY: &str = "levada";
const SECRET: &str = "levada-secret";
const BUCKET: &str = "levada";
const IDENTITY: &str = r#"{"identities":[{"name":"levada",
    "credentials":[{"accessKey":"levada","secretKey":"levada-secret"}],
    "actions":["Admin","Read","Write","List","Tagging"]}]}"#;

/// Master, volume server, filer, gateway: each with a port for HTTP and one for gRPC.
const PARTS: [&str; 4] = ["master", "volume", "filer", "s3"];

pub struct Seaweed {
    program: PathBuf,
    folder: TempDir,
    ports: [u16; 8],
    child: Option<Child>,
}

impl Seaweed {
    /// Starts it empty and waits until it stores an object, for which it makes the bucket.
    pub async fn start(program: &Path) -> Result<Seaweed> {
        let folder = tempfile::Builder::new().prefix("levada-weed").tempdir()?;
        fs::create_dir(folder.path().join("data"))?;
        fs::write(folder.path().join("s3.json"), IDENTITY)?;
        let mut seaweed = Seaweed {
            program: program.to_owned(),
            folder,
            ports: free_ports()?,
            child: None,
        };
        seaweed.restart().await?;
        Ok(seaweed)
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts it over what is there and waits until it stores an object.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let log = fs::File::create(self.folder.path().join("log"))?;
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder.path());
        command.args([
            "server",
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-s3.config=s3.json",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            // It votes for itself after each start; by default it thinks about it for ten seconds.
            "-master.electionTimeout=1s",
            "-master.heartbeatInterval=100ms",
            "-volume.max=0",
        ]);
        for (part, ports) in PARTS.iter().zip(self.ports.chunks(2)) {
            command.arg(format!("-{part}.port={}", ports[0]));
            command.arg(format!("-{part}.port.grpc={}", ports[1]));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let started = command.stderr(log).spawn();
        self.child = Some(started.with_context(|| format!("{}", self.program.display()))?);
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let store = self.store()?;
        let path = object_store::path::Path::from("ready");
        loop {
            let Err(error) = store.put(&path, "x".into()).await else {
                return Ok(());
            };
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if ended.is_some() || started.elapsed() > START_TIME_MAX {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(10).collect();
                bail!("SeaweedFS did not start ({ended:?}, {error}); last lines first: {tail:#?}");
            }
            tokio::time::sleep(START_POLL).await;
        }
    }

    /// Where the bucket is.
    pub fn s3(&self) -> S3Settings {
        S3Settings {
            endpoint: format!("http://127.0.0.1:{}", self.ports[6]),
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            access_key_id: KEY.into(),
            secret_access_key: SECRET.into(),
        }
    }

    /// The bucket itself, for what a journal does not do.
    pub fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        Ok(s3_store(&self.s3())?)
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        self.kill();
        // It leaves sockets in the machine's folder for such, whatever its own folder is.
        for (part, ports) in PARTS.iter().zip(self.ports.chunks(2)) {
            fs::remove_file(format!("/tmp/seaweedfs-{part}-{}.sock", ports[0])).ok();
            fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{}.sock", ports[1])).ok();
        }
    }
}
