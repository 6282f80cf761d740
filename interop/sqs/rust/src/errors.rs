//! What is refused, by the class of error that each operation has in the SDK.

use aws_sdk_sqs::operation::{
    create_queue::CreateQueueError, delete_message::DeleteMessageError,
    get_queue_url::GetQueueUrlError, list_message_move_tasks::ListMessageMoveTasksError,
    receive_message::ReceiveMessageError, send_message::SendMessageError,
    send_message_batch::SendMessageBatchError, set_queue_attributes::SetQueueAttributesError,
};
use aws_sdk_sqs::types::{QueueAttributeName as Attribute, SendMessageBatchRequestEntry};

use crate::run::{Checked, Failure, Sqs, bodies, expect, refused};

pub async fn limits(s: &Sqs) -> Checked {
    let url = s.queue("limits", &[]).await?;
    let body = "é".repeat(512 * 1024);
    s.send(&url, &body).await?;
    expect(
        bodies(&s.receive(&url, 1, 0).await?) == [&body],
        true,
        "a megabyte",
    )?;
    let send = |body: String| {
        s.client
            .send_message()
            .queue_url(&url)
            .message_body(body)
            .send()
    };
    refused(
        send(body.clone() + "x").await,
        |_| true,
        "any error of the service",
    )?;
    refused(
        send("\u{1}".to_owned()).await,
        SendMessageError::is_invalid_message_contents,
        "InvalidMessageContents",
    )
}

pub async fn errors(s: &Sqs) -> Checked {
    let url = s.queue("errors", &[]).await?;
    queues(s, &url).await?;
    let set = |name: Attribute, value: &str| {
        s.client
            .set_queue_attributes()
            .queue_url(&url)
            .attributes(name, value)
            .send()
    };
    refused(
        set(Attribute::from("Colour"), "red").await,
        SetQueueAttributesError::is_invalid_attribute_name,
        "InvalidAttributeName",
    )?;
    refused(
        set(Attribute::VisibilityTimeout, "43201").await,
        SetQueueAttributesError::is_invalid_attribute_value,
        "InvalidAttributeValue",
    )?;
    let delete = s
        .client
        .delete_message()
        .queue_url(&url)
        .receipt_handle("nonsense");
    refused(
        delete.send().await,
        DeleteMessageError::is_receipt_handle_is_invalid,
        "ReceiptHandleIsInvalid",
    )?;
    batches(s, &url).await?;
    let tasks = s
        .client
        .list_message_move_tasks()
        .source_arn("arn:aws:sqs:us-east-1:000000000000:gone");
    refused(
        tasks.send().await,
        ListMessageMoveTasksError::is_resource_not_found_exception,
        "ResourceNotFound",
    )
}

async fn queues(s: &Sqs, url: &str) -> Checked {
    let (gone, what) = (format!("{url}-gone"), "QueueDoesNotExist");
    let get = s
        .client
        .get_queue_url()
        .queue_name(s.name("gone"))
        .send()
        .await;
    refused(get, GetQueueUrlError::is_queue_does_not_exist, what)?;
    let send = s
        .client
        .send_message()
        .queue_url(&gone)
        .message_body("x")
        .send()
        .await;
    refused(send, SendMessageError::is_queue_does_not_exist, what)?;
    let receive = s.client.receive_message().queue_url(&gone).send().await;
    refused(receive, ReceiveMessageError::is_queue_does_not_exist, what)?;
    let create = s.client.create_queue().queue_name(s.name("errors"));
    let create = create
        .attributes(Attribute::VisibilityTimeout, "8")
        .send()
        .await;
    refused(
        create,
        CreateQueueError::is_queue_name_exists,
        "QueueNameExists",
    )
}

async fn batches(s: &Sqs, url: &str) -> Checked {
    let entry = |id: &str| -> Result<_, Failure> {
        Ok(SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body("x")
            .build()?)
    };
    let eleven = vec![entry("a")?; 11];
    let twice = vec![entry("a")?; 2];
    type Class = fn(&SendMessageBatchError) -> bool;
    let cases: [(_, Class); 4] = [
        (vec![], SendMessageBatchError::is_empty_batch_request),
        (
            eleven,
            SendMessageBatchError::is_too_many_entries_in_batch_request,
        ),
        (
            twice,
            SendMessageBatchError::is_batch_entry_ids_not_distinct,
        ),
        (
            vec![entry("no id!")?],
            SendMessageBatchError::is_invalid_batch_entry_id,
        ),
    ];
    for (entries, class) in cases {
        let what = format!("the error of {} entries", entries.len());
        let send = s
            .client
            .send_message_batch()
            .queue_url(url)
            .set_entries(Some(entries));
        refused(send.send().await, class, &what)?;
    }
    Ok(())
}
