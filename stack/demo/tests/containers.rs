//! What runs the shop in containers agrees with the programs and the repository. No container is started here: the file is
//! read as a person would read it, and where a docker with compose is at hand, that one reads it, too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, CommandFactory, FromArgMatches};
use runtime::config::{Auth, FILE_SUFFIX, check_target};
use serde_json::{Map, Value};

/// Services that end by themselves, and so have nothing to be asked.
const RUN_ONCE: [&str; 1] = ["migrate"];

/// Where a container finds the secrets that it is given.
const SECRETS: &str = "/run/secrets/";

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The file, with what it says once and means several times written out.
fn compose() -> Value {
    serde_saphyr::from_str(&text("docker-compose.yml")).unwrap()
}

fn members<'a>(value: &'a Value, name: &str) -> &'a Map<String, Value> {
    value[name].as_object().unwrap_or_else(|| panic!("{name} is not there: {value}"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Secrets as the script makes them, in a folder that is not the repository's.
fn made_secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("containers/make-secrets");
    fs::create_dir(folder.path().join("containers")).unwrap();
    for file in ["make-secrets", "redis.acl"] {
        fs::copy(top().join("containers").join(file), folder.path().join("containers").join(file)).unwrap();
    }
    let read = || -> Vec<String> {
        let mut paths: Vec<_> =
            fs::read_dir(folder.path().join("secrets")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    };
    assert!(Command::new(&script).status().unwrap().success());
    let first = read();
    assert!(Command::new(&script).status().unwrap().success());
    assert_eq!(read(), first, "what is there stays as it is");
    folder
}

/// A value as compose would have it where nobody sets anything: `${NAME:-default}` is the default.
fn default_of(value: &str) -> &str {
    value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .map_or(value, |inner| inner.split_once(":-").unwrap_or_else(|| panic!("{value} has no default")).1)
}

/// The arguments that a service's environment stands for; secrets are read from the folder.
fn arguments(command: &clap::Command, service: &Value, secrets: &Path) -> Vec<String> {
    let mut arguments = vec![command.get_name().to_owned()];
    for (variable, value) in members(service, "environment") {
        let value = default_of(value.as_str().unwrap_or_else(|| panic!("{variable} is no text: write it in quotes")));
        let found = |name: &str| command.get_arguments().find(|argument| argument.get_env() == Some(name.as_ref()));
        let (argument, value) = match (found(variable), variable.strip_suffix(FILE_SUFFIX).and_then(found)) {
            (Some(argument), _) => (argument, value.replace(SECRETS, &format!("{}/", secrets.display()))),
            (None, Some(argument)) if argument.is_hide_env_values_set() => {
                let name = value.strip_prefix(SECRETS).unwrap_or_else(|| panic!("{variable} is no secret: {value}"));
                (argument, fs::read_to_string(secrets.join(name)).unwrap().trim_end().to_owned())
            }
            _ => panic!("{} does not know {variable}", command.get_name()),
        };
        arguments.push(format!("--{}={value}", argument.get_long().unwrap()));
    }
    arguments
}

#[test]
fn the_programs_take_what_they_are_told() {
    let (compose, folder) = (compose(), made_secrets());
    let secrets = folder.path().join("secrets");
    let api = api::ApiConfig::augment_args(clap::Command::new("api"));
    let (workers, sandbox) = (workers::WorkersConfig::command(), sandbox::SandboxConfig::command());
    let mut told = BTreeSet::new();
    for (name, service) in members(&compose, "services") {
        let Some(program) = texts(&service["command"]).first().copied().filter(|_| is_ours(service)) else {
            continue;
        };
        match program {
            // Applying the migrations takes less than serving.
            "api" if RUN_ONCE.contains(&name.as_str()) => drop(arguments(&api, service, &secrets)),
            "api" => {
                let matches = api.clone().try_get_matches_from(arguments(&api, service, &secrets)).unwrap();
                let config = api::ApiConfig::from_arg_matches(&matches).unwrap();
                let private = config.targets.allow_private_http_targets;
                let auth = config.auth.checked(config.door.api_addr, private).unwrap();
                assert!(matches!(auth, Auth::Jwt(_)) && config.auth.admin_token().is_some());
                assert!(!config.door.migrate_on_start, "that is done before");
                assert!(config.door.api_addr.ip().is_unspecified(), "the proxy must reach it");
            }
            "workers" => {
                let matches = workers.clone().try_get_matches_from(arguments(&workers, service, &secrets)).unwrap();
                let config = workers::WorkersConfig::from_arg_matches(&matches).unwrap();
                let alerts = config.alerts.alert_webhook_url.as_ref().map(|url| url.expose().to_owned());
                for url in [config.sync.order_sync_url, config.gateway.payment_gateway_url, alerts] {
                    let url = url.unwrap();
                    let (scheme, rest) = url.split_once("://").unwrap();
                    let host = rest.split([':', '/']).next();
                    check_target(scheme, host, config.targets.allow_private_http_targets).unwrap();
                }
                assert!(config.mails.smtp_url.is_some() && config.gateway.payment_gateway_secret.is_some());
            }
            "sandbox" => {
                let matches = sandbox.clone().try_get_matches_from(arguments(&sandbox, service, &secrets)).unwrap();
                let config = sandbox::SandboxConfig::from_arg_matches(&matches).unwrap();
                let options = sandbox::Options::try_from(config).unwrap();
                assert!(options.address.ip().is_unspecified() && options.smtp_address.ip().is_unspecified());
            }
            other => panic!("{name} runs {other}, which is none of our programs"),
        }
        told.insert(program);
    }
    assert_eq!(told, BTreeSet::from(["api", "sandbox", "workers"]));
}

fn is_ours(service: &Value) -> bool {
    service["image"].as_str().is_some_and(|image| image.starts_with("droplane:"))
}

#[test]
fn services_are_whole() {
    let compose = compose();
    let services = members(&compose, "services");
    let has_test = |name: &str| services[name]["healthcheck"]["test"].is_array();
    for (name, service) in services {
        assert!(is_fixed(service["image"].as_str().unwrap()), "the image of {name} may change by itself");
        assert!(service["restart"].is_string(), "{name} says nothing of its restart");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_string() && limits["memory"].is_string(), "{name} has no limits");
        assert_eq!(has_test(name), !RUN_ONCE.contains(&name.as_str()), "the health of {name}");
        if is_ours(service) {
            assert!(
                service["image"] == format!("droplane:{}", env!("CARGO_PKG_VERSION")),
                "{name} has another version"
            );
            assert!(service["read_only"] == true, "{name}");
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let condition = how["condition"].as_str().unwrap();
            let possible =
                if RUN_ONCE.contains(&other.as_str()) { "service_completed_successfully" } else { "service_healthy" };
            assert!(services.contains_key(other) && condition == possible, "{name} waits for {other}: {condition}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} lets others than this machine in at {port}");
        }
    }
    let builders: Vec<_> = services.iter().filter(|(_, service)| service["build"].is_string()).collect();
    assert!(matches!(&*builders, [(name, service)] if *name == "migrate" && is_ours(service)), "{builders:?}");
    for name in ["api", "workers"] {
        assert_eq!(services[name]["deploy"]["replicas"], 2, "{name}");
    }
    let redis = texts(&services["redis"]["command"]).join(" ");
    for demanded in
        ["--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction", "--maxmemory 1gb", "--aclfile"]
    {
        assert!(redis.contains(demanded), "{demanded} is not in {redis}");
    }
}

/// Whether the same name means the same image tomorrow, as far as names can say it: its tag has a whole version.
fn is_fixed(image: &str) -> bool {
    let tag = image.rsplit_once(':').map(|(_, tag)| tag);
    let mut parts = tag.unwrap_or_default().trim_start_matches('v').split(['.', '-']);
    let mut is_number = || parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    is_number() && is_number()
}

#[test]
fn only_versions_are_fixed() {
    let rows = [("a:1.2.3", true), ("a/b:v3.5.0", true), ("a:17.6-bookworm", true), ("a", false), ("a:latest", false)];
    for (image, meant) in rows.into_iter().chain([("a:17", false), ("a:bookworm-slim", false), ("host:5000/a", false)])
    {
        assert_eq!(is_fixed(image), meant, "{image}");
    }
}

#[test]
fn what_is_mounted_is_there() {
    let (compose, folder) = (compose(), made_secrets());
    let volumes = members(&compose, "volumes");
    let made = members(&compose, "secrets");
    for (name, service) in members(&compose, "services") {
        for mount in texts(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            let is_there =
                if source.starts_with('.') { top().join(source).exists() } else { volumes.contains_key(source) };
            assert!(is_there, "{name} mounts {source}, which is not there");
        }
        let given = texts(&service["secrets"]);
        for secret in &given {
            assert!(made.contains_key(*secret), "{name} is given {secret}, which is no secret");
        }
        let used = service.to_string();
        for secret in used.split(SECRETS).skip(1) {
            let secret: String = secret.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(given.contains(&&*secret), "{name} uses {secret}, which it is not given");
        }
    }
    for (name, secret) in made {
        let file = secret["file"].as_str().unwrap();
        let content = fs::read_to_string(folder.path().join(file)).unwrap_or_default();
        assert!(content.trim_end().len() >= 32, "{name} is made by nobody");
    }
    assert!(text(".gitignore").lines().any(|line| line == "/secrets"));
}

#[test]
fn the_image_is_made_of_everything_that_it_needs() {
    let (file, manifest, passed) = (text("Dockerfile"), text("Cargo.toml"), text(".dockerignore"));
    let copied = file.lines().any(|line| line == "COPY . .") && passed.lines().any(|line| line == "*");
    assert!(copied, "the list in .dockerignore says what goes into the image");
    let members = manifest.split_once("\nmembers = [").unwrap().1.split_once(']').unwrap().0;
    let folders = members.split('"').skip(1).step_by(2).map(|member| member.split('/').next().unwrap());
    for path in folders.chain(["Cargo.toml", "Cargo.lock", "migrations"]) {
        assert!(passed.lines().any(|line| line.strip_prefix('!') == Some(path)), ".dockerignore keeps {path} out");
    }
    for path in passed.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(top().join(path).exists(), ".dockerignore lets {path} in, which is not there");
    }
    for program in ["api", "workers", "sandbox"] {
        assert!(file.contains(&format!("--package {program}")) && file.contains(&format!("target/release/{program}")));
    }
    let from: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next()).collect();
    assert!(from.iter().all(|image| is_fixed(image)), "{from:?} may change by themselves");
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap();
    let demanded = manifest.split_once("rust-version = \"").unwrap().1.split('"').next().unwrap();
    assert!(minor(from[0].strip_prefix("rust:").unwrap()) >= minor(demanded), "{from:?} cannot compile {demanded}");
    assert!(file.lines().any(|line| line.starts_with("USER ")), "the programs run as root");
}

#[test]
fn compose_can_read_it() {
    let tools: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let run = |tool: &[&str], arguments: &[&str]| {
        Command::new(tool[0]).args(&tool[1..]).args(arguments).current_dir(top()).output()
    };
    let is_there = |tool: &&&[&str]| run(tool, &["version"]).is_ok_and(|output| output.status.success());
    let Some(tool) = tools.iter().find(is_there) else {
        stack::tell_skipped("no docker with compose is at hand");
        return;
    };
    let output = run(tool, &["config", "--quiet"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
