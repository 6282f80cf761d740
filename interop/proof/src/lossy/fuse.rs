//! The store as a FUSE filesystem. Nothing is cached by the kernel: what it would keep in its page
//! cache would survive the cut.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    FileAttr, FileType, Filesystem, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
};
use libc::{EEXIST, EINVAL, EIO, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, c_int};

use super::errors::{Errors, Operation};
use super::store::{File, Folder, Node, Store};

const NO_CACHE: Duration = Duration::ZERO;
/// A disk's time for a sync; memory's would make the load ten times what a disk allows.
const SYNC_TIME: Duration = Duration::from_millis(2);
const BLOCK_BYTES: u32 = 4096;
/// What statfs says is free: 64 GiB.
const BLOCKS_FREE: u64 = 16 << 20;
/// How the names of the broker's log files end.
const LOG_SUFFIX: &[u8] = b".log";
/// `FALLOC_FL_KEEP_SIZE`.
const KEEP_SIZE: i32 = 1;
/// `FALLOC_FL_PUNCH_HOLE`, `FALLOC_FL_ZERO_RANGE`.
const ZEROING: i32 = 2 | 16;

pub struct Adapter {
    store: Arc<Mutex<Store>>,
    errors: Arc<Mutex<Errors>>,
    mounted: SystemTime,
}

impl Adapter {
    pub fn new(store: Arc<Mutex<Store>>, errors: Arc<Mutex<Errors>>) -> Adapter {
        Adapter {
            store,
            errors,
            mounted: SystemTime::now(),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, store: &Store, ino: u64) -> Result<FileAttr, c_int> {
        let (kind, size, perm) = match store.get(ino).ok_or(ENOENT)? {
            Node::File(file) => (FileType::RegularFile, file.size(), 0o600),
            Node::Folder(_) => (FileType::Directory, 0, 0o700),
        };
        let time = self.mounted;
        Ok(FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        })
    }

    fn add(&self, parent: u64, name: &OsStr, node: Node) -> Result<FileAttr, c_int> {
        let mut store = self.store();
        if store.lookup(parent, name).is_some() {
            return Err(EEXIST);
        }
        let ino = store.add(parent, name, node).ok_or(ENOTDIR)?;
        self.attributes(&store, ino)
    }

    /// Whether this operation is to fail.
    fn fails(&self, operation: Operation, ino: u64) -> bool {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if !errors.is_armed() {
            return false;
        }
        let store = self.store();
        let is_log = store
            .name(ino)
            .is_some_and(|name| name.as_encoded_bytes().ends_with(LOG_SUFFIX));
        errors.strikes(operation, is_log)
    }

    fn with_file<T>(&self, ino: u64, body: impl FnOnce(&mut File) -> T) -> Result<T, c_int> {
        self.store().file(ino).map(body).ok_or(EISDIR)
    }
}

fn done(reply: ReplyEmpty, result: Result<(), c_int>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, result: Result<FileAttr, c_int>) {
    match result {
        Ok(attributes) => reply.entry(&NO_CACHE, &attributes, 0),
        Err(error) => reply.error(error),
    }
}

fn position(offset: i64) -> Result<u64, c_int> {
    u64::try_from(offset).map_err(|_| EINVAL)
}

