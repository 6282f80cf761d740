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
async fn a_move_task_brings_dead_letters_back() {
    let server = Server::start().await;
    let dead = server.queue("dead", json!({})).await;
    let url = server
        .queue(
            "q",
            json!({"RedrivePolicy": policy("dead", 1), "VisibilityTimeout": "0"}),
        )
        .await;
    server.send(&url, "poison").await;
    while server
        .attribute(&dead, "ApproximateNumberOfMessages")
        .await
        .as_deref()
        != Some("1")
    {
        server.receive(&url, json!({})).await;
    }
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let refused = server
        .refused("StartMessageMoveTask", json!({"SourceArn": arn("q")}))
        .await;
    assert_eq!(
        refused, "InvalidParameterValue",
        "nobody's dead-letter queue"
    );
    let request = json!({"SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": 100});
    let started = server.ok("StartMessageMoveTask", request).await;
    let handle = started["TaskHandle"].as_str().expect("a handle").to_owned();
    let list = json!({"SourceArn": arn("dead"), "MaxResults": 10});
    let task = loop {
        let listed = server.ok("ListMessageMoveTasks", list.clone()).await;
        let task = listed["Results"][0].clone();
        if task["Status"] != "RUNNING" {
            break task;
        }
        assert_eq!(task["TaskHandle"], handle);
    };
    assert_eq!(task["Status"], "COMPLETED");
    assert_eq!(task["ApproximateNumberOfMessagesMoved"], 1);
    assert_eq!(task["MaxNumberOfMessagesPerSecond"], 100);
    assert_eq!(task["SourceArn"], arn("dead"));
    assert!(
        task["StartedTimestamp"]
            .as_u64()
            .is_some_and(|ms| ms > 1_700_000_000_000)
    );
    let back = server.receive(&url, json!({})).await;
    assert_eq!(bodies(&back), ["poison"]);
    let over = json!({"TaskHandle": handle});
    let refused = server.refused("CancelMessageMoveTask", over).await;
    assert_eq!(refused, "ResourceNotFoundException");
}
