//! From settings to what each crate takes: the one place that knows both names.

use std::time::Duration;

use levada_catalog::StateSettings;
use levada_engine::{EngineSettings, GroupSettings};
use levada_kafka::{Advertised, KafkaSettings};
use levada_net::ListenerSettings;
use levada_sequencer::SequencerSettings;
use levada_sqs::{AccessKeys, SqsSettings};
use levada_wal::WalConfig;

use crate::config::Settings;
use crate::config::value::Durability;

pub(crate) fn wal(settings: &Settings) -> WalConfig {
    let storage = &settings.storage;
    WalConfig {
        durability: match storage.durability {
            Durability::Fsync => levada_wal::Durability::Disk,
            Durability::Os => levada_wal::Durability::Os,
        },
        file_bytes_max: storage.file_bytes_max.0,
        pool_bytes_max: storage.pool_bytes_max.0,
        reserve_bytes: storage.reserve_bytes.0,
        ..WalConfig::default()
    }
}

pub(crate) fn sequencer(settings: &Settings) -> SequencerSettings {
    SequencerSettings {
        snapshot_every_bytes: settings.storage.snapshot_bytes.0,
        ..SequencerSettings::default()
    }
}

pub(crate) fn state(settings: &Settings) -> StateSettings {
    StateSettings {
        producer_expiration_ms: i64::try_from(settings.producers.expiration_ms).unwrap_or(i64::MAX),
        producer_state_bytes_max: settings.producers.state_bytes_max.to_usize(),
    }
}

pub(crate) fn engine(settings: &Settings, cluster_id: &str) -> EngineSettings {
    EngineSettings {
        cluster_id: cluster_id.to_owned(),
        tail_cache_bytes: settings.memory.tail_cache_bytes.to_usize(),
        in_flight_bytes: settings.memory.in_flight_bytes.to_usize(),
        num_partitions: settings.kafka.num_partitions,
        maintenance_interval: Duration::from_millis(settings.storage.maintenance_interval_ms),
        disk_slack_bytes: settings.storage.disk_slack_bytes.0,
        index_bytes_max: settings.memory.index_bytes.to_usize(),
        groups: groups(settings),
        ..EngineSettings::default()
    }
}

fn groups(settings: &Settings) -> GroupSettings {
    let groups = &settings.groups;
    GroupSettings {
        session_timeout_min_ms: groups.session_timeout_ms_min,
        session_timeout_max_ms: groups.session_timeout_ms_max,
        initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
        members_max: groups.members_max,
        offsets_retention: Duration::from_secs(60 * u64::from(groups.offsets_retention_minutes)),
        ..GroupSettings::default()
    }
}

pub(crate) fn kafka(settings: &Settings) -> KafkaSettings {
    let kafka = &settings.kafka;
    KafkaSettings {
        advertised: kafka.advertised.0.as_ref().map(|address| Advertised {
            host: address.host.clone(),
            port: address.port,
        }),
        auto_create_topics: kafka.auto_create_topics,
        frame_bytes_max: kafka.frame_bytes_max.to_usize(),
        frame_timeout: Duration::from_millis(kafka.frame_timeout_ms),
        idle_timeout: Duration::from_millis(kafka.idle_timeout_ms),
        fetch_bytes_max: kafka.fetch_bytes_max.to_usize(),
        request_bytes_max: settings.memory.request_bytes.to_usize(),
        response_bytes_max: settings.memory.response_bytes.to_usize(),
        log_dir: settings.storage.data.to_string(),
        ..KafkaSettings::default()
    }
}

pub(crate) fn kafka_listener(settings: &Settings) -> ListenerSettings {
    ListenerSettings {
        connections_max: settings.kafka.connections_max as usize,
        proxy_protocol: settings.kafka.proxy_protocol,
        ..ListenerSettings::default()
    }
}

pub(crate) fn sqs(settings: &Settings, access_keys: AccessKeys) -> SqsSettings {
    let sqs = &settings.sqs;
    SqsSettings {
        region: sqs.region.to_string(),
        access_keys,
        deleted_name_wait: Duration::from_millis(sqs.deleted_name_wait_ms),
        request_bytes_max: settings.memory.request_bytes.to_usize(),
        response_bytes_max: settings.memory.response_bytes.to_usize(),
        ..SqsSettings::default()
    }
}

pub(crate) fn sqs_listener(settings: &Settings) -> ListenerSettings {
    ListenerSettings {
        connections_max: settings.sqs.connections_max as usize,
        proxy_protocol: settings.sqs.proxy_protocol,
        ..ListenerSettings::default()
    }
}

/// Health probes and scrapes need few connections.
pub(crate) fn http_listener() -> ListenerSettings {
    ListenerSettings {
        connections_max: 256,
        ..ListenerSettings::default()
    }
}
