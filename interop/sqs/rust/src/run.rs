//! The frame of the checks: the client, names of queues, the line that each check prints.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::time::Instant;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Checked = Result<(), Failure>;

/// One run against one service.
#[derive(Clone)]
pub struct Sqs {
    pub client: Client,
    run_id: String,
}

impl Sqs {
    pub fn connect(endpoint: &str, run_id: &str) -> Self {
        let anybody = Credentials::new("anybody", "anything", None, None, "interop");
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(anybody)
            // Retries would hide errors.
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self {
            client: Client::from_conf(config),
            run_id: run_id.to_owned(),
        }
    }

    pub fn name(&self, what: &str) -> String {
        format!("rust-{what}-{}", self.run_id)
    }

    /// A queue that no other run uses; its URL.
    pub async fn queue(
        &self,
        what: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> Result<String, Failure> {
        let is_fifo = attributes
            .iter()
            .any(|(name, _)| *name == QueueAttributeName::FifoQueue);
        let mut create = self.client.create_queue();
        create = create.queue_name(self.name(what) + if is_fifo { ".fifo" } else { "" });
        for (name, value) in attributes {
            create = create.attributes(name.clone(), *value);
        }
        let made = create.send().await.map_err(told)?;
        Ok(made.queue_url.ok_or("no URL")?)
    }

    pub async fn attribute(&self, url: &str, name: QueueAttributeName) -> Result<String, Failure> {
        let get = self.client.get_queue_attributes().queue_url(url);
        let got = get
            .attribute_names(name.clone())
            .send()
            .await
            .map_err(told)?;
        let mut attributes: HashMap<_, _> = got.attributes.unwrap_or_default();
        Ok(attributes.remove(&name).ok_or(format!("no {name:?}"))?)
    }

    pub async fn send(&self, url: &str, body: &str) -> Result<String, Failure> {
        let send = self.client.send_message().queue_url(url).message_body(body);
        Ok(send.send().await.map_err(told)?.message_id.ok_or("no id")?)
    }

    /// Up to `count` messages with all that they carry.
    pub async fn receive(
        &self,
        url: &str,
        count: i32,
        wait_s: i32,
    ) -> Result<Vec<Message>, Failure> {
        let receive = self.client.receive_message().queue_url(url);
        let receive = receive
            .max_number_of_messages(count)
            .wait_time_seconds(wait_s);
        let receive = receive
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        Ok(receive
            .send()
            .await
            .map_err(told)?
            .messages
            .unwrap_or_default())
    }

    pub async fn delete(&self, url: &str, message: &Message) -> Checked {
        let delete = self.client.delete_message().queue_url(url);
        let delete = delete.set_receipt_handle(message.receipt_handle.clone());
        delete.send().await.map_err(told)?;
        Ok(())
    }
}

/// An error of the SDK with all that it says.
pub fn told<E: Error + Send + Sync + 'static>(error: E) -> Failure {
    DisplayErrorContext(error).to_string().into()
}

pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.body().unwrap_or_default())
        .collect()
}

pub fn system(message: &Message, name: MessageSystemAttributeName) -> &str {
    let all = message.attributes.as_ref();
    all.and_then(|all| all.get(&name))
        .map_or("", String::as_str)
}

pub fn expect<T: PartialEq<U> + Debug, U: Debug>(actual: T, wanted: U, what: &str) -> Checked {
    if actual == wanted {
        return Ok(());
    }
    Err(format!("{what}: got {actual:?}, wanted {wanted:?}").into())
}

/// Fails unless the call is refused with an error of its operation for which `is_it` holds.
pub fn refused<T, E, R>(
    result: Result<T, SdkError<E, R>>,
    is_it: fn(&E) -> bool,
    what: &str,
) -> Checked
where
    E: Error + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    match result {
        Ok(_) => Err(format!("not refused, wanted {what}").into()),
        Err(SdkError::ServiceError(error)) if is_it(error.err()) => Ok(()),
        Err(error) => Err(format!("wanted {what}, refused with {}", told(error)).into()),
    }
}

pub async fn check(name: &str, body: impl Future<Output = Checked>) {
    let started = Instant::now();
    match body.await {
        Ok(()) => println!("CHECK {name} ok {:.1} s", started.elapsed().as_secs_f64()),
        Err(error) => {
            let text = error.to_string();
            let words: Vec<&str> = text.split_whitespace().collect();
            println!("CHECK {name} FAIL {:.300}", words.join(" "));
        }
    }
}
