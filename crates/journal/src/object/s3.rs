//! A bucket over S3's protocol.

use std::sync::Arc;

use levada_env::{
    Env,
    port::{PortError, PortResult},
};
use object_store::{
    ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
};

use super::{ObjectJournal, ObjectSettings, http::PlainHttp, signing::Signing};

/// Where the bucket is, and who asks.
#[derive(Clone)]
pub struct S3Settings {
    /// `http://host:port` of a server that speaks S3. Without TLS: its stack comes with the mode that
    /// is the first to need it.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// Opens a journal in a bucket that exists.
///
/// # Errors
/// `Rejected` when the settings are wrong, or as [`ObjectJournal::open`].
pub async fn open_s3(
    env: Env,
    s3: &S3Settings,
    settings: ObjectSettings,
) -> PortResult<ObjectJournal> {
    ObjectJournal::open(env, s3_store(s3)?, settings).await
}

/// The bucket itself, for what a journal does not do. It does not retry.
///
/// # Errors
/// `Rejected` when the settings are wrong.
pub fn s3_store(s3: &S3Settings) -> PortResult<Arc<dyn ObjectStore>> {
    // The journal retries by itself, because only it can tell its own object from another's.
    let no_retries = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    if !s3.endpoint.starts_with("http://") {
        return Err(PortError::Rejected(format!(
            "the bucket at {}: only http:// is spoken as yet",
            s3.endpoint
        )));
    }
    let store = AmazonS3Builder::new()
        .with_endpoint(&s3.endpoint)
        .with_allow_http(true)
        .with_http_connector(PlainHttp)
        .with_crypto_provider(Arc::new(Signing))
        .with_region(&s3.region)
        .with_bucket_name(&s3.bucket)
        .with_access_key_id(&s3.access_key_id)
        .with_secret_access_key(&s3.secret_access_key)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_retry(no_retries)
        .build()
        .map_err(|error| PortError::Rejected(format!("the bucket's settings: {error}")))?;
    Ok(Arc::new(store))
}
