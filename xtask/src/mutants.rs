//! `cargo xtask mutants`: the deliberate faults of `mutants/list.toml`, one at a time in a copy of the
//! tree, and whether the tests named for each one find it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::report::Tally;

/// A suite that takes longer hangs, which is a way of failing.
const SUITE_TIME_MAX: Duration = Duration::from_secs(240);

#[derive(clap::Args)]
pub struct Options {
    /// Only the faults of these names, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub only: Vec<String>,
    /// Hold every fault against these suites instead of those that the list names for it
    #[arg(long, value_delimiter = ',', value_name = "SUITE")]
    pub suites: Vec<String>,
    /// Only look whether every fault still applies
    #[arg(long)]
    pub check: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// Arguments of cargo by name.
    suites: BTreeMap<String, Vec<String>>,
    #[serde(rename = "mutant")]
    mutants: Vec<Mutant>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    about: String,
    file: String,
    replace: String,
    with: String,
    suites: Vec<String>,
}

/// What became of one fault.
#[derive(Serialize, Deserialize)]
struct Outcome {
    name: String,
    about: String,
    /// The suite that failed, as it should; null when all passed.
    caught_by: Option<String>,
    seconds: f64,
    /// The code that was broken: its commit, and whether there were changes on top.
    code: String,
}

