//! SQS: ListMessageMoveTasks. Tasks of this life of the process, the newest first.

use levada_engine::queue::{MoveState, MoveTask};

use super::Answer;
use super::start_message_move_task::queue_of;
use crate::call::Call;
use crate::errors::Result;
use crate::limits::MOVE_TASKS_LISTED_MAX;
use crate::protocol::{Fields, Name, Writer};

pub struct Request {
    source: String,
    max: usize,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let max = fields.number_within("MaxResults", 1, MOVE_TASKS_LISTED_MAX)?;
        Ok(Self {
            source: queue_of(call, &fields.needed("SourceArn")?)?,
            max: max.and_then(|max| usize::try_from(max).ok()).unwrap_or(1),
        })
    }
}

pub struct Response {
    /// Each with the ARNs of its source and, if it has one, its destination.
    tasks: Vec<(MoveTask, String, Option<String>)>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        let name = Name::new("Results", "ListMessageMoveTasksResultEntry");
        writer.list(name, &self.tasks, |writer, (task, source, destination)| {
            if task.state == MoveState::Running {
                writer.text("TaskHandle", &task.handle);
            }
            writer.text("Status", status(task.state));
            writer.text("SourceArn", source);
            writer.maybe("DestinationArn", destination.as_deref());
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
    let tasks = call.engine().moves(&request.source, request.max);
    let with_arns = |task: MoveTask| {
        let source = call.arn(&task.source);
        let destination = task.destination.as_deref().map(|name| call.arn(name));
        (task, source, destination)
    };
    Ok(Response {
        tasks: tasks.into_iter().map(with_arns).collect(),
    })
}
