//! What a user of Amazon SQS relies on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::operation::change_message_visibility::ChangeMessageVisibilityError;
use aws_sdk_sqs::operation::purge_queue::PurgeQueueError;
use aws_sdk_sqs::operation::send_message::SendMessageOutput;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName as System,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    QueueAttributeName as Attribute, SendMessageBatchRequestEntry,
};

use crate::run::{Checked, Failure, Sqs, bodies, expect, refused, system, told};

pub async fn queues(s: &Sqs) -> Checked {
    let name = s.name("made");
    let url = s
        .queue("made", &[(Attribute::VisibilityTimeout, "7")])
        .await?;
    let found = s
        .client
        .get_queue_url()
        .queue_name(&name)
        .send()
        .await
        .map_err(told)?;
    expect(found.queue_url(), Some(url.as_str()), "GetQueueUrl")?;
    let again = s
        .queue("made", &[(Attribute::VisibilityTimeout, "7")])
        .await?;
    expect(&again, &url, "made again")?;
    let list = || s.client.list_queues().queue_name_prefix(&name).send();
    expect(
        list().await.map_err(told)?.queue_urls(),
        [url.as_str()],
        "ListQueues",
    )?;
    expect(
        s.attribute(&url, Attribute::MessageRetentionPeriod).await?,
        "345600",
        "retention",
    )?;
    let arn = s.attribute(&url, Attribute::QueueArn).await?;
    expect(arn.ends_with(&format!(":{name}")), true, "ARN")?;
    let set = s.client.set_queue_attributes().queue_url(&url);
    set.attributes(Attribute::VisibilityTimeout, "9")
        .send()
        .await
        .map_err(told)?;
    expect(
        s.attribute(&url, Attribute::VisibilityTimeout).await?,
        "9",
        "changed",
    )?;
    s.client
        .delete_queue()
        .queue_url(&url)
        .send()
        .await
        .map_err(told)?;
    expect(
        list().await.map_err(told)?.queue_urls().len(),
        0,
        "queues after the deletion",
    )
}

pub async fn round_trip(s: &Sqs) -> Checked {
    let url = s.queue("round", &[]).await?;
    let attribute = |kind: &str| MessageAttributeValue::builder().data_type(kind);
    let attributes = [
        (
            "colour",
            attribute("String").string_value("reddish ✓").build()?,
        ),
        ("count", attribute("Number").string_value("12.5").build()?),
        (
            "raw",
            attribute("Binary.png")
                .binary_value(Blob::new([0, 1, 255]))
                .build()?,
        ),
    ];
    let trace = MessageSystemAttributeValue::builder().data_type("String");
    let trace = trace.string_value("Root=1-5-6").build()?;
    let mut send = s
        .client
        .send_message()
        .queue_url(&url)
        .message_body("hello <&> ünï");
    send =
        send.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, trace);
    for (name, value) in &attributes {
        send = send.message_attributes(*name, value.clone());
    }
    let sent = send.send().await.map_err(told)?;
    let got = s.receive(&url, 10, 0).await?;
    expect(bodies(&got), ["hello <&> ünï"], "body")?;
    expect(got[0].message_id(), sent.message_id(), "id")?;
    let wanted = attributes
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    expect(got[0].message_attributes(), Some(&wanted), "attributes")?;
    expect(
        got[0].md5_of_message_attributes(),
        sent.md5_of_message_attributes(),
        "digest",
    )?;
    expect(
        system(&got[0], System::ApproximateReceiveCount),
        "1",
        "receive count",
    )?;
    expect(
        system(&got[0], System::AwsTraceHeader),
        "Root=1-5-6",
        "trace",
    )?;
    expect(s.receive(&url, 10, 0).await?.len(), 0, "while it is hidden")?;
    let in_flight = Attribute::ApproximateNumberOfMessagesNotVisible;
    expect(
        s.attribute(&url, in_flight.clone()).await?,
        "1",
        "in flight",
    )?;
    s.delete(&url, &got[0]).await?;
    expect(
        s.attribute(&url, in_flight).await?,
        "0",
        "in flight at the end",
    )?;
    let visible = s
        .attribute(&url, Attribute::ApproximateNumberOfMessages)
        .await?;
    expect(visible, "0", "visible at the end")
}

