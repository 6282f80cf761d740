//! The service as a whole, on the machine's files and on files that fail.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_env::fault::{FaultFs, FaultPlan};
use levada_server::config::{Layers, Settings};
use levada_server::{Service, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn settings(dir: &Path, more: &[(&str, &str)]) -> Settings {
    let dir = dir.display().to_string();
    let mut flags = vec![
        ("storage.data".to_owned(), dir),
        ("kafka.listen".to_owned(), "127.0.0.1:0".to_owned()),
        ("http.listen".to_owned(), "127.0.0.1:0".to_owned()),
        ("sqs.listen".to_owned(), "127.0.0.1:0".to_owned()),
    ];
    flags.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let layers = Layers {
        flags,
        ..Layers::default()
    };
    layers.combine(None).unwrap().settings
}

async fn http(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_is_ready_counts_and_stops_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::real();
    let service = Service::start(env.clone(), settings(dir.path(), &[]))
        .await
        .unwrap();
    service.announce().await.unwrap();
    let address = service.addresses().http.unwrap();
    assert!(http(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let page = http(address, "/metrics").await;
    for name in [
        "levada_wal_sync_seconds_bucket",
        "levada_records_in_total",
        "levada_kafka_connections_total",
        "levada_groups ",
        "levada_build_info{version=",
    ] {
        assert!(page.contains(name), "{name} is not in\n{page}");
    }
    assert!(dir.path().join("ready.json").exists());
    let stopped = service.stop().await.unwrap();
    assert_eq!(stopped.connections_cut, 0);
    assert!(!dir.path().join("ready.json").exists());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_in_use_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Service::start(Env::real(), settings(dir.path(), &[]))
        .await
        .unwrap();
    first.announce().await.unwrap();
    let second = Service::start(Env::real(), settings(dir.path(), &[])).await;
    match second {
        Err(StartError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("two services on one folder"),
    }
    assert!(dir.path().join("ready.json").exists());
    first.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_gives_the_folder_back() {
    let dir = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let result = Service::start(
        Env::real(),
        settings(dir.path(), &[("kafka.listen", &address)]),
    )
    .await;
    assert!(matches!(result, Err(StartError::Bind("kafka", _))));
    let service = Service::start(Env::real(), settings(dir.path(), &[]))
        .await
        .unwrap();
    service.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_insecure() {
    let dir = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let open = settings(dir.path(), &[("kafka.listen", address)]);
        let error = Service::start(Env::real(), open).await.err().unwrap();
        assert!(matches!(error, StartError::Open("kafka", _)), "{error}");
        assert!(error.to_string().contains("--insecure"));
    }
    let open = [("http.listen", "0.0.0.0:0"), ("server.insecure", "true")];
    let service = Service::start(Env::real(), settings(dir.path(), &open))
        .await
        .unwrap();
    assert!(service.banner().contains("WARNING: --insecure"));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_banner_warns_where_clients_would_be_sent_astray_and_of_acks_before_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let wide = [
        ("kafka.listen", "0.0.0.0:0"),
        ("server.insecure", "true"),
        ("storage.durability", "os"),
    ];
    let service = Service::start(Env::real(), settings(dir.path(), &wide))
        .await
        .unwrap();
    let banner = service.banner();
    assert!(banner.contains("kafka.advertised is"), "{banner}");
    assert!(banner.contains("BEFORE THE RECORD IS ON DISK"), "{banner}");
    service.stop().await.unwrap();
    let service = Service::start(Env::real(), settings(dir.path(), &[]))
        .await
        .unwrap();
    assert!(!service.banner().contains("WARNING"));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_told_at_once() {
    let files = Arc::new(FaultFs::new(1));
    let env = Env::real().with_fs(Arc::clone(&files) as _);
    let settings = settings(Path::new("/data"), &[]);
    let service = Service::start(env.clone(), settings).await.unwrap();
    let kafka = service.addresses().kafka.unwrap();
    // Every one: the next could be that of a file which is only being prepared.
    files.set_plan(FaultPlan {
        sync_error_one_in: 1,
        ..FaultPlan::default()
    });
    // A request that writes: InitProducerId, version 0, from no transactional id.
    let mut request = vec![0, 0, 0, 20, 0, 22, 0, 0, 0, 0, 0, 1, 0, 4];
    request.extend(b"test");
    request.extend([0xff, 0xff, 0, 0, 0xea, 0x60]);
    let mut stream = TcpStream::connect(kafka).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let why = env
        .timeout(Duration::from_secs(10), service.failed())
        .await
        .unwrap();
    assert!(why.contains("must stop"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_may_stand_open_where_clients_must_sign() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    let path = file.display().to_string();
    let open = ("sqs.listen", "0.0.0.0:0");
    let with_keys = [open, ("sqs.access_keys_file", path.as_str())];
    let start = |more: &[(&str, &str)]| Service::start(Env::real(), settings(dir.path(), more));
    let error = start(&[open]).await.err().unwrap();
    assert!(matches!(error, StartError::Open("sqs", _)), "{error}");
    let error = start(&with_keys).await.err().unwrap();
    assert!(matches!(error, StartError::Keys(..)), "{error}");
    // A file that holds no key must not open it to everybody.
    std::fs::write(&file, "# none\n").unwrap();
    let error = start(&with_keys).await.err().unwrap();
    assert!(error.to_string().contains("no key"), "{error}");
    std::fs::write(&file, "AKID secret\n").unwrap();
    let service = start(&with_keys).await.unwrap();
    let mut address = service.addresses().sqs.unwrap();
    address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    let answer = http(address, "/?Action=ListQueues").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("MissingAuthenticationToken"), "{answer}");
    assert!(service.banner().contains("aws sqs"));
    service.stop().await.unwrap();
}
