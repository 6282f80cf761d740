//! `levada doctor`: what stands between this machine and a broker that works well.

mod broker;
mod folder;
mod machine;

use std::path::PathBuf;

use levada_server::Place;
use serde::Serialize;

use crate::context::{BrokerArgs, Context};
use crate::error::{CliError, CliResult};
use crate::output::{Format, Report, Table};
use crate::remote::{interruptible, write_stdout};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Also write a record and read it back, in the topic of this name
    #[arg(long, value_name = "TOPIC", num_args = 0..=1, default_missing_value = "levada-doctor")]
    probe: Option<String>,
    /// Also check this data folder: space, and every byte of its log for damage; only reads
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also time fsync in the data folder, with a small file that is removed again
    #[arg(long, requires = "data")]
    fsync: bool,
    /// Do not talk to a broker: check this machine only
    #[arg(long)]
    offline: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Critical,
}

impl Status {
    /// By how far a number is from its limits: `warn` and `critical` are the first bad values.
    fn at_least<T: PartialOrd>(value: &T, warn: &T, critical: &T) -> Self {
        match value {
            value if value < critical => Self::Critical,
            value if value < warn => Self::Warn,
            _ => Self::Ok,
        }
    }

    fn at_most<T: PartialOrd>(value: &T, warn: &T, critical: &T) -> Self {
        match value {
            value if value >= critical => Self::Critical,
            value if value >= warn => Self::Warn,
            _ => Self::Ok,
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What to do; null when all is well.
    advice: Option<String>,
    /// Where, if it lies in a file: `file`, `offset`, `bytes`, and of records `topic`, `partition`,
    /// `first_offset`, `last_offset`.
    #[serde(flatten)]
    place: Option<Place>,
}

impl Check {
    fn new(name: &'static str, status: Status, found: impl Into<String>, advice: &str) -> Self {
        Self {
            name,
            status,
            found: found.into(),
            advice: (status != Status::Ok).then(|| advice.to_owned()),
            place: None,
        }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, found, "")
    }
}

#[derive(Serialize)]
struct Findings {
    /// The worst of all checks.
    status: Status,
    checks: Vec<Check>,
}

impl Report for Findings {
    fn table(&self) -> Table {
        let mut table = Table::new(&["status", "check", "found"]);
        for check in &self.checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Warn => "WARN",
                Status::Critical => "CRITICAL",
            };
            table.row([status, check.name, &check.found]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        let bad = self
            .checks
            .iter()
            .filter(|check| check.status != Status::Ok);
        bad.map(|check| check.name.to_owned()).collect()
    }
}

/// Runs the command: exit code 0 when nothing is critical, 3 when all that is critical is that no
/// broker answers, else 1.
///
/// # Errors
/// See `CliError`.
pub async fn run(args: Args, context: Context) -> CliResult {
    interruptible(async {
        let mut checks = Vec::new();
        let mut unreachable = None;
        if !args.offline {
            unreachable = broker::check(&args, &context, &mut checks).await;
        }
        let reached = checks.len();
        machine::check(args.data.as_deref(), args.fsync, &context, &mut checks).await;
        if let Some(data) = &args.data {
            folder::check(data, &context, &mut checks).await;
        }
        let mut here = checks.iter().skip(reached);
        if here.any(|check| check.status == Status::Critical) {
            unreachable = None;
        }
        let findings = Findings {
            status: checks
                .iter()
                .map(|check| check.status)
                .max()
                .unwrap_or(Status::Ok),
            checks,
        };
        context.print(&findings)?;
        if context.format == Format::Table {
            write_stdout(&advice(&findings))?;
        }
        match (unreachable, findings.status) {
            (Some(reason), _) => Err(CliError::Unreachable(reason)),
            (None, Status::Critical) => Err(CliError::Failed("something is critical".to_owned())),
            _ => Ok(()),
        }
    })
    .await
}

/// What to do, once for each thing: damage in a hundred places has one advice.
fn advice(findings: &Findings) -> String {
    let mut text = String::new();
    let mut told = Vec::new();
    for check in &findings.checks {
        if let Some(advice) = &check.advice
            && !told.contains(&(check.name, advice))
        {
            told.push((check.name, advice));
            text.push_str(&format!("\n{}: {advice}", check.name));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_belong_to_the_worse_side() {
        assert_eq!(Status::at_least(&5, &10, &5), Status::Warn);
        assert_eq!(Status::at_least(&4, &10, &5), Status::Critical);
        assert_eq!(Status::at_least(&10, &10, &5), Status::Ok);
        assert_eq!(Status::at_most(&10, &10, &20), Status::Warn);
        assert_eq!(Status::at_most(&20, &10, &20), Status::Critical);
        assert_eq!(Status::at_most(&9, &10, &20), Status::Ok);
    }

    #[test]
    fn advice_is_given_only_where_something_is_wrong() {
        assert!(Check::ok("a", "fine").advice.is_none());
        let bad = Check::new("b", Status::Warn, "slow", "buy a disk");
        assert_eq!(bad.advice.as_deref(), Some("buy a disk"));
    }
}
