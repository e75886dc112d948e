//! The compose file of several nodes: no container engine runs here. It is YAML, what it names exists, and chatfold takes
//! each command and setting in it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::process::Command;

const FILE: &str = "docs/deploy/compose.yaml";

/// The file, with its anchors put in. `None`: there is no Python with a YAML parser.
fn compose() -> Option<Value> {
    let python = std::env::var("CHATFOLD_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new(&python).args(["-c", script, FILE]).output();
    match output {
        Ok(output) if output.status.success() => Some(serde_json::from_slice(&output.stdout).unwrap()),
        told => {
            let words = told.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
            assert!(words.is_empty() || words.contains("No module named"), "{words}");
            assert!(std::env::var("CHATFOLD_PYTHON").is_err(), "{python} has no module yaml: {words}");
            eprintln!("SKIPPED: there is no Python with the module yaml");
            None
        }
    }
}

fn keys(map: &Value) -> Vec<String> {
    map.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().map(|list| list.iter().map(|it| it.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
}

/// Names and services that run this image.
fn of<'a>(compose: &'a Value, image: &str) -> Vec<(&'a String, &'a Value)> {
    compose["services"].as_object().unwrap().iter().filter(|(_, it)| it["image"] == image).collect()
}

#[test]
fn the_compose_file_names_only_what_it_has() {
    let Some(compose) = compose() else { return };
    let (services, volumes) = (keys(&compose["services"]), keys(&compose["volumes"]));
    let (secrets, configs) = (keys(&compose["secrets"]), keys(&compose["configs"]));
    let mut used: Vec<String> = Vec::new();
    for (name, service) in compose["services"].as_object().unwrap() {
        assert!(keys(&service["depends_on"]).iter().all(|it| services.contains(it)), "{name}: depends_on");
        assert!(texts(&service["secrets"]).iter().all(|it| secrets.contains(it)), "{name}: secrets");
        for config in service["configs"].as_array().into_iter().flatten() {
            assert!(configs.contains(&config["source"].as_str().unwrap().to_owned()), "{name}: configs");
        }
        used.extend(texts(&service["volumes"]).iter().map(|it| it.split(':').next().unwrap().to_owned()));
        // A secret that is named in a setting is mounted.
        for value in service["environment"].as_object().unwrap().values().filter_map(Value::as_str) {
            if let Some(secret) = value.strip_prefix("/run/secrets/") {
                assert!(texts(&service["secrets"]).contains(&secret.to_owned()), "{name}: {secret}");
            }
        }
    }
    used.sort();
    assert_eq!(used, volumes, "each service has a volume of its own");
    let postgres = of(&compose, "postgres:17");
    assert_eq!(postgres.len(), 3);
    for (name, server) in &postgres {
        let names = "synchronous_standby_names=ANY 1 (s1, s2, s3)";
        assert!(texts(&server["command"]).contains(&names.to_owned()), "{name}");
        let standby = server["environment"]["STANDBY"].as_str();
        assert!(standby.is_none_or(|standby| names.contains(standby)), "{name}");
    }
}

#[test]
fn chatfold_takes_every_command_and_every_setting_of_the_compose_file() {
    let Some(compose) = compose() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = 0;
    for (name, service) in of(&compose, "chatfold") {
        let command = texts(&service["command"]);
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        assert_eq!(support::chatfold(&words).0, 0, "{name}: {words:?}");
        let mut config = Command::new(env!("CARGO_BIN_EXE_chatfold"));
        config.args(["config", "--json"]).current_dir(dir.path()).env_clear();
        for (key, value) in service["environment"].as_object().unwrap() {
            let mut value = value.as_str().unwrap().to_owned();
            if let Some(secret) = value.strip_prefix("/run/secrets/") {
                let path = dir.path().join(secret);
                std::fs::write(&path, "0123456789abcdef0123456789abcdef").unwrap();
                value = path.to_str().unwrap().to_owned();
            }
            config.env(key, value);
        }
        let output = config.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !err.contains("is not a setting"), "{name}: {err}");
        // Servers of the address are services of the file.
        let log = service["environment"]["CHATFOLD_LOG"].as_str().unwrap();
        let hosts = log.split('@').nth(1).unwrap().split('/').next().unwrap();
        let servers: Vec<&str> = of(&compose, "postgres:17").into_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(hosts.split(',').collect::<Vec<_>>(), servers, "{name}");
        if command == ["serve"] {
            nodes += 1;
            assert_eq!(service["hostname"].as_str(), Some(name.as_str()), "a node is known by its name");
        }
    }
    assert_eq!(nodes, 3);
}
