//! The lossy filesystem through the kernel: mounted, written by raw system calls, and cut.
#![allow(clippy::disallowed_methods)] // a test of a test tool, on the real filesystem

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use levada_proof::lossy::Lossy;

#[test]
fn a_cut_takes_what_was_not_synced_and_nothing_else() {
    let folder = std::env::temp_dir().join(format!("levada-lossy-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let lossy = match Lossy::mount(&folder) {
        Ok(lossy) => lossy,
        Err(error) => {
            eprintln!("!! NOT RUN: {error:#}");
            return;
        }
    };
    let path = folder.join("file");
    let mut file = File::create(&path).expect("created");
    file.write_all(b"synced").expect("written");
    file.sync_data().expect("synced");
    File::open(&folder)
        .expect("the folder")
        .sync_all()
        .expect("synced");
    file.write_all(b" and not").expect("written");
    fs::write(folder.join("other"), b"never synced").expect("written");
    fs::create_dir(folder.join("sub")).expect("made");
    assert_eq!(fs::read(&path).expect("read"), b"synced and not");
    drop(file);

    lossy.cut_power();
    assert_eq!(fs::read(&path).expect("read"), b"synced");
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1);

    let file = OpenOptions::new().write(true).open(&path).expect("opened");
    file.write_all_at(b"SYNCED", 0).expect("written");
    file.set_len(3).expect("cut");
    file.sync_all().expect("synced");
    drop(file);
    fs::rename(&path, folder.join("renamed")).expect("renamed");
    lossy.cut_power();
    assert_eq!(fs::read(&path).expect("read"), b"SYN");
    drop(lossy);
    fs::remove_dir(&folder).expect("unmounted");
}
