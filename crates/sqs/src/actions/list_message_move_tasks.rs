//! SQS: ListMessageMoveTasks. The newest first.

use levada_engine::queue::{MoveState, MoveTask};

use super::Answer;
use crate::call::Call;
use crate::errors::Result;
use crate::limits::MOVES_LISTED_MAX;
use crate::protocol::{Fields, Name, Writer};

pub struct Request {
    source: String,
    results_max: usize,
}

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        let max = fields.number_within("MaxResults", 1, MOVES_LISTED_MAX)?;
        Ok(Self {
            source: fields.needed("SourceArn")?,
            results_max: max.and_then(|max| usize::try_from(max).ok()).unwrap_or(1),
        })
    }
}

pub struct Response {
    tasks: Vec<Shown>,
}

struct Shown {
    task: MoveTask,
    source_arn: String,
    destination_arn: Option<String>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        let name = Name::new("Results", "ListMessageMoveTasksResultEntry");
        writer.list(name, &self.tasks, |writer, shown| {
            let task = &shown.task;
            // Only who may still cancel it needs a handle.
            let handle = (task.state == MoveState::Running).then_some(task.handle.as_str());
            writer.maybe("TaskHandle", handle);
            writer.text("Status", status(task.state));
            writer.text("SourceArn", &shown.source_arn);
            writer.maybe("DestinationArn", shown.destination_arn.as_deref());
            if let Some(rate) = task.messages_per_second_max {
                writer.number("MaxNumberOfMessagesPerSecond", rate.into());
            }
            writer.number("ApproximateNumberOfMessagesMoved", task.moved);
            writer.number("ApproximateNumberOfMessagesToMove", task.to_move);
            writer.maybe("FailureReason", task.failure.as_deref());
            writer.number("StartedTimestamp", task.started_ms.unsigned_abs());
        });
    }
}

fn status(state: MoveState) -> &'static str {
    match state {
        MoveState::Running => "RUNNING",
        MoveState::Cancelling => "CANCELLING",
        MoveState::Cancelled => "CANCELLED",
        MoveState::Completed => "COMPLETED",
        MoveState::Failed => "FAILED",
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let source = call.named(&request.source)?;
    let tasks = call.engine().moves(source, request.results_max);
    let show = |task: MoveTask| Shown {
        source_arn: call.arn(&task.source),
        destination_arn: task.destination.as_deref().map(|name| call.arn(name)),
        task,
    };
    Ok(Response {
        tasks: tasks.into_iter().map(show).collect(),
    })
}
