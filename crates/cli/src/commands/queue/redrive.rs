//! `levada queue redrive`: starts a move task and stays until it is done.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::RedriveArgs;
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::sqs::Sqs;

/// Between two looks at the task.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Moved {
    queue: String,
    messages_moved: u64,
}

impl Report for Moved {
    fn table(&self) -> Table {
        let mut table = Table::new(&["queue", ">moved"]);
        table.row([self.queue.clone(), self.messages_moved.to_string()]);
        table
    }

    fn names(&self) -> Vec<String> {
        vec![self.queue.clone()]
    }
}

async fn arn(sqs: &Sqs, queue: &str) -> CliResult<Value> {
    let told = sqs.attributes(queue).await?;
    Ok(told.get("QueueArn").into())
}

pub async fn redrive(sqs: &Sqs, args: &RedriveArgs, context: &Context) -> CliResult {
    let source = arn(sqs, &args.name).await?;
    let mut request = json!({"SourceArn": source});
    if let Some(to) = &args.to {
        request["DestinationArn"] = arn(sqs, to).await?;
    }
    if let Some(rate) = args.rate {
        request["MaxNumberOfMessagesPerSecond"] = rate.into();
    }
    sqs.call("StartMessageMoveTask", &request).await?;
    let mut told = 0;
    loop {
        let list = json!({"SourceArn": source, "MaxResults": 1});
        let answer = sqs.call("ListMessageMoveTasks", &list).await?;
        let task = answer.get("Results").and_then(|all| all.get(0));
        let task = task.ok_or_else(|| {
            let why =
                "the task is gone: the service was restarted; what is left stays in its queue";
            CliError::Failed(why.to_owned())
        })?;
        let count = |name: &str| task.get(name).and_then(Value::as_u64).unwrap_or(0);
        let moved = count("ApproximateNumberOfMessagesMoved");
        match task.get("Status").and_then(Value::as_str) {
            Some("RUNNING" | "CANCELLING") => {}
            Some("FAILED") => {
                let why = task.get("FailureReason").and_then(Value::as_str);
                return Err(CliError::Failed(format!(
                    "{} ({moved} moved)",
                    why.unwrap_or("the task failed")
                )));
            }
            _ => {
                let queue = args.name.clone();
                return context.print(&Moved {
                    queue,
                    messages_moved: moved,
                });
            }
        }
        if context.person_on_stderr() && moved > told {
            told = moved;
            let all = count("ApproximateNumberOfMessagesToMove");
            context.say(format!("{moved} of {all} moved"));
        }
        context.env.sleep(LOOK).await;
    }
}
