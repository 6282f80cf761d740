//! Files and folders in memory, each as it is and as it was when it was last synced.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

pub const ROOT: u64 = 1;
const PAGE_BYTES: u64 = 4096;

type Page = Box<[u8; PAGE_BYTES as usize]>;

/// What is lost when the power goes.
pub enum Cut<'a> {
    /// Every unsynced byte and name.
    All,
    /// Every unsynced name, and the unsynced pages for which this says false.
    Some(&'a mut dyn FnMut() -> bool),
}

/// A file's bytes.
#[derive(Default)]
pub struct File {
    synced: Vec<u8>,
    /// Only so many bytes of `synced` show: the file was cut to less since.
    valid: u64,
    /// Pages written since, over `synced`.
    pages: BTreeMap<u64, Page>,
    /// Pages that a failed sync has given up: no later sync stores them, unless they are written
    /// again. So does Linux.
    lost: BTreeSet<u64>,
    size: u64,
}

/// A folder's names.
#[derive(Default)]
pub struct Folder {
    pub names: BTreeMap<OsString, u64>,
    synced: BTreeMap<OsString, u64>,
}

pub enum Node {
    File(File),
    Folder(Folder),
}

/// The whole filesystem.
pub struct Store {
    nodes: BTreeMap<u64, Node>,
    last: u64,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            nodes: BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]),
            last: ROOT,
        }
    }
}

impl File {
    pub fn size(&self) -> u64 {
        self.size
    }

    fn page(&self, number: u64) -> Page {
        if let Some(page) = self.pages.get(&number) {
            return page.clone();
        }
        let mut page = Box::new([0; PAGE_BYTES as usize]);
        let start = number * PAGE_BYTES;
        let end = (start + PAGE_BYTES).min(self.valid);
        if let Some(bytes) = self.synced.get(start as usize..end as usize) {
            page[..bytes.len()].copy_from_slice(bytes);
        }
        page
    }

    pub fn read(&self, at: u64, length: u64) -> Vec<u8> {
        let end = (at + length).min(self.size);
        let mut out = Vec::new();
        let mut position = at;
        while position < end {
            let page = self.page(position / PAGE_BYTES);
            let from = (position % PAGE_BYTES) as usize;
            let take = (PAGE_BYTES as usize - from).min((end - position) as usize);
            out.extend_from_slice(&page[from..from + take]);
            position += take as u64;
        }
        out
    }

    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let position = at + done as u64;
            let number = position / PAGE_BYTES;
            let from = (position % PAGE_BYTES) as usize;
            let take = (PAGE_BYTES as usize - from).min(bytes.len() - done);
            let mut page = self.page(number);
            page[from..from + take].copy_from_slice(&bytes[done..done + take]);
            self.pages.insert(number, page);
            self.lost.remove(&number);
            done += take;
        }
        self.size = self.size.max(at + bytes.len() as u64);
    }

    pub fn resize(&mut self, size: u64) {
        if size < self.size {
            self.valid = self.valid.min(size);
            self.pages.split_off(&size.div_ceil(PAGE_BYTES));
            let last = size / PAGE_BYTES;
            if let Some(page) = self.pages.get_mut(&last) {
                page[(size % PAGE_BYTES) as usize..].fill(0);
            }
        }
        self.size = size;
    }

    pub fn sync(&mut self) {
        self.synced.truncate(self.valid as usize);
        self.synced.resize(self.size as usize, 0);
        self.valid = self.size;
        let lost = &self.lost;
        let (kept, stored): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.pages)
            .into_iter()
            .partition(|(number, _)| lost.contains(number));
        self.pages = kept;
        for (number, page) in stored {
            let start = (number * PAGE_BYTES) as usize;
            let end = (start + PAGE_BYTES as usize).min(self.synced.len());
            if start < end {
                self.synced[start..end].copy_from_slice(&page[..end - start]);
            }
        }
    }

    /// A sync that fails.
    pub fn fail_sync(&mut self) {
        self.lost.extend(self.pages.keys());
    }

    fn cut(&mut self, cut: &mut Cut<'_>) {
        self.lost.clear();
        let pages = std::mem::take(&mut self.pages);
        let size = self.size;
        self.valid = self.synced.len() as u64;
        self.size = self.valid;
        if let Cut::Some(keeps) = cut {
            for (number, page) in pages {
                let start = number * PAGE_BYTES;
                let end = (start + PAGE_BYTES).min(size);
                if keeps() && start < end {
                    self.write(start, &page[..(end - start) as usize]);
                }
            }
            // What reached the disk is there for good.
            self.sync();
        }
    }
}

impl Folder {
    pub fn sync(&mut self) {
        self.synced = self.names.clone();
    }
}

