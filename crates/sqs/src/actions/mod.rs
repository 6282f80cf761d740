//! The actions of the service, one file each: what it reads, what it does, what it answers.

mod add_permission;
mod cancel_message_move_task;
mod change_message_visibility;
mod change_message_visibility_batch;
mod create_queue;
mod delete_message;
mod delete_message_batch;
mod delete_queue;
mod get_queue_attributes;
mod get_queue_url;
mod list_dead_letter_source_queues;
mod list_message_move_tasks;
mod list_queue_tags;
mod list_queues;
mod purge_queue;
mod receive_message;
mod remove_permission;
mod send_message;
mod send_message_batch;
mod set_queue_attributes;
mod shared;
mod start_message_move_task;
mod tag_queue;
mod untag_queue;

use std::pin::Pin;

use crate::call::Call;
use crate::errors::Result;
use crate::protocol::{Fields, Name, Protocol, Writer, reply};

/// What queue attributes are called in requests and answers.
const QUEUE_ATTRIBUTES: Name = Name::new("Attributes", "Attribute");

/// What an action answers.
trait Answer: Send {
    /// Whether the query protocol has a result element for it.
    const HAS_RESULT: bool = true;

    fn write(&self, writer: &mut Writer);
}

/// The answer of an action that only says that it is done.
impl Answer for () {
    const HAS_RESULT: bool = false;

    fn write(&self, _: &mut Writer) {}
}

/// An action under way: resolves to the body of its answer.
pub type Work<'c> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + 'c>>;

macro_rules! actions {
    ($($variant:ident = $module:ident;)*) => {
        /// Every action of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action { $($variant),* }

        impl Action {
            pub const ALL: &[Action] = &[$(Action::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// The action of this name.
            pub fn named(name: &str) -> Option<Action> {
                match name {
                    $(stringify!($variant) => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Reads the request, and gives the work that answers it. The work no longer needs
            /// what `fields` borrows from.
            ///
            /// # Errors
            /// A request that the action refuses for itself.
            pub fn begin<'c>(
                self,
                call: &'c Call,
                fields: Fields<'_>,
                protocol: Protocol,
                request_id: &'c str,
            ) -> Result<Work<'c>> {
                match self {
                    $(Self::$variant => {
                        let request = $module::Request::read(call, fields)?;
                        Ok(Box::pin(async move {
                            let answer = $module::run(call, request).await?;
                            Ok(write(&answer, protocol, stringify!($variant), request_id))
                        }))
                    })*
                }
            }
        }
    };
}

actions! {
    AddPermission = add_permission;
    CancelMessageMoveTask = cancel_message_move_task;
    ChangeMessageVisibility = change_message_visibility;
    ChangeMessageVisibilityBatch = change_message_visibility_batch;
    CreateQueue = create_queue;
    DeleteMessage = delete_message;
    DeleteMessageBatch = delete_message_batch;
    DeleteQueue = delete_queue;
    GetQueueAttributes = get_queue_attributes;
    GetQueueUrl = get_queue_url;
    ListDeadLetterSourceQueues = list_dead_letter_source_queues;
    ListMessageMoveTasks = list_message_move_tasks;
    ListQueueTags = list_queue_tags;
    ListQueues = list_queues;
    PurgeQueue = purge_queue;
    ReceiveMessage = receive_message;
    RemovePermission = remove_permission;
    SendMessage = send_message;
    SendMessageBatch = send_message_batch;
    SetQueueAttributes = set_queue_attributes;
    StartMessageMoveTask = start_message_move_task;
    TagQueue = tag_queue;
    UntagQueue = untag_queue;
}

fn write<A: Answer>(answer: &A, protocol: Protocol, action: &str, request_id: &str) -> Vec<u8> {
    let write = A::HAS_RESULT.then_some(|writer: &mut Writer| answer.write(writer));
    reply::success(protocol, action, request_id, write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_by_its_name() {
        assert_eq!(Action::ALL.len(), 23);
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(*action));
        }
        assert_eq!(Action::named("sendmessage"), None);
    }
}
