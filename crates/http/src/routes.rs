//! What is answered at which path.

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::health::{Health, Phase};
use crate::metrics::Registry;

/// What OpenMetrics calls itself.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const HINT: &str = "Try /healthz, /readyz or /metrics. Kafka clients connect to another port: \
                    the banner of `levada serve` names it.\n";

#[derive(Clone)]
struct Shared {
    health: Health,
    registry: Registry,
}

/// The router of this listener.
pub(crate) fn router(health: Health, registry: Registry) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Shared { health, registry })
}

/// The process runs and answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Every listener accepts, and no stop has been asked for.
async fn readyz(State(shared): State<Shared>) -> Response {
    match shared.health.phase() {
        Phase::Ready => "ready\n".into_response(),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.registry.render() {
        Ok(page) => ([(header::CONTENT_TYPE, METRICS_TYPE)], page).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written\n",
        )
            .into_response(),
    }
}

async fn nothing_here(uri: Uri) -> Response {
    let text = format!("there is nothing at {}. {HINT}", uri.path());
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let text = format!("{} cannot be asked with {method}: use GET.\n", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}
