//! AlterConfigs 0-2 (KIP-133) replaces all settings of a topic; IncrementalAlterConfigs 0-1
//! (KIP-339) changes single ones.

use std::collections::BTreeSet;

use levada_engine::{ConfigChange, ConfigOp, TopicRef};
use levada_wire_kafka::messages::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsRequestAlterableConfig, IncrementalAlterConfigsResponse,
    IncrementalAlterConfigsResponseAlterConfigsResourceResponse,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::{BROKER, TOPIC, type_name};
use crate::call::Call;
use crate::errors::{Refusal, text};

pub async fn replace(call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut seen = BTreeSet::new();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let result = match seen.insert((resource.resource_type, resource.resource_name.clone())) {
            true => replace_one(call, &resource, request.validate_only).await,
            false => Err(twice()),
        };
        let (error_code, error_message) = settle(call, result);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    AlterConfigsResponse {
        responses,
        ..Default::default()
    }
}

async fn replace_one(
    call: &Call,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let topic = topic(resource.resource_type, &resource.resource_name)?;
    check_keys(resource.configs.iter().map(|config| &config.name))?;
    let mut configs = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let value = required(&config.name, config.value.as_ref())?;
        configs.push((config.name.to_string(), value));
    }
    let done = call
        .engine()
        .replace_topic_configs(&topic, configs, validate_only);
    done.await?;
    altered(call, &resource.resource_name, validate_only);
    Ok(())
}

pub async fn change(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut seen = BTreeSet::new();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let result = match seen.insert((resource.resource_type, resource.resource_name.clone())) {
            true => change_one(call, &resource, request.validate_only).await,
            false => Err(twice()),
        };
        let (error_code, error_message) = settle(call, result);
        responses.push(
            IncrementalAlterConfigsResponseAlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
            },
        );
    }
    IncrementalAlterConfigsResponse {
        responses,
        ..Default::default()
    }
}

async fn change_one(
    call: &Call,
    resource: &IncrementalAlterConfigsRequestAlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let topic = topic(resource.resource_type, &resource.resource_name)?;
    check_keys(resource.configs.iter().map(|config| &config.name))?;
    let changes = resource
        .configs
        .iter()
        .map(one_change)
        .collect::<Result<_, _>>()?;
    let done = call.engine().alter_topic(&topic, changes, validate_only);
    done.await?;
    altered(call, &resource.resource_name, validate_only);
    Ok(())
}

fn one_change(
    config: &IncrementalAlterConfigsRequestAlterableConfig,
) -> Result<ConfigChange, Refusal> {
    let value = || required(&config.name, config.value.as_ref());
    let op = match config.config_operation {
        0 => ConfigOp::Set(value()?),
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append(value()?),
        3 => ConfigOp::Subtract(value()?),
        other => {
            let message = format!("there is no config operation {other}");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
    };
    Ok(ConfigChange {
        name: config.name.to_string(),
        op,
    })
}

fn topic(resource_type: i8, name: &KStr) -> Result<TopicRef, Refusal> {
    match resource_type {
        TOPIC => Ok(TopicRef::Name(name.to_string())),
        BROKER => {
            let message = "the broker's settings cannot be changed while it runs: change its \
                           configuration (see `levada config show`) and restart it";
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        }
        other => {
            let message = format!("there are no settings of a {} resource", type_name(other));
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        }
    }
}

fn twice() -> Refusal {
    let message = "the request names this resource more than once";
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn check_keys<'a>(mut names: impl Iterator<Item = &'a KStr>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match names.find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("{name} is given more than once");
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        }
    }
}

fn required(name: &KStr, value: Option<&KStr>) -> Result<String, Refusal> {
    value.map(ToString::to_string).ok_or_else(|| {
        let message = format!("{name} has no value; delete the setting to get its default back");
        Refusal::new(ErrorCode::InvalidRequest, message)
    })
}

fn settle(call: &Call, result: Result<(), Refusal>) -> (i16, Option<KStr>) {
    match result {
        Ok(()) => (0, None),
        Err(refusal) => (call.code(refusal.code), text(refusal.message)),
    }
}

fn altered(call: &Call, topic: &KStr, validate_only: bool) {
    if !validate_only {
        tracing::info!(%topic, client_id = call.client_id(), "topic settings changed");
    }
}
