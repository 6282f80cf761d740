//! One preallocated, pre-zeroed file that is overwritten from its start again and again, with group
//! commit: one write and one sync for all that waits.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Condvar, Mutex};

use anyhow::{Context, Result};

use crate::chunk::{BLOCK_BYTES, CHUNK_BYTES, Chunk, Pool};
use crate::topics::Topics;
use crate::{Commit, Durability, Path, ServeArgs, answer};

const FILE_BYTES: u64 = 256 << 20;
/// More pieces are not put into one write.
const WRITE_PIECES_MAX: usize = 64;

/// A produce request of a group: where its parts stand in the chunk.
pub struct Produce {
    pub correlation_id: i32,
    pub topic: std::ops::Range<usize>,
    pub batch: std::ops::Range<usize>,
}

/// Frames of one connection that were read together.
pub struct Group {
    pub chunk: Chunk,
    /// Bytes of whole frames.
    pub bytes: usize,
    pub produces: Vec<Produce>,
    pub stream: Arc<TcpStream>,
}

#[derive(Default)]
struct Queue {
    groups: Vec<Group>,
    /// Somebody writes; whoever comes leaves its group to it.
    is_busy: bool,
}

pub struct Log {
    queue: Mutex<Queue>,
    more: Condvar,
    commit: Commit,
    writer: Mutex<Writer>,
    pub pool: Pool,
    topics: Arc<Topics>,
}

struct Writer {
    file: File,
    position: u64,
    durability: Durability,
    answers: Vec<u8>,
}

impl Log {
    /// Makes the file and writes zeros over all of it, so that a sync has no metadata to write.
    pub fn open(args: &ServeArgs, topics: Arc<Topics>) -> Result<Arc<Self>> {
        let path = args.data.join("log");
        let mut file = File::create(&path)?;
        let zeros = vec![0; CHUNK_BYTES];
        if args.durability != Durability::Discarded {
            for _ in 0..FILE_BYTES / CHUNK_BYTES as u64 {
                file.write_all(&zeros)?;
            }
            file.sync_all()?;
        }
        let mut options = OpenOptions::new();
        options.write(true);
        if args.path == Path::Direct {
            options.custom_flags(rustix::fs::OFlags::DIRECT.bits() as i32);
        }
        let file = options.open(&path).context("the file cannot be opened")?;
        let log = Arc::new(Self {
            queue: Mutex::default(),
            more: Condvar::new(),
            commit: args.commit,
            writer: Mutex::new(Writer {
                file,
                position: 0,
                durability: args.durability,
                answers: Vec::new(),
            }),
            pool: Pool::default(),
            topics,
        });
        if args.commit == Commit::Thread {
            let own = log.clone();
            std::thread::spawn(move || own.write_forever());
        }
        Ok(log)
    }

    pub fn is_threaded(&self) -> bool {
        self.commit == Commit::Thread
    }

    /// Hands a group over; it is acknowledged when it is durable.
    pub fn submit(&self, group: Group) {
        let mut queue = self.queue.lock().expect("no holder panics");
        queue.groups.push(group);
        if self.is_threaded() {
            drop(queue);
            self.more.notify_one();
            return;
        }
        if queue.is_busy {
            return;
        }
        queue.is_busy = true;
        while !queue.groups.is_empty() {
            let groups = std::mem::take(&mut queue.groups);
            drop(queue);
            self.write(groups);
            queue = self.queue.lock().expect("no holder panics");
        }
        queue.is_busy = false;
    }

    fn write_forever(&self) {
        loop {
            let queue = self.queue.lock().expect("no holder panics");
            let mut queue = self
                .more
                .wait_while(queue, |queue| queue.groups.is_empty())
                .expect("no holder panics");
            let groups = std::mem::take(&mut queue.groups);
            drop(queue);
            self.write(groups);
        }
    }

    /// Writes, syncs, acknowledges. A failure of the disk ends the process: there is nothing to
    /// measure then.
    fn write(&self, groups: Vec<Group>) {
        let mut writer = self.writer.lock().expect("no holder panics");
        if let Err(error) = writer.store(&groups) {
            eprintln!("levada-floor: the disk failed: {error}");
            std::process::exit(1);
        }
        for group in groups {
            writer.answers.clear();
            for produce in &group.produces {
                let bytes = group.chunk.bytes();
                let topic = &bytes[produce.topic.clone()];
                let base = self.topics.append(topic, &bytes[produce.batch.clone()]);
                answer::produce(&mut writer.answers, produce.correlation_id, topic, base);
            }
            // A client that has gone needs no answer.
            let _ = (&*group.stream).write_all(&writer.answers);
            self.pool.give(group.chunk);
        }
    }
}

impl Writer {
    fn store(&mut self, groups: &[Group]) -> std::io::Result<()> {
        if self.durability == Durability::Discarded {
            return Ok(());
        }
        for groups in groups.chunks(WRITE_PIECES_MAX) {
            let pieces = groups.iter().map(|group| group.chunk.blocks(group.bytes));
            let bytes: u64 = pieces.clone().map(|piece| piece.len() as u64).sum();
            if self.position + bytes > FILE_BYTES {
                self.position = 0;
            }
            let mut slices: Vec<IoSlice<'_>> = pieces.map(IoSlice::new).collect();
            let mut left = &mut slices[..];
            while !left.is_empty() {
                let written = rustix::io::pwritev(&self.file, left, self.position)?;
                // Whole blocks, so that the next place is aligned too.
                debug_assert_eq!(written % BLOCK_BYTES, 0);
                IoSlice::advance_slices(&mut left, written);
                self.position += written as u64;
            }
        }
        if self.durability == Durability::Synced {
            rustix::fs::fdatasync(&self.file)?;
        }
        Ok(())
    }
}
