//! One HTTP request: which protocol, who asks, which action, and the answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use levada_env::Env;

use crate::actions::Action;
use crate::arrival::read_body;
use crate::auth::{Caller, Identity, Signed, authorize, verify};
use crate::call::{Call, Shared};
use crate::errors::{Code, Result, SqsError};
use crate::message::hex;
use crate::names;
use crate::protocol::{Fields, Protocol, Value, json, query, reply};

const TARGET: &str = "x-amz-target";
/// Before the action's name in the target.
const TARGET_PREFIX: &str = "AmazonSQS.";
const JSON_TYPE: &str = "application/x-amz-json-1.0";
const XML_TYPE: &str = "text/xml";
const REQUEST_ID: &str = "x-amzn-requestid";
/// Tells JSON clients the code that the query protocol has: old programs compare with it.
const QUERY_ERROR: &str = "x-amzn-query-error";

/// Answers one request, that came from one address to another.
pub async fn answer(
    shared: &Arc<Shared>,
    addresses: (SocketAddr, SocketAddr),
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let protocol = protocol_of(&head.headers);
    let request_id = request_id(&shared.env);
    let mut action = None;
    let result = work(shared, addresses, &head, body, &request_id, &mut action).await;
    match action {
        Some(action) => shared.metrics.answered(action, result.is_err()),
        None => shared.metrics.refused(),
    }
    let (body, status, legacy) = match result {
        Ok(answer) => (answer, StatusCode::OK, None),
        Err(error) => {
            let status = StatusCode::from_u16(error.code.status()).unwrap_or_default();
            let legacy = format!("{};{}", error.code.legacy_text(), error.code.fault().name());
            (
                reply::refusal(protocol, &error, &request_id),
                status,
                Some(legacy),
            )
        }
    };
    let mut response = Response::new(Full::new(shared.responses.count(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = match protocol {
        Protocol::Json => JSON_TYPE,
        Protocol::Query => XML_TYPE,
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    insert(headers, REQUEST_ID, &request_id);
    if let (Protocol::Json, Some(legacy)) = (protocol, legacy) {
        insert(headers, QUERY_ERROR, &legacy);
    }
    response
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Ours, and plain letters.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn protocol_of(headers: &HeaderMap) -> Protocol {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = content_type.is_some_and(|text| text.starts_with(b"application/x-amz-json"));
    match is_json || headers.contains_key(TARGET) {
        true => Protocol::Json,
        false => Protocol::Query,
    }
}

/// A random UUID.
fn request_id(env: &Env) -> String {
    let mut bytes = [0; 16];
    env.random_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// The answer's body; `known` tells the caller which action it was, once that is known.
async fn work(
    shared: &Arc<Shared>,
    (peer, local): (SocketAddr, SocketAddr),
    head: &Parts,
    body: Incoming,
    request_id: &str,
    known: &mut Option<Action>,
) -> Result<Vec<u8>> {
    if head.method != Method::POST && head.method != Method::GET {
        let message = format!("Requests are POST or GET here, not {}.", head.method);
        return Err(SqsError::new(Code::WrongMethod, message));
    }
    if shared.settings.access_keys.is_empty() && is_from_web_page(&head.headers) {
        let message = "Web pages are served only where requests must be signed \
                       (sqs.access_keys_file): any page could use the queues of who looks at it.";
        return Err(SqsError::new(Code::AccessDenied, message));
    }
    let protocol = protocol_of(&head.headers);
    let (body, permit) = read_body(shared, body).await?;
    let caller = Caller {
        who: authenticate(shared, head, &body)?,
        from: peer.ip(),
    };
    let call = Call {
        shared: Arc::clone(shared),
        host: host(&head.headers, local),
        path_queue: names::in_path(head.uri.path()).map(str::to_owned),
        caller,
    };
    let (action, work) = {
        let (action, value) = decode(protocol, head, &body)?;
        let fields = Fields::new(&value, protocol, &body);
        authorize(&call, action, fields)?;
        *known = Some(action);
        (action, action.begin(&call, fields, protocol, request_id)?)
    };
    drop(body);
    // A long poll holds nothing of its request; what is sent holds the body until it is stored.
    let permit = (action != Action::ReceiveMessage).then_some(permit);
    let _open = shared.metrics.open();
    let answer = work.await;
    drop(permit);
    answer
}

/// Browsers say where a request comes from; a person's own typing is `none`, and SDKs elsewhere
/// send neither header.
fn is_from_web_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    headers.contains_key(ORIGIN) || site.is_some_and(|site| site != b"none")
}

/// Who signed; `None`: nobody did, or nobody is asked to.
fn authenticate(shared: &Shared, head: &Parts, body: &Bytes) -> Result<Option<Arc<Identity>>> {
    let keys = &shared.settings.access_keys;
    if keys.is_empty() {
        return Ok(None);
    }
    let request = Signed {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body,
    };
    verify(keys, request, shared.env.now_ms())
}

/// The action and its fields.
fn decode<'b>(protocol: Protocol, head: &Parts, body: &'b Bytes) -> Result<(Action, Value<'b>)> {
    if protocol == Protocol::Json {
        let target = head
            .headers
            .get(TARGET)
            .and_then(|target| target.to_str().ok());
        let name = target.and_then(|target| target.strip_prefix(TARGET_PREFIX));
        let action = name
            .and_then(Action::named)
            .ok_or_else(|| unknown(target))?;
        return Ok((action, json::decode(body)?));
    }
    let mut pairs = query::pairs(head.uri.query().unwrap_or_default().as_bytes())?;
    pairs.extend(query::pairs(body)?);
    let named = pairs.iter().rev().find(|(name, _)| name == "Action");
    let name = named.map(|(_, action)| action.as_str());
    let action = name.and_then(Action::named).ok_or_else(|| unknown(name))?;
    Ok((action, query::tree(pairs)?))
}

fn unknown(name: Option<&str>) -> SqsError {
    let message = match name {
        Some(name) => {
            let shown: String = name.chars().take(100).collect();
            format!("The action {shown} is not valid for this endpoint.")
        }
        None => {
            "The request must name its action: this is the SQS listener of Levada; point an AWS \
                 SDK or `aws sqs --endpoint-url` at it."
                .to_owned()
        }
    };
    SqsError::new(Code::UnknownAction, message)
}

/// How the client calls us; what is no host is not repeated to it.
fn host(headers: &HeaderMap, local: SocketAddr) -> String {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let named = named.filter(|host| !host.is_empty() && host.bytes().all(legal));
    named.map_or_else(|| local.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_the_address_that_it_used() {
        let local: SocketAddr = "127.0.0.1:9324".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(host(&headers, local), "127.0.0.1:9324");
        headers.insert(HOST, HeaderValue::from_static("queues.example:80"));
        assert_eq!(host(&headers, local), "queues.example:80");
        headers.insert(HOST, HeaderValue::from_static("a/b?"));
        assert_eq!(host(&headers, local), "127.0.0.1:9324");
    }
}
