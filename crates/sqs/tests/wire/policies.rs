//! Who may do what with a queue, asked through HTTP.

use serde_json::{Value, json};

use crate::signed::{server_with, signed_by};
use crate::support::{Answer, Server};

const KEYS: &str = "ROOT secret\nAKANN secret ann policy\nAKBOB secret bob policy";
const ANN: &str = "arn:aws:iam::000000000000:user/ann";

async fn call(server: &Server, key: &str, action: &str, body: Value) -> Answer {
    signed_by(server, (key, "secret"), action, &body.to_string()).await
}

/// The code of the query protocol, `200` for what went well.
async fn outcome(server: &Server, key: &str, action: &str, body: Value) -> String {
    code(&call(server, key, action, body).await)
}

fn code(answer: &Answer) -> String {
    match answer.header("x-amzn-query-error") {
        Some(code) => code.split_once(';').unwrap().0.to_owned(),
        None => answer.status.to_string(),
    }
}

async fn server_with_queue() -> (Server, String) {
    let server = server_with(KEYS).await;
    let made = call(&server, "ROOT", "CreateQueue", json!({"QueueName": "q"})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let url = server.url("q");
    (server, url)
}

async fn set_policy(server: &Server, url: &str, statements: Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let set = json!({"QueueUrl": url, "Attributes": {"Policy": policy}});
    assert_eq!(
        outcome(server, "ROOT", "SetQueueAttributes", set).await,
        "200"
    );
}

fn send(url: &str) -> Value {
    json!({"QueueUrl": url, "MessageBody": "m"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_the_role_policy_may_what_a_policy_allows() {
    let (server, url) = server_with_queue().await;
    let refused = call(&server, "AKANN", "SendMessage", send(&url)).await;
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (403, "AccessDenied")
    );
    let refusal = refused.json();
    assert_eq!(
        refusal["__type"],
        "com.amazon.coral.service#AccessDeniedException"
    );
    assert_eq!(
        refusal["message"],
        "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: sqs:sendmessage on \
         resource: arn:aws:sqs:us-east-1:000000000000:q because no resource-based policy allows \
         the sqs:sendmessage action"
    );
    let allow = json!({
        "Effect": "Allow", "Principal": {"AWS": ANN}, "Action": "SQS:SendMessage", "Resource": "*",
    });
    set_policy(&server, &url, json!([allow])).await;
    let entries = json!([{"Id": "1", "MessageBody": "m"}]);
    let batch = json!({"QueueUrl": url, "Entries": entries});
    for (key, action, body, expected) in [
        ("AKANN", "SendMessage", send(&url), "200"),
        ("AKANN", "SendMessageBatch", batch, "200"),
        ("AKBOB", "SendMessage", send(&url), "AccessDenied"),
        (
            "AKANN",
            "ReceiveMessage",
            json!({"QueueUrl": url}),
            "AccessDenied",
        ),
        (
            "AKANN",
            "GetQueueUrl",
            json!({"QueueName": "q"}),
            "AccessDenied",
        ),
        (
            "AKANN",
            "CreateQueue",
            json!({"QueueName": "mine"}),
            "AccessDenied",
        ),
        ("AKANN", "ListQueues", json!({}), "AccessDenied"),
        // Whether a queue is there is not told to who may not know.
        (
            "AKANN",
            "SendMessage",
            send(&server.url("none")),
            "AccessDenied",
        ),
        (
            "ROOT",
            "SendMessage",
            send(&server.url("none")),
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        ("ROOT", "ReceiveMessage", json!({"QueueUrl": url}), "200"),
        ("ROOT", "ListQueues", json!({}), "200"),
    ] {
        let got = outcome(&server, key, action, body.clone()).await;
        assert_eq!(got, expected, "{key} {action} {body}");
    }
    set_policy(&server, &url, json!([])).await;
    assert_eq!(
        outcome(&server, "AKANN", "SendMessage", send(&url)).await,
        "AccessDenied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_stops_an_admin_too() {
    let (server, url) = server_with_queue().await;
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "SQS:PurgeQueue"});
    set_policy(&server, &url, json!([deny])).await;
    let purge = json!({"QueueUrl": url});
    let refused = call(&server, "ROOT", "PurgeQueue", purge).await;
    assert_eq!(code(&refused), "AccessDenied");
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.ends_with("with an explicit deny in a resource-based policy"),
        "{message}"
    );
    assert_eq!(
        outcome(&server, "ROOT", "SendMessage", send(&url)).await,
        "200"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_may_what_everybody_may() {
    let (server, url) = server_with_queue().await;
    let refused = server.json("SendMessage", send(&url)).await;
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (403, "AccessDenied")
    );
    let path = "/000000000000/q";
    let form = "Action=SendMessage&MessageBody=m";
    let refused = server.form(path, form).await;
    assert_eq!(
        (refused.status, refused.element("Code")),
        (403, Some("AccessDenied"))
    );
    assert_eq!(refused.element("Type"), Some("Sender"));
    // Everybody who signs is not everybody.
    let account = json!({"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "*"});
    set_policy(&server, &url, json!(account)).await;
    assert_eq!(
        code(&server.json("SendMessage", send(&url)).await),
        "AccessDenied"
    );
    assert_eq!(
        outcome(&server, "AKBOB", "SendMessage", send(&url)).await,
        "200"
    );
    let everybody = json!({
        "Effect": "Allow", "Principal": "*", "Action": "SQS:*",
        "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
    });
    set_policy(&server, &url, everybody).await;
    assert_eq!(server.form(path, form).await.status, 200);
    assert_eq!(server.json("SendMessage", send(&url)).await.status, 200);
    // What is the owner's stays the owner's.
    let delete = server.json("DeleteQueue", json!({"QueueUrl": url})).await;
    assert_eq!(code(&delete), "AccessDenied");
    let elsewhere = json!({
        "Effect": "Allow", "Principal": "*", "Action": "SQS:*",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    });
    set_policy(&server, &url, elsewhere).await;
    assert_eq!(server.form(path, form).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_moves_messages_must_be_allowed_both_queues() {
    let (server, dead) = server_with_queue().await;
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let redrive = json!({"deadLetterTargetArn": arn("q"), "maxReceiveCount": 3}).to_string();
    let make = json!({"QueueName": "home", "Attributes": {"RedrivePolicy": redrive}});
    assert_eq!(outcome(&server, "ROOT", "CreateQueue", make).await, "200");
    let allow =
        |actions: Value| json!({"Effect": "Allow", "Principal": {"AWS": ANN}, "Action": actions});
    let start = json!({"SourceArn": arn("q"), "DestinationArn": arn("home")});
    let action = "StartMessageMoveTask";
    set_policy(
        &server,
        &dead,
        allow(json!(["SQS:StartMessageMoveTask", "SQS:ReceiveMessage"])),
    )
    .await;
    assert_eq!(
        outcome(&server, "AKANN", action, start.clone()).await,
        "AccessDenied"
    );
    set_policy(&server, &dead, allow(json!("SQS:*"))).await;
    assert_eq!(
        outcome(&server, "AKANN", action, start.clone()).await,
        "AccessDenied"
    );
    set_policy(
        &server,
        &server.url("home"),
        allow(json!("SQS:SendMessage")),
    )
    .await;
    assert_eq!(outcome(&server, "AKANN", action, start).await, "200");
    // Where messages would go is not known before.
    let anywhere = json!({"SourceArn": arn("q")});
    assert_eq!(
        outcome(&server, "AKANN", action, anywhere).await,
        "AccessDenied"
    );
    let list = json!({"SourceArn": arn("q")});
    assert_eq!(
        outcome(&server, "AKANN", "ListMessageMoveTasks", list.clone()).await,
        "200"
    );
    assert_eq!(
        outcome(&server, "AKBOB", "ListMessageMoveTasks", list).await,
        "AccessDenied"
    );
    let cancel = json!({"TaskHandle": "none"});
    assert_eq!(
        outcome(&server, "AKBOB", "CancelMessageMoveTask", cancel).await,
        "AccessDenied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_lets_keys_of_the_account_in() {
    let (server, url) = server_with_queue().await;
    let add = json!({
        "QueueUrl": url, "Label": "all", "AWSAccountIds": ["000000000000"],
        "Actions": ["ReceiveMessage"],
    });
    let receive = json!({"QueueUrl": url});
    assert_eq!(outcome(&server, "ROOT", "AddPermission", add).await, "200");
    assert_eq!(
        outcome(&server, "AKANN", "ReceiveMessage", receive.clone()).await,
        "200"
    );
    let remove = json!({"QueueUrl": url, "Label": "all"});
    assert_eq!(
        outcome(&server, "AKANN", "RemovePermission", remove.clone()).await,
        "AccessDenied"
    );
    assert_eq!(
        outcome(&server, "ROOT", "RemovePermission", remove).await,
        "200"
    );
    assert_eq!(
        outcome(&server, "AKANN", "ReceiveMessage", receive).await,
        "AccessDenied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_used_is_refused() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    for policy in ["{}", "[]", "{\"Statement\":{\"Effect\":\"Alow\"}}"] {
        let set = json!({"QueueUrl": url, "Attributes": {"Policy": policy}});
        let code = server.refused("SetQueueAttributes", set).await;
        assert_eq!(code, "InvalidAttributeValue", "{policy}");
    }
    assert_eq!(server.attribute(&url, "Policy").await, None);
}
