//! Docker beside the home: absent or mute is worth knowing, never a failure.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use super::Findings;
use crate::commands::Context;
use crate::commands::take_over::{ItsContainer, in_containers};
use crate::control::TAKE_OVER;

/// How long the daemon may take.
const WITHIN: Duration = Duration::from_secs(5);

/// What Docker said.
#[derive(Serialize)]
pub(super) struct Docker {
    /// `absent`, `mute`, `refused` or `present`.
    state: &'static str,
    detail: String,
    /// Containers of MarketPrism's that run: their names.
    containers: Vec<String>,
    #[serde(skip)]
    pub(super) found: Vec<ItsContainer>,
}

/// Asks the daemon how it is, and which of MarketPrism's containers run.
pub(super) async fn ask(context: &Context) -> Docker {
    let (docker, found) = tokio::join!(client(context), tokio::time::timeout(WITHIN, in_containers(context)));
    // Why the engine does not answer is told by what its own client says.
    let mut found = found.ok().and_then(Result::ok).unwrap_or_default();
    found.retain(ItsContainer::is_up);
    Docker {
        containers: found.iter().map(|its| its.container.clone()).collect(),
        found,
        ..docker
    }
}

/// Asks as an operator does.
async fn client(context: &Context) -> Docker {
    let path = context.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let program = path
        .split(':')
        .map(|folder| Path::new(folder).join("docker"))
        .find(|program| program.is_file());
    let Some(program) = program else {
        return Docker::new("absent", "there is no docker on the PATH");
    };
    let mut command = Command::new(program);
    command.args(["ps", "--quiet"]).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(WITHIN, command.output()).await {
        Err(_) => Docker::new("mute", &format!("docker does not answer within {} s", WITHIN.as_secs())),
        Ok(Err(error)) => Docker::new("absent", &error.to_string()),
        Ok(Ok(output)) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Docker::new("refused", said.lines().next().unwrap_or("docker says nothing").trim())
        }
        Ok(Ok(_)) => Docker::new("present", ""),
    }
}

impl Docker {
    fn new(state: &'static str, detail: &str) -> Self {
        Self {
            state,
            detail: detail.to_owned(),
            containers: Vec::new(),
            found: Vec::new(),
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
    for its in &docker.found {
        let (name, image, what) = (&its.container, &its.image, its.part.text());
        let text = format!("a MarketPrism runs: its {what}, container {name} of {image}");
        findings.error("marketprism", "docker", text, TAKE_OVER);
    }
}