impl Store {
    pub fn get(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    pub fn file(&mut self, number: u64) -> Option<&mut File> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    pub fn folder(&mut self, number: u64) -> Option<&mut Folder> {
        match self.nodes.get_mut(&number) {
            Some(Node::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    pub fn lookup(&mut self, parent: u64, name: &OsStr) -> Option<u64> {
        self.folder(parent)?.names.get(name).copied()
    }

    /// The name of a file in the folder that holds it.
    pub fn name(&self, number: u64) -> Option<&OsStr> {
        let folders = self.nodes.values().filter_map(|node| match node {
            Node::Folder(folder) => Some(folder),
            Node::File(_) => None,
        });
        let mut names = folders.flat_map(|folder| &folder.names);
        names
            .find(|(_, found)| **found == number)
            .map(|(name, _)| name.as_os_str())
    }

    /// Adds a node under a name that is free; returns its number.
    pub fn add(&mut self, parent: u64, name: &OsStr, node: Node) -> Option<u64> {
        let number = self.last + 1;
        self.folder(parent)?.names.insert(name.to_owned(), number);
        self.nodes.insert(number, node);
        self.last = number;
        Some(number)
    }

    /// Takes a name away; the bytes stay until the power goes, for whoever has the file open.
    pub fn remove(&mut self, parent: u64, name: &OsStr) -> Option<u64> {
        self.folder(parent)?.names.remove(name)
    }

    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Option<()> {
        let number = self.remove(from.0, from.1)?;
        self.folder(to.0)?.names.insert(to.1.to_owned(), number);
        Some(())
    }

    /// The power goes and comes back.
    pub fn cut(&mut self, cut: &mut Cut<'_>) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.cut(cut),
                Node::Folder(folder) => folder.names = folder.synced.clone(),
            }
        }
        let mut reachable = vec![ROOT];
        let mut next = 0;
        while next < reachable.len() {
            if let Some(Node::Folder(folder)) = self.nodes.get(&reachable[next]) {
                reachable.extend(folder.names.values());
            }
            next += 1;
        }
        self.nodes.retain(|number, _| reachable.contains(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_with_file() -> (Store, u64) {
        let mut store = Store::default();
        let file = store
            .add(ROOT, OsStr::new("f"), Node::File(File::default()))
            .expect("added");
        (store, file)
    }

    #[test]
    fn only_what_was_synced_survives() {
        let (mut store, number) = store_with_file();
        store.folder(ROOT).expect("root").sync();
        let file = store.file(number).expect("file");
        file.write(0, b"kept");
        file.sync();
        file.write(2, b"lost and longer");
        assert_eq!(file.read(0, 100), b"kelost and longer");
        store.cut(&mut Cut::All);
        assert_eq!(store.file(number).expect("file").read(0, 100), b"kept");
    }

    #[test]
    fn what_a_failed_sync_gave_up_is_not_stored_by_a_later_one() {
        let (mut store, number) = store_with_file();
        store.folder(ROOT).expect("root").sync();
        let page = PAGE_BYTES as usize;
        let file = store.file(number).expect("file");
        file.write(0, &vec![1; 2 * page]);
        file.fail_sync();
        assert_eq!(file.read(0, 1), [1]);
        file.write(PAGE_BYTES, b"again");
        file.sync();
        store.cut(&mut Cut::All);
        let bytes = store.file(number).expect("file").read(0, 2 * PAGE_BYTES);
        assert_eq!(bytes[0], 0);
        assert_eq!(&bytes[page..page + 5], b"again");
    }

    #[test]
    fn a_name_that_was_not_synced_is_gone_though_its_bytes_were() {
        let (mut store, number) = store_with_file();
        store.file(number).expect("file").sync();
        store.cut(&mut Cut::All);
        assert!(store.lookup(ROOT, OsStr::new("f")).is_none());
        assert!(store.get(number).is_none());
    }

    #[test]
    fn a_rename_that_was_not_synced_is_undone() {
        let (mut store, number) = store_with_file();
        store.folder(ROOT).expect("root").sync();
        store
            .rename((ROOT, OsStr::new("f")), (ROOT, OsStr::new("g")))
            .expect("renamed");
        store.cut(&mut Cut::All);
        assert_eq!(store.lookup(ROOT, OsStr::new("f")), Some(number));
    }

    #[test]
    fn pages_may_be_kept_by_chance_and_holes_read_as_zeros() {
        let (mut store, number) = store_with_file();
        store.folder(ROOT).expect("root").sync();
        store
            .file(number)
            .expect("file")
            .write(0, &[7; 3 * PAGE_BYTES as usize]);
        let mut page = 0;
        let mut keeps = || {
            page += 1;
            page == 3
        };
        store.cut(&mut Cut::Some(&mut keeps));
        let bytes = store.file(number).expect("file").read(0, 3 * PAGE_BYTES);
        assert!(
            bytes[..2 * PAGE_BYTES as usize]
                .iter()
                .all(|byte| *byte == 0)
        );
        assert!(
            bytes[2 * PAGE_BYTES as usize..]
                .iter()
                .all(|byte| *byte == 7)
        );
    }

    #[test]
    fn a_file_that_shrank_and_grew_reads_zeros_in_between() {
        let mut file = File::default();
        file.write(0, b"abcdef");
        file.sync();
        file.resize(2);
        file.resize(6);
        assert_eq!(file.read(0, 10), b"ab\0\0\0\0");
        file.sync();
        assert_eq!(file.read(0, 10), b"ab\0\0\0\0");
    }
}
