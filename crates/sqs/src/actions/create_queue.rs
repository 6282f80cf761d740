//! SQS: CreateQueue. A topic of that name becomes a queue too and keeps its records for both.

use levada_engine::TopicRef;
use levada_engine::queue::NewQueue;

use super::QUEUE_ATTRIBUTES;
use super::shared::QueueUrl;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
use crate::limits::RETENTION_SECONDS_DEFAULT;
use crate::names;
use crate::protocol::fields::{KEY_VALUE, NAME_VALUE};
use crate::protocol::{Fields, Name};
use crate::queue_attributes::View;

/// One of the few names that begin with a small letter.
const TAGS: Name = Name::new("tags", "Tag");

pub struct Request {
    name: String,
    attributes: Vec<(String, String)>,
    tags: Vec<(String, String)>,
}

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.needed("QueueName")?,
            attributes: fields.pairs(QUEUE_ATTRIBUTES, NAME_VALUE)?,
            tags: fields.pairs(TAGS, KEY_VALUE)?,
        })
    }

    /// The queue as it is asked for.
    fn view(&self, call: &Call) -> Result<View> {
        let fifo = self.attributes.iter().find(|(name, _)| name == "FifoQueue");
        let is_fifo = fifo.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        names::check(&self.name, is_fifo)?;
        let mut view = View::new(is_fifo);
        for (name, value) in &self.attributes {
            view.set(name, value, call.region())?;
        }
        view.check()?;
        if let Some(policy) = view.redrive_policy() {
            policy.check(call, &self.name, is_fifo)?;
        }
        view.documents.tag(self.tags.clone())?;
        Ok(view)
    }

    /// Whether a queue that is there is what was asked for, as far as anything was said.
    fn compare(&self, call: &Call, asked: &View, there: &View) -> Result<()> {
        for (name, _) in &self.attributes {
            let shown = |view: &View| view.show(name, call.region());
            if !is_same(shown(asked).as_deref(), shown(there).as_deref()) {
                let message = format!(
                    "A queue already exists with the same name and a different value for attribute {name}"
                );
                return Err(SqsError::new(Code::QueueNameExists, message));
            }
        }
        Ok(())
    }
}

/// Whether two values say the same; documents may differ in spaces and in the order of members.
fn is_same(asked: Option<&str>, there: Option<&str>) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let both = asked.and_then(read).zip(there.and_then(read));
    asked == there || both.is_some_and(|(asked, there)| asked == there)
}

pub async fn run(call: &Call, request: Request) -> Result<QueueUrl> {
    let shared = &call.shared;
    let name = &request.name;
    let asked = request.view(call)?;
    let url = QueueUrl(call.url(name));
    let is_topic = || call.engine().topic(&TopicRef::Name(name.clone())).is_some();
    // A new name is the engine's to give, to one of those who ask: many are given at a time.
    let has_past = is_topic() || !shared.settings.deleted_name_wait.is_zero();
    let _changing = match has_past {
        true => Some(shared.changing.lock().await),
        false => None,
    };
    if let Ok(info) = call.engine().queue(name) {
        request.compare(call, &asked, &View::of(&info))?;
        return Ok(url);
    }
    if shared.deleted.holds(call.env(), name) {
        let message = "You must wait 60 seconds after deleting a queue before you can create another \
                       with the same name.";
        return Err(SqsError::new(Code::QueueDeletedRecently, message));
    }
    let has_retention = request
        .attributes
        .iter()
        .any(|(name, _)| name == "MessageRetentionPeriod");
    let mut configs = asked.clone().into_configs();
    // A topic that is there keeps the time that it has.
    if !is_topic() && !has_retention {
        let ms = 1000 * RETENTION_SECONDS_DEFAULT;
        configs.push(("retention.ms".to_owned(), ms.to_string()));
    }
    let new = NewQueue {
        name: name.clone(),
        configs,
    };
    let (info, is_new) = call.engine().create_queue(new).await?;
    if !is_new {
        request.compare(call, &asked, &View::of(&info))?;
    }
    Ok(url)
}
