//! What the faulty filesystem does to bytes and names.

use super::*;

fn file(fs: &FaultFs, name: &str) -> Arc<dyn File> {
    fs.open(Path::new(name), OpenMode::Create).unwrap()
}

#[test]
fn power_loss_takes_what_was_not_synced() {
    let fs = FaultFs::new(1);
    let a = file(&fs, "/a");
    a.write_all_at(b"safe", 0).unwrap();
    a.sync_data().unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    a.write_all_at(b"lost", 4).unwrap();
    file(&fs, "/b").sync_all().unwrap();
    fs.crash(Crash::LoseUnsynced);
    assert_eq!(fs.read(Path::new("/a")).unwrap(), b"safe");
    assert!(!fs.exists(Path::new("/b")), "the name was never synced");
    assert!(a.write_all_at(b"x", 0).is_err(), "an old handle is dead");
    assert_eq!((fs.counts().writes_lost, fs.counts().names_lost), (1, 1));
}

#[test]
fn a_kill_keeps_what_the_system_was_handed() {
    let fs = FaultFs::new(1);
    file(&fs, "/a").write_all_at(b"kept", 0).unwrap();
    fs.crash(Crash::Kill);
    assert_eq!(fs.read(Path::new("/a")).unwrap(), b"kept");
}

#[test]
fn a_renamed_file_is_under_its_old_name_until_the_folder_is_synced() {
    let fs = FaultFs::new(1);
    fs.write_atomic(Path::new("/a"), b"one").unwrap();
    fs.rename(Path::new("/a"), Path::new("/b")).unwrap();
    fs.crash(Crash::LoseUnsynced);
    assert_eq!(fs.read(Path::new("/a")).unwrap(), b"one");
    fs.rename(Path::new("/a"), Path::new("/b")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs.crash(Crash::LoseUnsynced);
    assert_eq!(fs.read_dir(Path::new("/")).unwrap(), ["b"]);
}

#[test]
fn writes_are_torn_by_sectors() {
    let mut torn = 0;
    for seed in 0..50 {
        let fs = FaultFs::new(seed);
        let a = file(&fs, "/a");
        a.write_all_at(&[1; 4096], 0).unwrap();
        a.sync_all().unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        a.write_all_at(&[2; 4096], 0).unwrap();
        fs.crash(Crash::KeepSome);
        let bytes = fs.read(Path::new("/a")).unwrap();
        assert!(
            bytes
                .chunks(512)
                .all(|sector| sector.iter().all(|b| *b == sector[0]))
        );
        torn += u32::from(bytes.contains(&1) && bytes.contains(&2));
    }
    assert!(torn > 10, "{torn} of 50");
}

#[test]
fn a_failed_sync_is_never_made_good_by_a_later_one() {
    let fs = FaultFs::new(1);
    let a = file(&fs, "/a");
    fs.sync_dir(Path::new("/")).unwrap();
    a.write_all_at(b"gone", 0).unwrap();
    fs.fail_next_sync();
    assert!(a.sync_data().is_err());
    a.sync_data().unwrap();
    assert_eq!(
        fs.read(Path::new("/a")).unwrap(),
        b"gone",
        "the cache still shows it"
    );
    fs.crash(Crash::LoseUnsynced);
    assert_eq!(fs.read(Path::new("/a")).unwrap(), b"");
    assert_eq!(fs.counts().sync_errors, 1);
}

#[test]
fn a_full_disk_takes_a_part_and_then_refuses_until_there_is_room() {
    let fs = FaultFs::new(1);
    fs.set_capacity(Some(8192));
    let a = file(&fs, "/a");
    let error = a.write_all_at(&[1; 12_000], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(a.len().unwrap(), 8192);
    a.write_all_at(&[2; 8192], 0).unwrap();
    assert_eq!(fs.available_bytes(Path::new("/")).unwrap(), 0);
    fs.remove_file(Path::new("/a")).unwrap();
    file(&fs, "/b").allocate(8192).unwrap();
    assert_eq!(fs.counts().full_writes, 1);
}

#[test]
fn the_power_goes_at_the_call_that_was_chosen() {
    let fs = FaultFs::new(1);
    let a = file(&fs, "/a");
    fs.cut_power_after(2);
    a.write_all_at(b"one", 0).unwrap();
    assert!(a.sync_all().is_err());
    assert!(fs.is_off() && a.len().is_err());
    fs.crash(Crash::Kill);
    assert_eq!(fs.read(Path::new("/a")).unwrap(), b"one");
}

#[test]
fn an_image_holds_what_is_seen_and_is_a_disk_of_its_own() {
    let fs = FaultFs::new(1);
    file(&fs, "/a").write_all_at(b"never synced", 0).unwrap();
    let image = fs.image(2);
    image.flip_bit(Path::new("/a"), 0, 0).unwrap();
    image.crash(Crash::LoseUnsynced);
    assert_eq!(image.read(Path::new("/a")).unwrap(), b"oever synced");
    assert_eq!(fs.read(Path::new("/a")).unwrap(), b"never synced");
}
