//! DescribeConfigs 1-4 (KIP-133, KIP-569).

use levada_engine::{TopicRef, TopicSetting};
use levada_wire_kafka::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::super::metadata::find_or_create;
use super::broker::{self, BrokerSetting};
use super::{BROKER, Source, TOPIC, type_code, type_name};
use crate::NODE_ID;
use crate::call::Call;
use crate::errors::{Refusal, text};

pub async fn handle(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let extras = Extras {
        synonyms: request.include_synonyms,
        docs: request.include_documentation,
    };
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        results.push(describe(call, resource, extras).await);
    }
    DescribeConfigsResponse {
        results,
        ..Default::default()
    }
}

/// What the client wants to know besides the values.
#[derive(Clone, Copy)]
struct Extras {
    synonyms: bool,
    docs: bool,
}

async fn describe(
    call: &Call,
    resource: DescribeConfigsResource,
    extras: Extras,
) -> DescribeConfigsResult {
    let name = &resource.resource_name;
    let configs = match resource.resource_type {
        TOPIC => of_topic(call, name, extras).await,
        BROKER => of_broker(call, name, extras),
        other => {
            let message = format!("there are no settings of a {} resource", type_name(other));
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        }
    };
    let (error_code, error_message, mut configs) = match configs {
        Ok(configs) => (0, None, configs),
        Err(refusal) => (call.code(refusal.code), text(refusal.message), Vec::new()),
    };
    // No keys at all mean all of them, and so does an empty list.
    if let Some(keys) = resource.configuration_keys.filter(|keys| !keys.is_empty()) {
        configs.retain(|config| keys.contains(&config.name));
    }
    DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs,
    }
}

async fn of_topic(
    call: &Call,
    name: &str,
    extras: Extras,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    // A name that no topic can have is named as such.
    let found = find_or_create(call, name, false).await;
    found.map_err(|error| Refusal::new(error, format!("there is no topic `{name}`")))?;
    let settings = call
        .engine()
        .topic_configs(&TopicRef::Name(name.to_owned()))?;
    Ok(settings
        .into_iter()
        .map(|setting| topic_field(setting, extras))
        .collect())
}

fn topic_field(setting: TopicSetting, extras: Extras) -> DescribeConfigsResourceResult {
    let definition = setting.definition;
    let source = Source::of(setting.source);
    let value = Some(KStr::from(setting.value));
    let name = KStr::from_static(definition.name);
    let mut synonyms = Vec::new();
    if extras.synonyms {
        if source == Source::Topic {
            synonyms.push(DescribeConfigsSynonym {
                name: name.clone(),
                value: value.clone(),
                source: source.code(),
            });
        }
        synonyms.push(DescribeConfigsSynonym {
            name: KStr::from(broker::synonym(definition.name)),
            value: Some(KStr::from_static(definition.default)),
            source: Source::Default.code(),
        });
    }
    DescribeConfigsResourceResult {
        name,
        value,
        config_source: source.code(),
        synonyms,
        config_type: type_code(&definition.kind),
        documentation: extras.docs.then(|| KStr::from_static(definition.doc)),
        ..Default::default()
    }
}

fn of_broker(
    call: &Call,
    name: &str,
    extras: Extras,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    // The empty name asks for cluster-wide dynamic defaults, which we do not have.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name != NODE_ID.to_string() {
        let message = format!("there is no node {name}: the only one is {NODE_ID}");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    let settings = broker::settings(call).into_iter();
    Ok(settings
        .map(|setting| broker_field(setting, extras))
        .collect())
}

fn broker_field(setting: BrokerSetting, extras: Extras) -> DescribeConfigsResourceResult {
    let name = KStr::from_static(setting.name);
    let value = Some(KStr::from(setting.value));
    let mut synonyms = Vec::new();
    if extras.synonyms {
        synonyms.push(DescribeConfigsSynonym {
            name: name.clone(),
            value: value.clone(),
            source: setting.source.code(),
        });
    }
    DescribeConfigsResourceResult {
        name,
        value,
        read_only: true,
        config_source: setting.source.code(),
        synonyms,
        config_type: setting.type_code,
        documentation: extras.docs.then(|| KStr::from_static(setting.doc)),
        ..Default::default()
    }
}
