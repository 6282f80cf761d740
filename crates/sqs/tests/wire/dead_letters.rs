//! Redrive policies, and what becomes of a message that nobody deletes.

use serde_json::{Value, json};

use crate::support::{Server, bodies};

fn policy(target: &str, count: i64) -> Value {
    let arn = format!("arn:aws:sqs:us-east-1:000000000000:{target}");
    json!(json!({"deadLetterTargetArn": arn, "maxReceiveCount": count}).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_received_too_often_goes_to_the_dead_letter_queue() {
    let server = Server::start().await;
    let dead = server.queue("dead", json!({})).await;
    let url = server
        .queue("q", json!({"RedrivePolicy": policy("dead", 1)}))
        .await;
    let listed = server
        .ok("ListDeadLetterSourceQueues", json!({"QueueUrl": dead}))
        .await;
    assert_eq!(listed, json!({"queueUrls": [url]}));
    let sent = server.send(&url, "poison").await;
    let at_once = json!({"VisibilityTimeout": 0});
    assert_eq!(
        bodies(&server.receive(&url, at_once.clone()).await),
        ["poison"]
    );
    assert!(server.receive(&url, at_once).await.is_empty());
    let moved = server.receive(&dead, json!({"WaitTimeSeconds": 20})).await;
    assert_eq!(bodies(&moved), ["poison"]);
    assert_eq!(moved[0]["MessageId"], sent["MessageId"]);
    let source = &moved[0]["Attributes"]["DeadLetterQueueSourceArn"];
    assert_eq!(source, "arn:aws:sqs:us-east-1:000000000000:q");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_queue_decides_whose_it_is() {
    let server = Server::start().await;
    let refused = |name: &str, policy: Value| {
        let attributes = json!({"RedrivePolicy": policy});
        let request = json!({"QueueName": name, "Attributes": attributes});
        async { server.refused("CreateQueue", request).await }
    };
    let wrong = "InvalidParameterValue";
    assert_eq!(refused("q", policy("none", 3)).await, wrong);
    assert_eq!(refused("q", policy("q", 3)).await, wrong);
    server.queue("d.fifo", json!({"FifoQueue": "true"})).await;
    assert_eq!(refused("q", policy("d.fifo", 3)).await, wrong);
    let arn = "arn:aws:sqs:us-east-1:000000000000:friend";
    let allow = json!({"redrivePermission": "byQueue", "sourceQueueArns": [arn]});
    server
        .queue("d", json!({"RedriveAllowPolicy": allow.to_string()}))
        .await;
    assert_eq!(refused("q", policy("d", 3)).await, wrong);
    let url = server
        .queue("friend", json!({"RedrivePolicy": policy("d", 3)}))
        .await;
    let shown = server.attribute(&url, "RedrivePolicy").await;
    assert_eq!(shown.as_deref(), policy("d", 3).as_str());
    let removed = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": ""}});
    server.ok("SetQueueAttributes", removed).await;
    assert_eq!(server.attribute(&url, "RedrivePolicy").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_moves_dead_letters_back() {
    let server = Server::start().await;
    let dead = server.queue("dead", json!({})).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:dead";
    let start = json!({"SourceArn": arn});
    let unused = server.refused("StartMessageMoveTask", start).await;
    assert_eq!(unused, "InvalidParameterValue");
    let url = server
        .queue("q", json!({"RedrivePolicy": policy("dead", 1)}))
        .await;
    server.send(&dead, "back").await;
    let to = "arn:aws:sqs:us-east-1:000000000000:q";
    let start = json!({
        "SourceArn": arn, "DestinationArn": to, "MaxNumberOfMessagesPerSecond": 500,
    });
    let started = server.ok("StartMessageMoveTask", start).await;
    let moved = server.receive(&url, json!({"WaitTimeSeconds": 20})).await;
    assert_eq!(bodies(&moved), ["back"]);
    let listed = loop {
        let listed = server
            .ok("ListMessageMoveTasks", json!({"SourceArn": arn}))
            .await;
        if listed["Results"][0]["Status"] != "RUNNING" {
            break listed;
        }
    };
    let task = &listed["Results"][0];
    assert_eq!(task["Status"], "COMPLETED", "{task}");
    assert_eq!(task["ApproximateNumberOfMessagesMoved"], 1);
    assert_eq!(task["DestinationArn"], to);
    assert!(task.get("TaskHandle").is_none());
    let cancel = json!({"TaskHandle": started["TaskHandle"]});
    let ended = server.refused("CancelMessageMoveTask", cancel).await;
    assert_eq!(ended, "ResourceNotFoundException");
}