pub async fn batches(s: &Sqs) -> Checked {
    let url = s.queue("batch", &[]).await?;
    let wanted: Vec<String> = (0..10).map(|n| format!("body {n}")).collect();
    let mut send = s.client.send_message_batch().queue_url(&url);
    for (n, body) in wanted.iter().enumerate() {
        let entry = SendMessageBatchRequestEntry::builder().id(format!("n{n}"));
        send = send.entries(entry.message_body(body).build()?);
    }
    expect(
        send.send().await.map_err(told)?.successful().len(),
        10,
        "sent",
    )?;
    let got = s.receive(&url, 10, 0).await?;
    expect(bodies(&got), wanted, "bodies")?;
    let mut change = s.client.change_message_visibility_batch().queue_url(&url);
    let mut delete = s.client.delete_message_batch().queue_url(&url);
    for (n, message) in got.iter().enumerate() {
        let handle = message.receipt_handle().ok_or("no handle")?;
        let longer = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
        change = change.entries(
            longer
                .receipt_handle(handle)
                .visibility_timeout(60)
                .build()?,
        );
        let gone = DeleteMessageBatchRequestEntry::builder().id(n.to_string());
        delete = delete.entries(
            gone.receipt_handle(if n == 3 { "nonsense" } else { handle })
                .build()?,
        );
    }
    expect(
        change.send().await.map_err(told)?.successful().len(),
        10,
        "hidden for longer",
    )?;
    let gone = delete.send().await.map_err(told)?;
    expect(gone.successful().len(), 9, "deleted")?;
    let failed: Vec<_> = gone
        .failed()
        .iter()
        .map(|one| (one.id(), one.code()))
        .collect();
    expect(failed, [("3", "ReceiptHandleIsInvalid")], "refused")
}

pub async fn visibility(s: &Sqs) -> Checked {
    let url = s
        .queue("hidden", &[(Attribute::VisibilityTimeout, "1")])
        .await?;
    s.send(&url, "m").await?;
    let first = s.receive(&url, 10, 0).await?;
    expect(s.receive(&url, 10, 0).await?.len(), 0, "hidden")?;
    let again = s.receive(&url, 10, 5).await?;
    expect(bodies(&again), ["m"], "visible again")?;
    expect(
        system(&again[0], System::ApproximateReceiveCount),
        "2",
        "receive count",
    )?;
    let change = |message: &Message, seconds| {
        let change = s.client.change_message_visibility().queue_url(&url);
        let change = change.set_receipt_handle(message.receipt_handle.clone());
        change.visibility_timeout(seconds).send()
    };
    let class = ChangeMessageVisibilityError::is_message_not_inflight;
    refused(change(&first[0], 5).await, class, "MessageNotInflight")?;
    change(&again[0], 30).await.map_err(told)?;
    expect(s.receive(&url, 10, 2).await?.len(), 0, "hidden for longer")?;
    change(&again[0], 0).await.map_err(told)?;
    expect(
        bodies(&s.receive(&url, 10, 0).await?),
        ["m"],
        "shown at once",
    )
}

pub async fn long_polls(s: &Sqs) -> Checked {
    let url = s.queue("poll", &[]).await?;
    let waiting = async {
        let got = s.receive(&url, 10, 20).await?;
        Ok::<_, Failure>((got, Instant::now()))
    };
    let sending = async {
        // So that the other waits; if it came later, it would find the message.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let sent = Instant::now();
        s.send(&url, "m").await?;
        Ok(sent)
    };
    let ((got, at), sent) = tokio::try_join!(waiting, sending)?;
    expect(bodies(&got), ["m"], "what came")?;
    expect(
        at.duration_since(sent) < Duration::from_secs(5),
        true,
        "woken at once",
    )
}

pub async fn delays(s: &Sqs) -> Checked {
    let url = s.queue("delay", &[]).await?;
    let send = s
        .client
        .send_message()
        .queue_url(&url)
        .message_body("later");
    send.delay_seconds(2).send().await.map_err(told)?;
    expect(s.receive(&url, 10, 0).await?.len(), 0, "not yet")?;
    let delayed = s
        .attribute(&url, Attribute::ApproximateNumberOfMessagesDelayed)
        .await?;
    expect(delayed, "1", "delayed")?;
    expect(
        bodies(&s.receive(&url, 10, 10).await?),
        ["later"],
        "after the delay",
    )
}

