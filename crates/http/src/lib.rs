//! The HTTP listener: health for probes and balancers, metrics for Prometheus.
//!
//! It knows no other listener. What `/metrics` shows is handed in as [`Collect`] by `server`, which
//! alone knows every part of the process.

mod health;
mod metrics;
mod routes;
mod serve;

pub use health::{Health, Phase};
pub use metrics::{Collect, Labels, Page, Registry};
pub use serve::{HttpSettings, serve};
