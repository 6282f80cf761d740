//! Queues are made, found, described, changed and deleted.

use std::time::Duration;

use levada_sqs::SqsSettings;
use serde_json::json;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_kept_and_compared() {
    let server = Server::start().await;
    let url = server.queue("q", json!({"DelaySeconds": "5"})).await;
    assert_eq!(server.queue("q", json!({"DelaySeconds": "5"})).await, url);
    assert_eq!(server.queue("q", json!({})).await, url);
    let other = json!({"QueueName": "q", "Attributes": {"DelaySeconds": "6"}});
    assert_eq!(
        server.refused("CreateQueue", other).await,
        "QueueAlreadyExists"
    );
    let all = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let shown = server.ok("GetQueueAttributes", all).await;
    let shown = shown["Attributes"].as_object().unwrap();
    for (name, value) in [
        ("QueueArn", "arn:aws:sqs:us-east-1:000000000000:q"),
        ("DelaySeconds", "5"),
        ("VisibilityTimeout", "30"),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("ApproximateNumberOfMessages", "0"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(!shown.contains_key("FifoQueue") && !shown.contains_key("RedrivePolicy"));
    let set = json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "7", "Policy": "{\"Statement\":[]}"}});
    server.ok("SetQueueAttributes", set).await;
    // The same document, written otherwise.
    let same = json!({"Policy": "{ \"Statement\" : [ ] }"});
    assert_eq!(server.queue("q", same).await, url);
    // As kombu writes it.
    let all = json!({"QueueUrl": url, "AttributeNames": ["ALL"]});
    let shown = server.ok("GetQueueAttributes", all).await;
    assert_eq!(shown["Attributes"]["DelaySeconds"], "5");
    assert_eq!(
        server.attribute(&url, "VisibilityTimeout").await.as_deref(),
        Some("7")
    );
    assert_eq!(
        server.attribute(&url, "Policy").await.as_deref(),
        Some("{\"Statement\":[]}")
    );
    let unknown = json!({"QueueUrl": url, "AttributeNames": ["Colour"]});
    assert_eq!(
        server.refused("GetQueueAttributes", unknown).await,
        "InvalidAttributeName"
    );
    // All or none: the first of them is fine.
    let set = json!({"QueueUrl": url, "Attributes": {"DelaySeconds": "9", "Colour": "red"}});
    assert_eq!(
        server.refused("SetQueueAttributes", set).await,
        "InvalidAttributeName"
    );
    assert_eq!(
        server.attribute(&url, "DelaySeconds").await.as_deref(),
        Some("5")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_listed_in_pages_and_found_by_name() {
    let server = Server::start().await;
    for name in ["a-1", "a-2", "a-3", "b"] {
        server.queue(name, json!({})).await;
    }
    let list = |request| server.ok("ListQueues", request);
    let all = list(json!({})).await;
    assert_eq!(all["QueueUrls"].as_array().map(Vec::len), Some(4));
    let first = list(json!({"QueueNamePrefix": "a-", "MaxResults": 2})).await;
    assert_eq!(
        first["QueueUrls"],
        json!([server.url("a-1"), server.url("a-2")])
    );
    let next = json!({
        "QueueNamePrefix": "a-", "MaxResults": 2, "NextToken": first["NextToken"],
    });
    let second = list(next).await;
    assert_eq!(second, json!({"QueueUrls": [server.url("a-3")]}));
    assert_eq!(list(json!({"QueueNamePrefix": "c"})).await, json!({}));
    let found = server.ok("GetQueueUrl", json!({"QueueName": "b"})).await;
    assert_eq!(found["QueueUrl"], server.url("b"));
    let none = server
        .refused("GetQueueUrl", json!({"QueueName": "c"}))
        .await;
    assert_eq!(none, "AWS.SimpleQueueService.NonExistentQueue");
    server
        .ok("DeleteQueue", json!({"QueueUrl": server.url("b")}))
        .await;
    let gone = server
        .refused("GetQueueUrl", json!({"QueueName": "b"}))
        .await;
    assert_eq!(gone, none);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_permissions_are_kept_beside() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    let tags = json!({"QueueUrl": url, "Tags": {"a": "1", "b": "2"}});
    server.ok("TagQueue", tags).await;
    server
        .ok(
            "UntagQueue",
            json!({"QueueUrl": url, "TagKeys": ["a", "x"]}),
        )
        .await;
    let listed = server.ok("ListQueueTags", json!({"QueueUrl": url})).await;
    assert_eq!(listed, json!({"Tags": {"b": "2"}}));
    let add = |label: &str| {
        json!({
            "QueueUrl": url, "Label": label, "AWSAccountIds": ["111111111111"],
            "Actions": ["SendMessage", "ReceiveMessage"],
        })
    };
    server.ok("AddPermission", add("one")).await;
    assert_eq!(
        server.refused("AddPermission", add("one")).await,
        "InvalidParameterValue"
    );
    let policy = server.attribute(&url, "Policy").await.unwrap();
    let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Sid"], "one");
    assert_eq!(
        statement["Principal"]["AWS"],
        "arn:aws:iam::111111111111:root"
    );
    assert_eq!(
        statement["Action"],
        json!(["SQS:SendMessage", "SQS:ReceiveMessage"])
    );
    let remove = json!({"QueueUrl": url, "Label": "one"});
    server.ok("RemovePermission", remove.clone()).await;
    assert_eq!(server.attribute(&url, "Policy").await, None);
    assert_eq!(
        server.refused("RemovePermission", remove).await,
        "InvalidParameterValue"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_name_waits_where_the_setting_says_so() {
    let settings = SqsSettings {
        deleted_name_wait: Duration::from_secs(60),
        ..SqsSettings::default()
    };
    let server = Server::start_with(settings).await;
    let url = server.queue("q", json!({})).await;
    server.ok("DeleteQueue", json!({"QueueUrl": url})).await;
    let refused = server
        .refused("CreateQueue", json!({"QueueName": "q"}))
        .await;
    assert_eq!(refused, "AWS.SimpleQueueService.QueueDeletedRecently");
    server.queue("other", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_empties_the_queue_once_a_minute() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    server.send(&url, "gone").await;
    server.ok("PurgeQueue", json!({"QueueUrl": url})).await;
    assert!(server.receive(&url, json!({})).await.is_empty());
    let again = server.json("PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!(again.status, 403);
    assert_eq!(
        again.json()["__type"],
        "com.amazonaws.sqs#PurgeQueueInProgress"
    );
}