async fn send_to(s: &Sqs, url: &str, group: &str, n: u32) -> Result<SendMessageOutput, Failure> {
    let id = format!("{group}{n}");
    let send = s.client.send_message().queue_url(url).message_body(&id);
    let send = send.message_group_id(group).message_deduplication_id(&id);
    send.send().await.map_err(told)
}

pub async fn fifo(s: &Sqs) -> Checked {
    let url = s.queue("order", &[(Attribute::FifoQueue, "true")]).await?;
    for n in 0..5 {
        send_to(s, &url, "a", n).await?;
        send_to(s, &url, "b", n).await?;
    }
    let (one, two) = (
        send_to(s, &url, "b", 4).await?,
        send_to(s, &url, "b", 4).await?,
    );
    expect(one.message_id(), two.message_id(), "a duplicate's id")?;
    expect(
        one.sequence_number(),
        two.sequence_number(),
        "a duplicate's sequence number",
    )?;
    let group = |message: &Message| system(message, System::MessageGroupId).to_owned();
    let first = s.receive(&url, 1, 0).await?.remove(0);
    let mut some = s.receive(&url, 10, 0).await?;
    expect(some.is_empty(), false, "nothing of the other group")?;
    let is_locked = some.iter().any(|message| group(message) == group(&first));
    expect(is_locked, false, "a message of the group in flight")?;
    s.delete(&url, &first).await?;
    let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
    got.entry(group(&first)).or_default().extend(first.body);
    while !some.is_empty() {
        for message in some {
            s.delete(&url, &message).await?;
            got.entry(group(&message)).or_default().extend(message.body);
        }
        some = s.receive(&url, 10, 0).await?;
    }
    for name in ["a", "b"] {
        let wanted: Vec<String> = (0..5).map(|n| format!("{name}{n}")).collect();
        expect(got.get(name), Some(&wanted), "order")?;
    }
    Ok(())
}

pub async fn dead_letters(s: &Sqs) -> Checked {
    let hidden = (Attribute::VisibilityTimeout, "0");
    let dead = s.queue("dead", std::slice::from_ref(&hidden)).await?;
    let arn = s.attribute(&dead, Attribute::QueueArn).await?;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":2}}"#);
    let url = s
        .queue("failing", &[hidden, (Attribute::RedrivePolicy, &policy)])
        .await?;
    let id = s.send(&url, "poison").await?;
    for _ in 0..2 {
        expect(bodies(&s.receive(&url, 10, 2).await?), ["poison"], "a try")?;
    }
    expect(s.receive(&url, 10, 0).await?.len(), 0, "moved")?;
    let got = s.receive(&dead, 10, 5).await?;
    expect(bodies(&got), ["poison"], "in the dead-letter queue")?;
    expect(got[0].message_id(), Some(id.as_str()), "id")?;
    let sources = s.client.list_dead_letter_source_queues().queue_url(&dead);
    let sources = sources.send().await.map_err(told)?;
    expect(sources.queue_urls(), [url.as_str()], "sources")?;
    s.client
        .start_message_move_task()
        .source_arn(arn)
        .send()
        .await
        .map_err(told)?;
    expect(
        bodies(&s.receive(&url, 10, 10).await?),
        ["poison"],
        "moved back",
    )
}

pub async fn purge(s: &Sqs) -> Checked {
    let url = s.queue("purge", &[]).await?;
    s.send(&url, "m").await?;
    let purge = || s.client.purge_queue().queue_url(&url).send();
    purge().await.map_err(told)?;
    expect(s.receive(&url, 10, 0).await?.len(), 0, "purged")?;
    refused(
        purge().await,
        PurgeQueueError::is_purge_queue_in_progress,
        "PurgeQueueInProgress",
    )
}

pub async fn tags(s: &Sqs) -> Checked {
    let url = s.queue("tags", &[]).await?;
    let tag = s
        .client
        .tag_queue()
        .queue_url(&url)
        .tags("team", "a")
        .tags("cost", "b");
    tag.send().await.map_err(told)?;
    s.client
        .untag_queue()
        .queue_url(&url)
        .tag_keys("cost")
        .send()
        .await
        .map_err(told)?;
    let had = s
        .client
        .list_queue_tags()
        .queue_url(&url)
        .send()
        .await
        .map_err(told)?;
    let wanted = [("team".to_owned(), "a".to_owned())].into();
    expect(had.tags(), Some(&wanted), "tags")
}
