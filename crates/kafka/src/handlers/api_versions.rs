//! ApiVersions 0-4 (KIP-35, KIP-511): what is served. The first request of every client.

use levada_wire_kafka::messages::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use levada_wire_kafka::{ApiKey, ErrorCode, Message};

use crate::call::Call;
use crate::dispatch::{Handling, Incoming, advertised_apis};

/// The first version in which the client names its software.
const SOFTWARE_FROM: i16 = 3;

pub fn handle(incoming: Incoming) -> Handling {
    Box::pin(async move {
        let served = ApiKey::ApiVersions.advertised_versions();
        if !served.is_some_and(|served| served.contains(&incoming.call.version)) {
            return Ok(refuse_version(&incoming.call).into());
        }
        let (call, request) = incoming.decode()?;
        Ok(call.frame(&answer(&call, &request)).into())
    })
}

/// Any client can read version 0; it names the versions of this API, so that the client can ask
/// again (KIP-511).
fn refuse_version(call: &Call) -> levada_wire_kafka::Frame {
    let response = ApiVersionsResponse {
        error_code: call.code(ErrorCode::UnsupportedVersion),
        api_keys: advertised_apis()
            .into_iter()
            .filter(|(key, _)| *key == ApiKey::ApiVersions)
            .map(|(key, versions)| row(key, *versions.start(), *versions.end()))
            .collect(),
        ..Default::default()
    };
    call.frame_with(|writer| response.encode(writer, 0))
}

fn row(key: ApiKey, min_version: i16, max_version: i16) -> ApiVersion {
    ApiVersion {
        api_key: key.code(),
        min_version,
        max_version,
    }
}

fn answer(call: &Call, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    let (name, version) = (
        &request.client_software_name,
        &request.client_software_version,
    );
    if call.version >= SOFTWARE_FROM {
        if !is_software(name) || !is_software(version) {
            return ApiVersionsResponse {
                error_code: call.code(ErrorCode::InvalidRequest),
                ..Default::default()
            };
        }
        let software = (name.to_string(), version.to_string());
        let _ = call.peer.client.software.set(software);
    }
    ApiVersionsResponse {
        api_keys: advertised_apis()
            .into_iter()
            .map(|(key, versions)| row(key, *versions.start(), *versions.end()))
            .collect(),
        ..Default::default()
    }
}

/// Letters, digits, `.` and `-`, the latter two not at the ends (KIP-511).
fn is_software(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || b".-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::is_software;

    #[test]
    fn software_names_follow_kip_511() {
        for good in ["a", "apache-kafka-java", "4.1.0", "librdkafka", "x--y"] {
            assert!(is_software(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a_b", "é"] {
            assert!(!is_software(bad), "{bad}");
        }
    }
}