/// Runs the list, or only looks at it.
///
/// # Errors
/// When a fault does not apply, or a suite fails without one.
pub fn run(options: &Options) -> Result<Tally> {
    let list = read_list(&process::repository())?;
    if options.check {
        return Ok(Tally {
            passed: list.mutants.len() as u64,
            ..Tally::default()
        });
    }
    let chosen = choose(&list, options)?;
    let tree = Tree::make()?;
    for suite in used_suites(&chosen) {
        println!("without a fault: {suite}");
        let ended = tree.test(&list.suites[&suite], &suite)?;
        ensure!(ended == Ended::Passed, "`{suite}` fails without any fault");
    }
    let mut outcomes = kept(&list);
    for (at, mutant) in chosen.iter().enumerate() {
        let outcome = try_mutant(&tree, &list, mutant)?;
        println!(
            "[{:>2}/{}] {:<34} {:<24} {:>5.1} s",
            at + 1,
            chosen.len(),
            outcome.name,
            (outcome.caught_by.as_ref()).map_or("NOT CAUGHT".to_owned(), |by| format!("by {by}")),
            outcome.seconds
        );
        outcomes.insert(outcome.name.clone(), outcome);
        let all: Vec<&Outcome> = outcomes.values().collect();
        fs::write(result(), serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(report(&list, &outcomes))
}

fn result() -> PathBuf {
    folder().join("result.json")
}

/// What earlier runs found of faults that are still listed: each says of which code.
fn kept(list: &List) -> BTreeMap<String, Outcome> {
    let text = fs::read_to_string(result()).unwrap_or_default();
    let outcomes: Vec<Outcome> = serde_json::from_str(&text).unwrap_or_default();
    let listed = |outcome: &Outcome| list.mutants.iter().any(|one| one.name == outcome.name);
    let listed = outcomes.into_iter().filter(listed);
    listed
        .map(|outcome| (outcome.name.clone(), outcome))
        .collect()
}

fn report(list: &List, outcomes: &BTreeMap<String, Outcome>) -> Tally {
    let mut tally = Tally::default();
    for outcome in outcomes.values() {
        tally += Tally::of(outcome.caught_by.is_some());
        if outcome.caught_by.is_none() {
            println!("NOT CAUGHT {}: {}", outcome.name, outcome.about);
        }
    }
    println!(
        "{} of {} deliberate faults were caught, {} never tried; {}",
        tally.passed,
        list.mutants.len(),
        list.mutants.len() - outcomes.len(),
        result().display()
    );
    tally
}

/// The commit that is checked out, with a word on changes that are not committed.
fn code() -> Result<String> {
    let mut git = process::command("git");
    let described = process::output(git.args(["describe", "--always", "--dirty", "--exclude=*"]));
    Ok(described.context("git describe")?.trim().to_owned())
}

fn try_mutant(tree: &Tree, list: &List, mutant: &Mutant) -> Result<Outcome> {
    let began = Instant::now();
    let path = tree.folder.join(&mutant.file);
    let sound = fs::read_to_string(&path)?;
    fs::write(&path, mutant.apply(&sound)?)?;
    let caught_by =
        mutant
            .suites
            .iter()
            .find_map(|suite| match tree.test(&list.suites[suite], &mutant.name) {
                Ok(Ended::Passed | Ended::NotBuilt) => None,
                Ok(Ended::Failed) => Some(Ok(suite.clone())),
                Ok(Ended::Hung) => Some(Ok(format!("{suite} (hung)"))),
                Err(error) => Some(Err(error)),
            });
    fs::write(&path, sound)?;
    Ok(Outcome {
        name: mutant.name.clone(),
        about: mutant.about.clone(),
        caught_by: caught_by.transpose()?,
        seconds: began.elapsed().as_secs_f64(),
        code: code()?,
    })
}

fn read_list(repository: &Path) -> Result<List> {
    let text = fs::read_to_string(repository.join("mutants/list.toml"))?;
    let list: List = toml::from_str(&text).context("mutants/list.toml")?;
    for mutant in &list.mutants {
        for suite in &mutant.suites {
            ensure!(
                list.suites.contains_key(suite),
                "{}: there is no suite `{suite}`",
                mutant.name
            );
        }
        let source = fs::read_to_string(repository.join(&mutant.file))
            .with_context(|| format!("{}: {}", mutant.name, mutant.file))?;
        mutant.apply(&source)?;
    }
    Ok(list)
}

impl Mutant {
    fn apply(&self, source: &str) -> Result<String> {
        let found = source.matches(&self.replace).count();
        ensure!(
            found == 1,
            "{}: its text stands {found} times in {}, not once: mend mutants/list.toml",
            self.name,
            self.file
        );
        Ok(source.replacen(&self.replace, &self.with, 1))
    }
}

fn choose(list: &List, options: &Options) -> Result<Vec<Mutant>> {
    for name in &options.only {
        if !list.mutants.iter().any(|mutant| mutant.name == *name) {
            bail!("no fault is called `{name}`");
        }
    }
    for suite in &options.suites {
        ensure!(
            list.suites.contains_key(suite),
            "there is no suite `{suite}`"
        );
    }
    let wanted = |name: &String| options.only.is_empty() || options.only.contains(name);
    let mut chosen: Vec<Mutant> = list.mutants.clone();
    chosen.retain(|mutant| wanted(&mutant.name));
    if !options.suites.is_empty() {
        for mutant in &mut chosen {
            mutant.suites.clone_from(&options.suites);
        }
    }
    Ok(chosen)
}

fn used_suites(chosen: &[Mutant]) -> Vec<String> {
    let mut suites: Vec<String> = chosen.iter().flat_map(|m| m.suites.clone()).collect();
    suites.sort();
    suites.dedup();
    suites
}

fn folder() -> PathBuf {
    process::repository().join("target/mutants")
}

/// How a suite ended.
#[derive(PartialEq, Eq)]
enum Ended {
    Passed,
    Failed,
    Hung,
    /// A fault that does not compile is none: it counts as not caught, and its log says why.
    NotBuilt,
}

/// A copy of the tracked files with a target folder of its own.
struct Tree {
    folder: PathBuf,
}

impl Tree {
    /// Copies what differs, so that what is built already stays built.
    fn make() -> Result<Self> {
        let folder = folder().join("tree");
        let mut git = process::command("git");
        let names = process::output(git.args(["ls-files"])).context("git ls-files")?;
        for name in names.lines() {
            let (from, to) = (process::repository().join(name), folder.join(name));
            let bytes = fs::read(&from).with_context(|| from.display().to_string())?;
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                fs::create_dir_all(to.parent().unwrap_or(&folder))?;
                fs::write(&to, bytes)?;
            }
        }
        Ok(Self { folder })
    }

    /// Compiles the suite and runs it; its output goes to `target/mutants/logs`.
    fn test(&self, arguments: &[String], name: &str) -> Result<Ended> {
        let logs = folder().join("logs");
        fs::create_dir_all(&logs)?;
        let log = fs::File::create(logs.join(format!("{name}.log")))?;
        let mut build = self.cargo(arguments, &log)?;
        build.arg("--no-run");
        let built = build.status().context("cargo")?.success();
        if !built {
            let log = logs.join(name).with_extension("log");
            println!("{name} does not compile; see {}", log.display());
            return Ok(Ended::NotBuilt);
        }
        // A group of its own, so that a test that hangs is ended together with cargo.
        let mut child = (self.cargo(arguments, &log)?.process_group(0).spawn()).context("cargo")?;
        let ended = process::wait_bounded(&mut child, SUITE_TIME_MAX)?;
        Ok(match ended.status {
            None => {
                let group = format!("-{}", child.id());
                process::output(process::command("kill").args(["-9", "--", &group]));
                Ended::Hung
            }
            Some(status) if status.success() => Ended::Passed,
            Some(_) => Ended::Failed,
        })
    }

    fn cargo(&self, arguments: &[String], log: &fs::File) -> Result<Command> {
        let mut cargo = process::cargo();
        cargo
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", folder().join("target"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        Ok(cargo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deliberate_fault_still_applies() {
        let list = read_list(&process::repository()).unwrap();
        assert!(list.mutants.len() >= 20, "{}", list.mutants.len());
    }

    #[test]
    fn a_text_that_stands_twice_is_refused() {
        let mutant = Mutant {
            name: "x".into(),
            about: String::new(),
            file: "f".into(),
            replace: "a".into(),
            with: "b".into(),
            suites: Vec::new(),
        };
        assert_eq!(mutant.apply("cat").unwrap(), "cbt");
        assert!(mutant.apply("banana").is_err());
        assert!(mutant.apply("none").is_err());
    }
}
