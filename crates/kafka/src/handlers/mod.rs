//! One file for each API: its message in, a call of the engine, its message out.

mod api_versions;
mod fetch;
pub mod groups;
mod metadata;
mod produce;

use levada_wire_kafka::ApiKey;

use crate::dispatch::{Api, later, now};

const APIS: &[Api] = &[
    Api {
        key: ApiKey::Produce,
        handle: produce::handle,
    },
    later!(Fetch => fetch::handle),
    now!(Metadata => metadata::handle),
    Api {
        key: ApiKey::ApiVersions,
        handle: api_versions::handle,
    },
];

/// Every API that is served.
pub fn apis() -> impl Iterator<Item = &'static Api> {
    APIS.iter().chain(groups::APIS)
}
