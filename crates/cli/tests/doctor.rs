//! `levada doctor --data DIR` on a folder with damage: told by topic, partition and offset, nothing
//! touched, and a way to go on.
#![allow(clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Ran, Server, command};

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

/// Flips a bit in the first copy of `text` in the log.
fn damage(folder: &Path, text: &str) {
    for (path, mut bytes) in contents(&folder.join("wal")) {
        let place = bytes.windows(text.len()).position(|w| w == text.as_bytes());
        if let Some(place) = place {
            bytes[place] ^= 1;
            return std::fs::write(path, bytes).unwrap();
        }
    }
    panic!("'{text}' is not in the log");
}

fn doctor(folder: &Path, more: &[&str]) -> Ran {
    let mut doctor = command(&["doctor", "--offline", "--data"]);
    Ran::new(doctor.arg(folder).args(more).output().unwrap())
}

fn named<'a>(found: &'a Value, name: &str) -> Vec<&'a Value> {
    let checks = found["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["name"] == name).collect()
}

/// A stopped service whose log holds `orders`: 0 to 8, one frame each, with 4 damaged.
fn damaged_server() -> Server {
    let mut server = Server::start();
    server.run(&["topic", "create", "orders"]).ok();
    for n in 0..9 {
        let value = format!("<order {n}>");
        server.run(&["produce", "orders", "-m", &value]).ok();
    }
    server.kill();
    damage(server.folder.path(), "<order 4>");
    server
}

#[test]
fn doctor_names_the_records_that_damage_costs_and_changes_nothing() {
    let server = damaged_server();
    let folder = server.folder.path();
    let before = contents(folder);
    let ran = doctor(folder, &["-o", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["status"], "critical");
    let records = named(&found, "records");
    assert_eq!(records.len(), 1, "{found}");
    let place = records[0];
    assert_eq!(place["topic"], "orders");
    assert_eq!(place["partition"], 0);
    assert_eq!(
        (&place["first_offset"], &place["last_offset"]),
        (&4.into(), &4.into())
    );
    assert!(place["file"].as_str().unwrap().ends_with(".log"));
    assert!(place["offset"].as_u64().unwrap() > 0 && place["bytes"].as_u64().unwrap() > 60);
    assert!(
        place["advice"]
            .as_str()
            .unwrap()
            .contains("levada group seek")
    );
    let table = doctor(folder, &[]);
    assert_eq!(table.code, 1);
    let words = "topic orders, partition 0, offsets 4 to 4";
    assert!(table.stdout.contains(words), "{}", table.stdout);
    assert_eq!(contents(folder), before, "a look changes nothing");
}

#[test]
fn readers_get_an_error_at_the_damage_and_everything_around_it() {
    let mut server = damaged_server();
    server.restart();
    let read =
        |from: &str, to: &str| server.run(&["consume", "orders", "--from", from, "--to", to]);
    let lines = |from: i32, to: i32| (from..to).map(|n| format!("<order {n}>\n"));
    assert_eq!(read("0", "4").ok(), lines(0, 4).collect::<String>());
    assert_eq!(read("5", "9").ok(), lines(5, 9).collect::<String>());
    let hit = read("2", "9");
    assert_ne!(hit.code, 0, "{}", hit.stdout);
    assert_eq!(
        hit.stdout,
        lines(2, 4).collect::<String>(),
        "never other bytes"
    );
    assert!(
        hit.stderr.to_lowercase().contains("corrupt"),
        "{}",
        hit.stderr
    );
    // The way to go on: the group is moved behind the damage.
    let seek = ["group", "seek", "g", "--topic", "orders", "--to", "5"];
    server.run(&seek).ok();
    let rest = server.run(&["consume", "orders", "--group", "g"]).ok();
    assert_eq!(rest, lines(5, 9).collect::<String>());
}

#[test]
fn a_folder_that_is_whole_is_told_so() {
    let mut server = Server::start();
    server.run(&["topic", "create", "t"]).ok();
    server.run(&["produce", "t", "-m", "x"]).ok();
    server.kill();
    let folder = server.folder.path();
    let before = contents(folder);
    let found = doctor(folder, &["-o", "json"]).json();
    let log = named(&found, "log");
    assert_eq!(log[0]["status"], "ok", "{found}");
    assert_eq!(contents(folder), before);
    server.restart();
    let read = server.run(&["consume", "t"]).ok();
    assert_eq!(read, "x\n", "the look has left no lock behind");
}