impl Filesystem for Adapter {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let mut store = self.store();
        let found = store.lookup(parent, name).ok_or(ENOENT);
        entry(reply, found.and_then(|ino| self.attributes(&store, ino)));
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _: Option<u64>, reply: ReplyAttr) {
        match self.attributes(&self.store(), ino) {
            Ok(attributes) => reply.attr(&NO_CACHE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<u64>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<u32>,
        reply: ReplyAttr,
    ) {
        let resized = size.map_or(Ok(()), |size| self.with_file(ino, |file| file.resize(size)));
        match resized.and_then(|()| self.attributes(&self.store(), ino)) {
            Ok(attributes) => reply.attr(&NO_CACHE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        entry(
            reply,
            self.add(parent, name, Node::Folder(Folder::default())),
        );
    }

    fn create(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.add(parent, name, Node::File(File::default())) {
            Ok(attributes) => {
                reply.created(&NO_CACHE, &attributes, 0, 0, fuser::consts::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&mut self, _: &Request<'_>, _ino: u64, _flags: i32, reply: ReplyOpen) {
        reply.opened(0, fuser::consts::FOPEN_DIRECT_IO);
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        done(
            reply,
            self.store().remove(parent, name).map(|_| ()).ok_or(ENOENT),
        );
    }

    fn rmdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let mut store = self.store();
        let found = store.lookup(parent, name);
        let is_empty = found
            .and_then(|ino| store.folder(ino))
            .map(|folder| folder.names.is_empty());
        done(
            reply,
            match is_empty {
                None => Err(ENOENT),
                Some(false) => Err(ENOTEMPTY),
                Some(true) => store.remove(parent, name).map(|_| ()).ok_or(ENOENT),
            },
        );
    }

    fn rename(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        new_parent: u64,
        new_name: &OsStr,
        _flags: u32,
        reply: ReplyEmpty,
    ) {
        let renamed = self.store().rename((parent, name), (new_parent, new_name));
        done(reply, renamed.ok_or(ENOENT));
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _fh: u64,
        offset: i64,
        size: u32,
        _flags: i32,
        _lock: Option<u64>,
        reply: ReplyData,
    ) {
        if self.fails(Operation::Read, ino) {
            return reply.error(EIO);
        }
        let bytes = position(offset)
            .and_then(|at| self.with_file(ino, |file| file.read(at, u64::from(size))));
        match bytes {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _fh: u64,
        offset: i64,
        data: &[u8],
        _write_flags: u32,
        _flags: i32,
        _lock: Option<u64>,
        reply: ReplyWrite,
    ) {
        if self.fails(Operation::Write, ino) {
            // A part of it may be there.
            let part = &data[..data.len() / 2];
            let torn = position(offset).and_then(|at| self.with_file(ino, |f| f.write(at, part)));
            return reply.error(torn.err().unwrap_or(EIO));
        }
        match position(offset).and_then(|at| self.with_file(ino, |file| file.write(at, data))) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(0)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&mut self, _: &Request<'_>, _ino: u64, _fh: u64, _lock: u64, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, ino: u64, _fh: u64, _data: bool, reply: ReplyEmpty) {
        std::thread::sleep(SYNC_TIME);
        if self.fails(Operation::Sync, ino) {
            let given_up = self.with_file(ino, File::fail_sync);
            return reply.error(given_up.err().unwrap_or(EIO));
        }
        done(reply, self.with_file(ino, File::sync));
    }

    fn fsyncdir(&mut self, _: &Request<'_>, ino: u64, _fh: u64, _data: bool, reply: ReplyEmpty) {
        done(
            reply,
            self.store().folder(ino).map(Folder::sync).ok_or(ENOTDIR),
        );
    }

    fn fallocate(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _fh: u64,
        offset: i64,
        length: i64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let result = position(offset).and_then(|at| {
            let length = position(length)?;
            self.with_file(ino, |file| {
                let size = file.size();
                if mode & ZEROING != 0 {
                    file.write(at, &vec![0; length as usize]);
                }
                let end = at + length;
                file.resize(if mode & KEEP_SIZE != 0 {
                    size
                } else {
                    size.max(end)
                });
            })
        });
        done(reply, result);
    }

    fn readdir(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _fh: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let store = self.store();
        let Some(Node::Folder(folder)) = store.get(ino) else {
            return reply.error(ENOTDIR);
        };
        let skip = usize::try_from(offset).unwrap_or(0);
        for (index, (name, number)) in folder.names.iter().enumerate().skip(skip) {
            let kind = match store.get(*number) {
                Some(Node::Folder(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(*number, index as i64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&mut self, _: &Request<'_>, _ino: u64, reply: ReplyStatfs) {
        let blocks = 2 * BLOCKS_FREE;
        reply.statfs(
            blocks,
            BLOCKS_FREE,
            BLOCKS_FREE,
            0,
            1 << 20,
            BLOCK_BYTES,
            255,
            BLOCK_BYTES,
        );
    }
}
