//! Plain HTTP/1.1 under the S3 client. The client's own choice is built with a TLS stack or not at
//! all; whoever calls bounds each request in time.

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, Error, connect},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    ClientOptions, Result,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
};

/// Makes clients, each with connections of its own.
#[derive(Debug)]
pub(super) struct PlainHttp;

impl HttpConnector for PlainHttp {
    fn connect(&self, _options: &ClientOptions) -> Result<HttpClient> {
        let mut tcp = connect::HttpConnector::new();
        tcp.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(tcp);
        Ok(HttpClient::new(Connections(client)))
    }
}

#[derive(Debug)]
struct Connections(Client<connect::HttpConnector, HttpRequestBody>);

#[async_trait]
impl HttpService for Connections {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.0.request(request).await.map_err(failed)?;
        let (parts, body) = response.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

fn failed(error: Error) -> HttpError {
    let kind = match error.is_connect() {
        true => HttpErrorKind::Connect,
        false => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
