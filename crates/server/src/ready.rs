//! `DIR/ready.json`: there while every listener accepts; scripts and tests wait for it.

use std::path::{Path, PathBuf};

use levada_env::Env;
use serde::Serialize;

use crate::{Addresses, StartError};

const FILE: &str = "ready.json";

/// The keys are a contract; `null` for what is off.
#[derive(Serialize)]
struct Ready<'a> {
    pid: u32,
    version: &'a str,
    kafka: Option<String>,
    sqs: Option<String>,
    http: Option<String>,
    mqtt: Option<String>,
    sql: Option<String>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Removes what a process that did not stop cleanly left behind. Blocks.
pub(crate) fn remove(env: &Env, dir: &Path) -> Result<(), StartError> {
    match env.fs().remove_file(&path(dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StartError::Folder(
            format!("cannot remove {}: {error}", path(dir).display()),
        )),
        _ => Ok(()),
    }
}

/// Puts the file into place. Blocks.
pub(crate) fn write(env: &Env, dir: &Path, addresses: &Addresses) -> Result<(), StartError> {
    let ready = Ready {
        pid: std::process::id(),
        version: crate::VERSION,
        kafka: addresses.kafka.map(|address| address.to_string()),
        sqs: addresses.sqs.map(|address| address.to_string()),
        http: addresses.http.map(|address| address.to_string()),
        mqtt: None,
        sql: None,
    };
    let cannot =
        |why: String| StartError::Folder(format!("cannot write {}: {why}", path(dir).display()));
    let mut bytes = serde_json::to_vec(&ready).map_err(|error| cannot(error.to_string()))?;
    bytes.push(b'\n');
    env.fs()
        .write_atomic(&path(dir), &bytes)
        .map_err(|error| cannot(error.to_string()))
}
