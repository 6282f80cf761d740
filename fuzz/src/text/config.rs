//! Configuration: a file's text, a variable's, a topic's setting, and the folder's identity.
//!
//! The first byte chooses the reader. For variables and settings the rest is `name=value`.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use levada_catalog::topic_config;
use levada_env::fault::FaultFs;
use levada_env::{Env, Fs};
use levada_kafka::Advertised;
use levada_server::config::{Layers, SETTINGS};
use levada_server::testing::cluster_id;

pub fn check(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match choice {
        0 => file(&text),
        1 => layers(&text),
        2 => setting(&text),
        3 => identity(rest),
        _ => advertised(&text),
    }
}

fn file(text: &str) {
    let loaded = Layers::default().combine(Some((Path::new("levada.toml"), text)));
    let Ok(loaded) = loaded else { return };
    assert_eq!(loaded.values.len(), SETTINGS.len());
    // What is shown of it, given back as flags, says the same.
    let flags = loaded.values.iter();
    let flags = flags.map(|(key, (value, _))| (key.clone(), value.clone()));
    let again = Layers {
        flags: flags.collect(),
        ..Layers::default()
    };
    let again = again.combine(None).expect("what we show can be read");
    for (key, (value, _)) in &loaded.values {
        assert_eq!(again.values[key].0, *value, "{key}");
    }
}

fn layers(text: &str) {
    let Some((name, value)) = text.split_once('=') else {
        return;
    };
    let pair = (name.to_owned(), value.to_owned());
    let environment = Layers {
        environment: vec![pair.clone()],
        ..Layers::default()
    };
    let flag = Layers {
        flags: vec![pair],
        ..Layers::default()
    };
    let _ = (environment.combine(None), flag.combine(None));
}

fn setting(text: &str) {
    let Some((name, value)) = text.split_once('=') else {
        return;
    };
    if let Ok(stored) = topic_config::check_value(name, value) {
        assert_eq!(topic_config::check_value(name, &stored), Ok(stored.clone()));
    }
}

/// The folder's identity as it was found is the folder's identity from then on.
fn identity(bytes: &[u8]) {
    let fs = FaultFs::new(1);
    let dir = Path::new("/data");
    fs.create_dir_all(dir).expect("memory");
    fs.write_atomic(&dir.join("identity.json"), bytes)
        .expect("memory");
    let runtime = crate::network::connection::runtime();
    let _entered = runtime.enter();
    let env = Env::simulated(1, Arc::new(fs));
    if let Ok(id) = cluster_id(&env, dir) {
        let again = cluster_id(&env, dir).expect("what was read reads again");
        assert_eq!(again, id);
    }
}

fn advertised(text: &str) {
    if let Ok(address) = Advertised::from_str(text) {
        assert_eq!(Advertised::from_str(&address.to_string()), Ok(address));
    }
}

/// A file with every setting, variables, topic settings, an identity, addresses.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |choice: u8, text: &str| [&[choice], text.as_bytes()].concat();
    let file = levada_server::config::document::default_toml();
    let lines = file.lines().filter(|line| !line.starts_with("# "));
    let file: String = lines
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    let mut seeds = vec![with(0, &file), with(0, "[kafka]\nlisten = \"off\"\n")];
    for row in SETTINGS {
        seeds.push(with(1, &format!("{}={}", row.environment(), row.default)));
    }
    for known in topic_config::DEFINITIONS {
        seeds.push(with(2, &format!("{}={}", known.name, known.default)));
    }
    seeds.push(with(
        3,
        "{\"format_version\":1,\"cluster_id\":\"4L6g3nShT-eMCtK--X86sw\",\"created_ms\":5}",
    ));
    seeds.push(with(4, "broker.example.com:9092"));
    seeds.push(with(4, "[2001:db8::1]:9092"));
    seeds
}
