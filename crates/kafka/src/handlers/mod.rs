//! One file for each API: its message in, a call of the engine, its message out.

mod api_versions;
pub mod groups;

use crate::dispatch::{Api, now};

const APIS: &[Api] = &[Api {
    key: levada_wire_kafka::ApiKey::ApiVersions,
    handle: api_versions::handle,
}];

/// Every API that is served.
pub fn apis() -> impl Iterator<Item = &'static Api> {
    APIS.iter().chain(groups::APIS)
}
