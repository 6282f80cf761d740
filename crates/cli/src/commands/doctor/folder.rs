//! What is stored in a data folder: every byte of its log, its snapshots, its identity. Only reads.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use levada_server::{Finding, Severity, survey};

use super::{Check, Status};
use crate::context::Context;

/// Adds what a look at the folder found.
pub async fn check(folder: &Path, context: &Context, checks: &mut Vec<Check>) {
    if !context.env.fs().exists(folder) {
        return;
    }
    let (env, folder) = (context.env.clone(), folder.to_owned());
    let bar = bar(context);
    let look = move || look(&env, folder, bar.as_ref());
    let findings = context.env.blocking(look).await;
    checks.extend(findings.into_iter().map(Check::from));
}

fn look(env: &levada_env::Env, folder: PathBuf, bar: Option<&ProgressBar>) -> Vec<Finding> {
    let findings = survey(env, &folder, &mut |done, total| {
        if let Some(bar) = bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    findings
}

/// A bar by bytes, for a person: a large log takes a while.
fn bar(context: &Context) -> Option<ProgressBar> {
    if !context.person_on_stderr() {
        return None;
    }
    let bar = ProgressBar::new(0);
    let style = "log {bar:30} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    Some(bar)
}

impl From<Finding> for Check {
    fn from(finding: Finding) -> Self {
        let status = match finding.severity {
            Severity::Ok => Status::Ok,
            Severity::Warn => Status::Warn,
            Severity::Critical => Status::Critical,
        };
        Self {
            place: finding.place,
            ..Self::new(finding.name, status, finding.found, &finding.advice)
        }
    }
}
