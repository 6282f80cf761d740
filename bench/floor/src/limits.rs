//! What disk, memory and loopback of this machine can do.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use levada_load::Tally;
use serde::Serialize;

use crate::chunk::{BLOCK_BYTES, CHUNK_BYTES, Chunk, Pool};

const FILE_BYTES: u64 = 256 << 20;
const SYNCS: u32 = 1000;
const SPAN: Duration = Duration::from_secs(1);
const COPY_BYTES: usize = 64 << 20;
const SEND_BYTES: usize = 64 * 1024;

#[derive(Serialize)]
struct Limits {
    /// Overwriting a block of a pre-zeroed file and fdatasync, past and through the page cache.
    direct_sync_p50_us: f64,
    direct_sync_p99_us: f64,
    buffered_sync_p50_us: f64,
    buffered_sync_p99_us: f64,
    /// Writes of 1 MiB one after the other, MB/s; the buffered ones end with one fdatasync.
    direct_write_mb_per_s: f64,
    buffered_write_mb_per_s: f64,
    /// Bytes copied from memory to memory, both touched before, MB/s.
    memory_copy_mb_per_s: f64,
    /// Bytes through one connection in writes of 64 KiB, MB/s.
    loopback_mb_per_s: f64,
}

/// Prints all of them as one JSON value.
pub fn print(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("limits");
    let chunk = Pool::default().take();
    zero(&path, &chunk)?;
    let direct = OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::DIRECT.bits() as i32)
        .open(&path)
        .context("the folder's file system has no direct writes")?;
    let buffered = OpenOptions::new().write(true).open(&path)?;
    let direct_sync = syncs(&direct, &chunk)?;
    let buffered_sync = syncs(&buffered, &chunk)?;
    let us = |tally: &Tally, quantile| tally.latencies.value_at_quantile(quantile) as f64 / 1e3;
    let limits = Limits {
        direct_sync_p50_us: us(&direct_sync, 0.5),
        direct_sync_p99_us: us(&direct_sync, 0.99),
        buffered_sync_p50_us: us(&buffered_sync, 0.5),
        buffered_sync_p99_us: us(&buffered_sync, 0.99),
        direct_write_mb_per_s: sequential(&direct, &chunk)?,
        buffered_write_mb_per_s: sequential(&buffered, &chunk)?,
        memory_copy_mb_per_s: memory_copy(),
        loopback_mb_per_s: loopback()?,
    };
    std::fs::remove_file(&path)?;
    println!("{}", serde_json::to_string(&limits)?);
    Ok(())
}

fn zero(path: &Path, chunk: &Chunk) -> Result<()> {
    let mut file = File::create(path)?;
    for _ in 0..FILE_BYTES / CHUNK_BYTES as u64 {
        file.write_all(chunk.blocks(CHUNK_BYTES))?;
    }
    file.sync_all()?;
    Ok(())
}

fn syncs(file: &File, chunk: &Chunk) -> Result<Tally> {
    let mut tally = Tally::default();
    for number in 0..SYNCS {
        let started = Instant::now();
        file.write_all_at(
            chunk.blocks(BLOCK_BYTES),
            u64::from(number) * BLOCK_BYTES as u64,
        )?;
        rustix::fs::fdatasync(file)?;
        tally.note(started.elapsed());
    }
    Ok(tally)
}

fn sequential(file: &File, chunk: &Chunk) -> Result<f64> {
    let started = Instant::now();
    let mut written = 0;
    while written < FILE_BYTES && started.elapsed() < SPAN {
        file.write_all_at(chunk.blocks(CHUNK_BYTES), written)?;
        written += CHUNK_BYTES as u64;
    }
    rustix::fs::fdatasync(file)?;
    Ok(megabytes_per_second(written, started))
}

fn memory_copy() -> f64 {
    let (from, mut to) = (vec![1u8; COPY_BYTES], vec![2u8; COPY_BYTES]);
    let started = Instant::now();
    let mut copied = 0;
    while started.elapsed() < SPAN {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        copied += COPY_BYTES as u64;
    }
    megabytes_per_second(copied, started)
}

fn loopback() -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let reading = std::thread::spawn(move || {
        let mut memory = vec![0; CHUNK_BYTES];
        let mut received = 0;
        while let Ok(read @ 1..) = receiver.read(&mut memory) {
            received += read as u64;
        }
        received
    });
    let started = Instant::now();
    let bytes = vec![1; SEND_BYTES];
    while started.elapsed() < SPAN {
        sender.write_all(&bytes)?;
    }
    drop(sender);
    let received = reading.join().ok().context("the reader failed")?;
    Ok(megabytes_per_second(received, started))
}

fn megabytes_per_second(bytes: u64, since: Instant) -> f64 {
    (bytes as f64 / 1e6 / since.elapsed().as_secs_f64()).round()
}
