//! The committed corpus from the command line; `cargo xtask fuzz` calls it.
//!
//! - `corpus seeds` writes the seeds of every target anew;
//! - `corpus unpack FOLDER` puts each input into a file of its own, as libFuzzer wants them;
//! - `corpus keep NAME FOLDER` adds the smallest inputs of a folder, as many as may be committed;
//! - `corpus replay NAME FILE` checks one input and prints the line to commit.
#![allow(clippy::disallowed_methods)]

mod seeds;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use levada_fuzz::{TARGETS, Target, corpus};

/// What was found by fuzzing stands below this line; `seeds` leaves it as it is.
const KEPT: &str = "# Found by fuzzing: covers what the seeds do not";
/// Bytes of inputs that a target may have below the line, and of one of them.
const KEPT_BYTES_MAX: usize = 12 * 1024;
const KEPT_INPUT_BYTES_MAX: usize = 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        ["seeds"] => write_seeds(),
        ["unpack", folder] => unpack(Path::new(folder)),
        ["keep", name, folder] => named(name).and_then(|target| keep(target, Path::new(folder))),
        ["replay", name, file] => named(name).and_then(|target| replay(target, Path::new(file))),
        _ => Err(io::Error::other(
            "usage: corpus seeds | unpack FOLDER | keep NAME FOLDER | replay NAME FILE",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn named(name: &str) -> io::Result<&'static Target> {
    levada_fuzz::target(name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        io::Error::other(format!("no target {name}; there are {}", names.join(", ")))
    })
}

/// The committed text before and from the line [`KEPT`] on.
fn halves(target: &Target) -> (String, String) {
    let text = fs::read_to_string(corpus::path(target.name)).unwrap_or_default();
    let at = text.find(KEPT).unwrap_or(text.len());
    (text[..at].to_owned(), text[at..].to_owned())
}

fn write_seeds() -> io::Result<()> {
    let seeds = seeds::all();
    for target in TARGETS {
        let about = target.about;
        let mut text =
            format!("# {about}\n# Seeds: cargo run -p levada-fuzz --example corpus seeds\n");
        let inputs = seeds.get(target.name).into_iter().flatten();
        for input in inputs {
            text += &format!("{}\n", corpus::line(input));
        }
        let path = corpus::path(target.name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, text + &halves(target).1)?;
    }
    Ok(())
}

fn unpack(folder: &Path) -> io::Result<()> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, input) in corpus::of(target.name).iter().enumerate() {
            fs::write(folder.join(format!("committed-{number}")), input)?;
        }
    }
    Ok(())
}

fn keep(target: &Target, folder: &Path) -> io::Result<()> {
    let (seeds, kept) = halves(target);
    let known: BTreeSet<Vec<u8>> = corpus::of(target.name).into_iter().collect();
    let mut room = KEPT_BYTES_MAX.saturating_sub(kept.len() / 2);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let input = fs::read(entry?.path())?;
        if input.len() <= KEPT_INPUT_BYTES_MAX && !known.contains(&input) {
            found.push(input);
        }
    }
    found.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let mut text = match kept.is_empty() {
        true => format!("{seeds}{KEPT}\n"),
        false => seeds + &kept,
    };
    let mut added = 0;
    for input in found {
        let Some(left) = room.checked_sub(input.len()) else {
            break;
        };
        room = left;
        added += 1;
        text += &format!("{}\n", corpus::line(&input));
    }
    println!("{}: {added} inputs added", target.name);
    fs::write(corpus::path(target.name), text)
}

fn replay(target: &Target, file: &Path) -> io::Result<()> {
    let input = fs::read(file)?;
    println!("{}", corpus::line(&input));
    (target.check)(&input);
    Ok(())
}
