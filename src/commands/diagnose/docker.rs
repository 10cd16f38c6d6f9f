//! Docker beside the home: absent or mute is worth knowing, never a failure.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use super::Findings;
use crate::commands::{Context, infra};

/// How long the daemon may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Containers of MarketPrism's compose files.
const NAMES: [&str; 5] = [
    "marketprism-nats",
    "marketprism-clickhouse-hot",
    "marketprism-data-collector",
    "marketprism-hot-storage-service",
    "marketprism-cold-storage-service",
];

/// What Docker said.
#[derive(Serialize)]
pub(super) struct Docker {
    /// `absent`, `mute`, `refused` or `present`.
    state: &'static str,
    detail: String,
    /// Containers of MarketPrism's that run: their names.
    containers: Vec<String>,
}

/// Asks the daemon for the names of running containers.
pub(super) async fn ask(context: &Context) -> Docker {
    let path = context.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let program = path
        .split(':')
        .map(|folder| Path::new(folder).join("docker"))
        .find(|program| program.is_file());
    let Some(program) = program else {
        return Docker::new("absent", "there is no docker on the PATH");
    };
    let mut command = Command::new(program);
    command
        .args(["ps", "--format", "{{.Names}}\t{{.Label \"io.mprism.home\"}}"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(WITHIN, command.output()).await {
        Err(_) => Docker::new("mute", &format!("docker does not answer within {} s", WITHIN.as_secs())),
        Ok(Err(error)) => Docker::new("absent", &error.to_string()),
        Ok(Ok(output)) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Docker::new("refused", said.lines().next().unwrap_or("docker says nothing").trim())
        }
        Ok(Ok(output)) => {
            let names = String::from_utf8_lossy(&output.stdout).into_owned();
            let owner = infra::owner(&context.home);
            let is_this_homes = |line: &&str| line.split_once('\t').is_some_and(|(_, label)| label.trim() == owner);
            let others = names.lines().filter(|line| !is_this_homes(line));
            let others = others.map(|line| line.split('\t').next().unwrap_or(line).trim());
            Docker {
                containers: others.filter(|name| NAMES.contains(name)).map(str::to_owned).collect(),
                ..Docker::new("present", "")
            }
        }
    }
}

impl Docker {
    fn new(state: &'static str, detail: &str) -> Self {
        Self {
            state,
            detail: detail.to_owned(),
            containers: Vec::new(),
        }
    }
}

pub(super) fn judge(docker: &Docker, findings: &mut Findings) {
    match docker.state {
        "present" => {}
        "mute" => findings.warn(
            "docker_mute",
            "docker",
            docker.detail.clone(),
            "systemctl status docker",
        ),
        _ => findings.info(
            "docker_absent",
            "docker",
            format!("not usable, and not needed: {}", docker.detail),
        ),
    }
    for name in &docker.containers {
        let text = format!("a container of MarketPrism runs: {name}");
        findings.warn("marketprism_container", "docker", text, format!("docker stop {name}"));
    }
}
