//! How a connection starts: versions and SASL.

use bytes::Bytes;

use crate::table::message;
use crate::types::KStr;

message! {
    /// Asks which APIs the server has (KIP-511).
    message ApiVersionsRequest, flexible 3 {
        client_software_name:    KStr, 3..;
        client_software_version: KStr, 3..;
    }

    /// APIs with their versions. Its header is always version 0.
    message ApiVersionsResponse, flexible 3 {
        error_code:               i16,                      0..;
        api_keys:                 Vec<ApiVersion>,          0..;
        throttle_time_ms:         i32,                      1..;
        supported_features:       Vec<SupportedFeatureKey>, 3.., tag 0;
        finalized_features_epoch: i64,                      3.., default -1, tag 1;
        finalized_features:       Vec<FinalizedFeatureKey>, 3.., tag 2;
        zk_migration_ready:       bool,                     3.., tag 3;
    }

    part ApiVersion {
        api_key:     i16, 0..;
        min_version: i16, 0..;
        max_version: i16, 0..;
    }

    part SupportedFeatureKey {
        name:        KStr, 3..;
        min_version: i16,  3..;
        max_version: i16,  3..;
    }

    part FinalizedFeatureKey {
        name:              KStr, 3..;
        max_version_level: i16,  3..;
        min_version_level: i16,  3..;
    }

    /// Picks a SASL mechanism (KIP-43).
    message SaslHandshakeRequest, flexible NEVER {
        mechanism: KStr, 0..;
    }

    /// Mechanisms that the server has.
    message SaslHandshakeResponse, flexible NEVER {
        error_code: i16,       0..;
        mechanisms: Vec<KStr>, 0..;
    }

    /// One step of a SASL exchange (KIP-152).
    message SaslAuthenticateRequest, flexible 2 {
        auth_bytes: Bytes, 0..;
    }

    /// The server's answer to one step (KIP-368).
    message SaslAuthenticateResponse, flexible 2 {
        error_code:          i16,          0..;
        error_message:       Option<KStr>, 0.., default Some(KStr::new());
        auth_bytes:          Bytes,        0..;
        session_lifetime_ms: i64,          1..;
    }
}
