//! A listener, and a client of it that knows HTTP and nothing else.

use std::net::SocketAddr;

use levada_engine::Engine;
use levada_engine::testing::memory_engine;
use levada_env::Env;
use levada_net::{Listener, ListenerSettings};
use levada_sqs::{SqsListener, SqsSettings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A listener over an engine of its own.
pub struct Server {
    pub env: Env,
    pub engine: Engine,
    pub listener: SqsListener,
    pub address: SocketAddr,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        match self.body.is_empty() {
            true => json!({}),
            false => serde_json::from_str(&self.body).expect("a JSON body"),
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The text of the first element of this name.
    pub fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(SqsSettings::default()).await
    }

    pub async fn start_with(settings: SqsSettings) -> Self {
        let env = Env::real();
        let engine = memory_engine(env.clone()).await;
        let listener = Listener::bind(env.clone(), "127.0.0.1:0", ListenerSettings::default());
        let listener = listener.await.expect("a free port");
        let listener = SqsListener::start(env.clone(), engine.clone(), settings, listener);
        let address = listener.local_addr();
        Self {
            env,
            engine,
            listener,
            address,
        }
    }

    /// The address of a queue.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/000000000000/{name}", self.address)
    }

    /// Sends raw bytes on a connection of their own and reads what comes back until it ends.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it accepts");
        // It may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    pub async fn request(&self, head: &str, body: &str) -> Answer {
        let request = format!(
            "{head}\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = self.raw(request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        Answer {
            status: status.expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// An action in the JSON protocol.
    pub async fn json(&self, action: &str, request: Value) -> Answer {
        let head = format!(
            "POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.{action}\r\n\
             Content-Type: application/x-amz-json-1.0"
        );
        self.request(&head, &request.to_string()).await
    }

    /// An action in the JSON protocol that goes well.
    pub async fn ok(&self, action: &str, request: Value) -> Value {
        let answer = self.json(action, request).await;
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
        answer.json()
    }

    /// An action in the JSON protocol that is refused: the code of the query protocol.
    pub async fn refused(&self, action: &str, request: Value) -> String {
        let answer = self.json(action, request).await;
        assert_ne!(answer.status, 200, "{action}: {}", answer.body);
        let code = answer.header("x-amzn-query-error").expect("a code");
        code.split_once(';').expect("a fault").0.to_owned()
    }

    /// An action in the query protocol, posted to a path.
    pub async fn form(&self, path: &str, form: &str) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8"
        );
        self.request(&head, form).await
    }

    /// Makes a queue.
    pub async fn queue(&self, name: &str, attributes: Value) -> String {
        let request = json!({"QueueName": name, "Attributes": attributes});
        let made = self.ok("CreateQueue", request).await;
        assert_eq!(made["QueueUrl"], self.url(name));
        self.url(name)
    }

    pub async fn send(&self, url: &str, body: &str) -> Value {
        let request = json!({"QueueUrl": url, "MessageBody": body});
        self.ok("SendMessage", request).await
    }

    /// Receives what is there, with everything about it.
    pub async fn receive(&self, url: &str, more: Value) -> Vec<Value> {
        let mut request = json!({
            "QueueUrl": url, "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"],
        });
        let members = request.as_object_mut().expect("a map");
        members.extend(more.as_object().expect("a map").clone());
        let received = self.ok("ReceiveMessage", request).await;
        received["Messages"].as_array().cloned().unwrap_or_default()
    }

    pub async fn attribute(&self, url: &str, name: &str) -> Option<String> {
        let request = json!({"QueueUrl": url, "AttributeNames": [name]});
        let shown = self.ok("GetQueueAttributes", request).await;
        shown["Attributes"][name].as_str().map(str::to_owned)
    }
}

pub fn bodies(messages: &[Value]) -> Vec<&str> {
    let bodies = messages.iter().map(|message| message["Body"].as_str());
    bodies.map(Option::unwrap_or_default).collect()
}
