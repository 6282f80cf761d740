//! Floors: a crate uses crates of lower floors only. The table stands in the root `Cargo.toml`,
//! under `[workspace.metadata.floors]`.
//!
//! Normal and build dependencies must lie strictly lower. A dev-dependency may lie on the same
//! floor too (a listener's tests may drive another listener), never higher: what a crate needs
//! from above to be tested belongs into a test of the crate above.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    metadata: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    floors: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// None for a normal dependency.
    kind: Option<String>,
    /// Set for the crates of this workspace.
    path: Option<String>,
}

/// Every dependency that breaks a wall.
///
/// # Errors
/// When cargo or the table cannot be read.
pub fn check() -> Result<Vec<String>> {
    let mut list = process::cargo();
    list.args(["metadata", "--format-version", "1", "--no-deps"]);
    let text = process::output(&mut list).context("`cargo metadata` failed")?;
    let metadata: Metadata = serde_json::from_str(&text)
        .context("the root Cargo.toml needs a table [workspace.metadata.floors]")?;
    Ok(faults(&metadata))
}

fn faults(metadata: &Metadata) -> Vec<String> {
    let floors = &metadata.metadata.floors;
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let Some(floor) = floors.get(&package.name) else {
            faults.push(format!(
                "{} has no floor in the root Cargo.toml",
                package.name
            ));
            continue;
        };
        for used in package
            .dependencies
            .iter()
            .filter(|used| used.path.is_some())
        {
            let Some(below) = floors.get(&used.name) else {
                continue;
            };
            let is_dev = used.kind.as_deref() == Some("dev");
            if below < floor || (is_dev && below == floor) {
                continue;
            }
            faults.push(format!(
                "{} (floor {floor}) may not use {} (floor {below})",
                package.name, used.name
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(kind: &str, low: u32, high: u32) -> Vec<String> {
        let text = format!(
            r#"{{"packages":[
                {{"name":"a","dependencies":[{{"name":"b","kind":{kind},"path":"/b"}}]}},
                {{"name":"b","dependencies":[{{"name":"serde","kind":null,"path":null}}]}}],
               "metadata":{{"floors":{{"a":{high},"b":{low}}}}}}}"#
        );
        faults(&serde_json::from_str(&text).expect("valid"))
    }

    #[test]
    fn lower_floors_are_open_and_siblings_are_not() {
        assert!(faults_of("null", 0, 1).is_empty());
        assert_eq!(faults_of("null", 1, 1).len(), 1);
        assert_eq!(faults_of("\"build\"", 1, 1).len(), 1);
        assert_eq!(faults_of("null", 2, 1).len(), 1);
    }

    #[test]
    fn tests_may_use_a_sibling_but_nothing_above() {
        assert!(faults_of("\"dev\"", 1, 1).is_empty());
        assert_eq!(faults_of("\"dev\"", 2, 1).len(), 1);
    }
}
