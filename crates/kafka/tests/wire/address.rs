//! Which address Metadata names: the advertised one, the PROXY header's, else the socket's.

use levada_kafka::{Advertised, KafkaSettings};
use levada_net::ListenerSettings;
use levada_wire_kafka::messages::{DescribeClusterRequest, MetadataRequest};
use tokio::io::AsyncWriteExt;

use crate::support::*;

async fn named(client: &mut Client) -> (String, i32) {
    let answer = client.call(&metadata(&[]), 9).await;
    let broker = &answer.brokers[0];
    let same = client.call(&DescribeClusterRequest::default(), 0).await;
    assert_eq!(
        (&same.brokers[0].host, same.brokers[0].port),
        (&broker.host, broker.port)
    );
    (broker.host.to_string(), broker.port)
}

fn behind_proxy() -> ListenerSettings {
    ListenerSettings {
        proxy_protocol: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn clients_are_told_the_address_that_they_connected_to() {
    let service = start().await;
    let mut client = service.connect().await;
    let port = i32::from(service.address.port());
    assert_eq!(named(&mut client).await, ("127.0.0.1".to_owned(), port));
}

#[tokio::test]
async fn behind_a_proxy_it_is_the_proxys_address() {
    let service = start_on(KafkaSettings::default(), behind_proxy()).await;
    let mut client = service.connect().await;
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 9092\r\n";
    // In one write with the first request: not a byte of it may be lost.
    let request = frame(&MetadataRequest::default(), 9, 1);
    client
        .stream
        .write_all(&[&header[..], &request].concat())
        .await
        .unwrap();
    let answer = client.receive::<MetadataRequest>(9, 1).await;
    assert_eq!(answer.brokers[0].host, "198.51.100.1");
    assert_eq!(named(&mut client).await, ("198.51.100.1".to_owned(), 9092));
    let peer = service.listener.clients().list()[0].peer;
    assert_eq!(peer.to_string(), "192.0.2.7:5000");
}

#[tokio::test]
async fn the_advertised_address_comes_before_all_others() {
    let settings = KafkaSettings {
        advertised: Some(Advertised {
            host: "kafka.example.com".to_owned(),
            port: 19092,
        }),
        ..Default::default()
    };
    let service = start_on(settings, behind_proxy()).await;
    let mut client = service.connect().await;
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 9092\r\n";
    client.stream.write_all(header).await.unwrap();
    assert_eq!(
        named(&mut client).await,
        ("kafka.example.com".to_owned(), 19092)
    );
}
