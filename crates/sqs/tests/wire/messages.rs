//! Messages come, are hidden, and go, in both protocols.

use std::time::Duration;

use serde_json::json;

use crate::support::{Server, bodies};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_received_with_its_attributes_and_deleted() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    let sent = server
        .ok(
            "SendMessage",
            json!({
                "QueueUrl": url, "MessageBody": "msg",
                "MessageAttributes": {
                    "Hello": {"DataType": "String", "StringValue": "There"},
                    "Blob": {"DataType": "Binary", "BinaryValue": "AAE="},
                },
                "MessageSystemAttributes": {
                    "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5"},
                },
            }),
        )
        .await;
    assert_eq!(sent["MD5OfMessageBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
    assert!(sent["MD5OfMessageSystemAttributes"].is_string());
    assert!(sent.get("SequenceNumber").is_none());
    let messages = server.receive(&url, json!({})).await;
    let [message] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(message["MessageId"], sent["MessageId"]);
    assert_eq!(
        message["MD5OfMessageAttributes"],
        sent["MD5OfMessageAttributes"]
    );
    let attributes = &message["MessageAttributes"];
    assert_eq!(attributes["Hello"]["StringValue"], "There");
    assert_eq!(attributes["Blob"]["BinaryValue"], "AAE=");
    assert_eq!(message["Attributes"]["AWSTraceHeader"], "Root=1-5");
    assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
    let hidden = server
        .attribute(&url, "ApproximateNumberOfMessagesNotVisible")
        .await;
    assert_eq!(hidden.as_deref(), Some("1"));
    assert!(server.receive(&url, json!({})).await.is_empty());
    let delete = json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]});
    let deleted = server.json("DeleteMessage", delete.clone()).await;
    assert_eq!((deleted.status, deleted.body.as_str()), (200, ""));
    server.ok("DeleteMessage", delete).await;
    let left = server
        .attribute(&url, "ApproximateNumberOfMessagesNotVisible")
        .await;
    assert_eq!(left.as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_protocol_does_the_same_with_forms_and_xml() {
    let server = Server::start().await;
    let made = server
        .form(
            "/",
            "Action=CreateQueue&QueueName=q&Attribute.1.Name=VisibilityTimeout\
               &Attribute.1.Value=7&Tag.1.Key=team&Tag.1.Value=a+b&Version=2012-11-05",
        )
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.element("QueueUrl"), Some(server.url("q").as_str()));
    assert_eq!(made.header("content-type"), Some("text/xml"));
    let path = "/000000000000/q";
    let sent = server
        .form(
            path,
            "Action=SendMessage&MessageBody=a%3Cb%26%0D%0A&MessageAttribute.1.Name=n\
               &MessageAttribute.1.Value.DataType=Number&MessageAttribute.1.Value.StringValue=5",
        )
        .await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let received = server
        .form(
            path,
            "Action=ReceiveMessage&AttributeName.1=All&MessageAttributeName.1=All",
        )
        .await;
    assert_eq!(received.element("Body"), Some("a&lt;b&amp;&#xD;\n"));
    assert_eq!(
        received.element("MD5OfBody"),
        sent.element("MD5OfMessageBody")
    );
    let digest = received.element("MD5OfMessageAttributes");
    assert_eq!(digest, sent.element("MD5OfMessageAttributes"));
    assert_eq!(
        received.element("MessageAttribute"),
        Some(
            "<Name>n</Name><Value><StringValue>5</StringValue><DataType>Number</DataType></Value>"
        )
    );
    let receipt = received.element("ReceiptHandle").expect("a receipt");
    let change = format!(
        "Action=ChangeMessageVisibilityBatch\
         &ChangeMessageVisibilityBatchRequestEntry.1.Id=a\
         &ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle={receipt}\
         &ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout=0"
    );
    let changed = server.form(path, &change).await;
    let entry = changed.element("ChangeMessageVisibilityBatchResultEntry");
    assert_eq!(entry, Some("<Id>a</Id>"), "{}", changed.body);
    let get = format!("GET {path}?Action=ReceiveMessage HTTP/1.1");
    let again = server.request(&get, "").await;
    let receipt = again.element("ReceiptHandle").expect("it is visible again");
    let delete = format!("Action=DeleteMessage&ReceiptHandle={receipt}");
    let deleted = server.form(path, &delete).await;
    assert!(
        deleted.body.contains("<DeleteMessageResponse"),
        "{}",
        deleted.body
    );
    let tags = server.form(path, "Action=ListQueueTags").await;
    assert_eq!(
        tags.element("Tag"),
        Some("<Key>team</Key><Value>a b</Value>")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_the_name_and_the_status_of_its_protocol() {
    let server = Server::start().await;
    let url = server.url("none");
    let answer = server.json("PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json()["__type"],
        "com.amazonaws.sqs#QueueDoesNotExist"
    );
    let code = "AWS.SimpleQueueService.NonExistentQueue";
    let legacy = format!("{code};Sender");
    assert_eq!(answer.header("x-amzn-query-error"), Some(legacy.as_str()));
    assert!(answer.header("x-amzn-requestid").is_some());
    let answer = server.form("/000000000000/none", "Action=PurgeQueue").await;
    assert_eq!((answer.status, answer.element("Code")), (400, Some(code)));
    assert_eq!(answer.element("Type"), Some("Sender"));
    let request = json!({"QueueUrl": url, "MaxNumberOfMessages": 11});
    assert_eq!(
        server.refused("ReceiveMessage", request).await,
        "InvalidParameterValue"
    );
    assert_eq!(
        server.refused("NoSuchAction", json!({})).await,
        "InvalidAction"
    );
    assert_eq!(
        server.form("/", "").await.element("Code"),
        Some("InvalidAction")
    );
    let url = server.queue("q", json!({})).await;
    let wrong = json!({"QueueUrl": url, "ReceiptHandle": "x"});
    let answer = server.json("DeleteMessage", wrong).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    let tasks = server
        .json("StartMessageMoveTask", json!({"SourceArn": "a"}))
        .await;
    assert_eq!(tasks.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_batch_fail_each_for_itself() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    let entries = json!([
        {"Id": "a", "MessageBody": "one"},
        {"Id": "b", "MessageBody": "\u{1}"},
        {"Id": "c", "MessageBody": "two", "DelaySeconds": 0},
    ]);
    let sent = server
        .ok(
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": entries}),
        )
        .await;
    let ids = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|entry| entry["Id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&sent["Successful"]), ["a", "c"]);
    assert_eq!(sent["Failed"][0]["Id"], "b");
    assert_eq!(sent["Failed"][0]["Code"], "InvalidMessageContents");
    assert_eq!(sent["Failed"][0]["SenderFault"], true);
    let messages = server.receive(&url, json!({})).await;
    assert_eq!(bodies(&messages), ["one", "two"]);
    let entries = json!([
        {"Id": "a", "ReceiptHandle": messages[0]["ReceiptHandle"]},
        {"Id": "b", "ReceiptHandle": "x"},
        {"Id": "c"},
    ]);
    let deleted = server
        .ok(
            "DeleteMessageBatch",
            json!({"QueueUrl": url, "Entries": entries}),
        )
        .await;
    assert_eq!(ids(&deleted["Successful"]), ["a"]);
    let mut failed = ids(&deleted["Failed"]);
    failed.sort();
    assert_eq!(failed, ["b", "c"]);
    // Written in three times its bytes, it is still a message of 1 MiB.
    let escaped = "%C3%BC".repeat(1 << 19);
    let form = format!("Action=SendMessage&MessageBody={escaped}");
    let sent = server.form("/000000000000/q", &form).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let long = "x".repeat(600 << 10);
    let entries = json!([{"Id": "a", "MessageBody": long}, {"Id": "b", "MessageBody": long}]);
    let refused = server
        .refused(
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": entries}),
        )
        .await;
    assert_eq!(refused, "AWS.SimpleQueueService.BatchRequestTooLong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_is_woken_by_a_message_and_ended_by_the_stop() {
    let server = Server::start().await;
    let url = server
        .queue("q", json!({"ReceiveMessageWaitTimeSeconds": "20"}))
        .await;
    let begun = server.env.monotonic();
    let (received, _) = tokio::join!(server.receive(&url, json!({})), async {
        // It waits already, or finds the message: both must end long before the 20 s.
        server.send(&url, "woken").await
    });
    assert_eq!(bodies(&received), ["woken"]);
    let (received, cut) = tokio::join!(server.receive(&url, json!({})), async {
        while server.listener.metrics().snapshot().open == 0 {
            tokio::task::yield_now().await;
        }
        server.listener.drain(Duration::from_secs(10)).await
    });
    assert!(received.is_empty());
    assert_eq!(cut, 0);
    assert!(server.env.monotonic() - begun < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_writes_is_received_and_the_other_way_round() {
    use levada_engine::TopicRef;
    let server = Server::start().await;
    let topic = levada_engine::NewTopic {
        name: "events".to_owned(),
        partitions: Some(1),
        ..Default::default()
    };
    server.engine.create_topic(topic).await.expect("a topic");
    let url = server.queue("events", json!({})).await;
    let info = server
        .engine
        .topic(&TopicRef::Name("events".to_owned()))
        .expect("it is there");
    let origin = info.configs.iter().find(|(name, _)| name == "queue.origin");
    assert_ne!(origin.map(|(_, value)| value.as_str()), Some("queue"));
    let retain = info.configs.iter().find(|(name, _)| name == "queue.retain");
    assert_eq!(retain.map(|(_, value)| value.as_str()), Some("true"));
    server.ok("DeleteQueue", json!({"QueueUrl": url})).await;
    assert!(
        server
            .engine
            .topic(&TopicRef::Name("events".to_owned()))
            .is_some()
    );
    let url = server.queue("made", json!({})).await;
    server.ok("DeleteQueue", json!({"QueueUrl": url})).await;
    assert!(
        server
            .engine
            .topic(&TopicRef::Name("made".to_owned()))
            .is_none()
    );
}
