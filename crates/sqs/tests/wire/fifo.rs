//! FIFO queues: order within a group, deduplication.

use serde_json::json;

use crate::support::{Server, bodies};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_in_order_and_an_id_is_taken_once() {
    let server = Server::start().await;
    let attributes = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
    let url = server.queue("q.fifo", attributes).await;
    let send = |body: &'static str, group: &'static str| {
        server.ok(
            "SendMessage",
            json!({
                "QueueUrl": url, "MessageBody": body, "MessageGroupId": group,
            }),
        )
    };
    let first = send("a1", "a").await;
    let again = send("a1", "a").await;
    assert_eq!(first["MessageId"], again["MessageId"]);
    assert_eq!(first["SequenceNumber"], again["SequenceNumber"]);
    assert_eq!(first["SequenceNumber"].as_str().map(str::len), Some(20));
    send("a2", "a").await;
    send("b1", "b").await;
    let one = json!({"MaxNumberOfMessages": 1});
    let a1 = server.receive(&url, one.clone()).await;
    assert_eq!(bodies(&a1), ["a1"]);
    assert_eq!(a1[0]["Attributes"]["MessageGroupId"], "a");
    assert_eq!(
        a1[0]["Attributes"]["SequenceNumber"],
        first["SequenceNumber"]
    );
    // The group is locked while its first message is in flight.
    let b1 = server.receive(&url, json!({})).await;
    assert_eq!(bodies(&b1), ["b1"]);
    let delete = json!({"QueueUrl": url, "ReceiptHandle": a1[0]["ReceiptHandle"]});
    server.ok("DeleteMessage", delete).await;
    let a2 = server.receive(&url, one).await;
    assert_eq!(bodies(&a2), ["a2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fifo_queue_needs_is_asked_for() {
    let server = Server::start().await;
    let url = server.queue("q.fifo", json!({"FifoQueue": "true"})).await;
    let mut message = json!({"QueueUrl": url, "MessageBody": "m"});
    assert_eq!(
        server.refused("SendMessage", message.clone()).await,
        "MissingParameter"
    );
    message["MessageGroupId"] = json!("g");
    assert_eq!(
        server.refused("SendMessage", message.clone()).await,
        "InvalidParameterValue"
    );
    message["MessageDeduplicationId"] = json!("d");
    message["DelaySeconds"] = json!(2);
    assert_eq!(
        server.refused("SendMessage", message).await,
        "InvalidParameterValue"
    );
    for (name, attributes) in [("q", json!({"FifoQueue": "true"})), ("r.fifo", json!({}))] {
        let request = json!({"QueueName": name, "Attributes": attributes});
        assert_eq!(
            server.refused("CreateQueue", request).await,
            "InvalidParameterValue"
        );
    }
}
