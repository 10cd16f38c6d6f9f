//! The way to a home's supervisor: connecting, starting one where none runs, trying again where one leaves.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

use super::{LOOK_EVERY, WORK_TRIES, is_held, living};
use crate::control::deployment::Deployment;
use crate::control::error::ControlError;
use crate::control::events::{Event, Observer, Silent};
use crate::control::log_tail::tail_of;
use crate::control::paths::HomePaths;
use crate::control::protocol::{Message, Outcome, Request, receive, send};
use crate::control::service::Service;
use crate::control::supervisor::{allowed_environment, open_output, socket_place};

/// How long a supervisor may take to answer first.
const SUPERVISOR_WITHIN: Duration = Duration::from_secs(10);
/// The exit code of a supervisor that finds another one.
const REFUSED: i32 = 4;

/// Has a request done, by the next supervisor where one leaves or dies over it: what it asks for is the same each time.
pub(super) async fn work(
    paths: &HomePaths,
    deployment: &Deployment,
    request: &Request,
    observer: &mut dyn Observer,
) -> Result<Vec<Outcome>, ControlError> {
    let mut tries = 1;
    loop {
        let mut connection = ensure_supervisor(paths, deployment, observer).await?;
        match connection.work(request, observer).await {
            Err(ControlError::Connection(_)) if tries < WORK_TRIES => tries += 1,
            done => return done,
        }
    }
}

/// Asks how everything is.
pub(super) async fn ask_status(paths: &HomePaths, deployment: &Deployment) -> Result<Message, ControlError> {
    let mut connection = ensure_supervisor(paths, deployment, &mut Silent).await?;
    connection.send(&Request::Status).await?;
    connection.receive().await
}

/// A conversation with the supervisor.
struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// Asks the supervisor that runs, if one does; starts none.
pub(in crate::control) async fn ask_running(paths: &HomePaths) -> Option<Message> {
    let mut connection = connect(paths).await.ok()?;
    connection.send(&Request::Status).await.ok()?;
    connection.receive().await.ok()
}

async fn connect(paths: &HomePaths) -> io::Result<Connection> {
    let place = socket_place(paths)?;
    let (reader, writer) = UnixStream::connect(place.path()).await?.into_split();
    Ok(Connection {
        reader: BufReader::new(reader),
        writer,
    })
}

impl Connection {
    async fn send(&mut self, request: &Request) -> Result<(), ControlError> {
        send(&mut self.writer, request).await.map_err(ControlError::Connection)
    }

    async fn receive(&mut self) -> Result<Message, ControlError> {
        let received = receive(&mut self.reader).await.map_err(ControlError::Connection)?;
        received.ok_or_else(|| ControlError::Connection(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Sends a request that takes time, and shows what happens until it is done.
    async fn work(&mut self, request: &Request, observer: &mut dyn Observer) -> Result<Vec<Outcome>, ControlError> {
        self.send(request).await?;
        loop {
            match self.receive().await? {
                Message::Event(event) => observer.event(&event),
                Message::Done { outcomes } => return Ok(outcomes),
                Message::Refused { reason } => return Err(ControlError::Refused { reason }),
                Message::Status { .. } => {}
            }
        }
    }
}

/// Connects to the home's supervisor, starting one where none runs.
async fn ensure_supervisor(
    paths: &HomePaths,
    deployment: &Deployment,
    observer: &mut dyn Observer,
) -> Result<Connection, ControlError> {
    if let Ok(connection) = connect(paths).await {
        return Ok(connection);
    }
    let alive: Vec<Service> = living(paths, deployment)
        .into_iter()
        .map(|(service, _)| service)
        .collect();
    if !alive.is_empty() {
        observer.event(&Event::SupervisorDied { alive });
    }
    let home = |action: &'static str| {
        let path = paths.logs();
        move |source| ControlError::Home { action, path, source }
    };
    let output_path = paths.logs().join("supervisor.out");
    let output = open_output(&output_path).map_err(home("write into"))?;
    let spawn = || -> Result<Child, ControlError> {
        let failed = |source| ControlError::Supervisor {
            reason: format!("{}: {source}", deployment.program.display()),
        };
        Command::new(&deployment.program)
            .args(["worker", "supervisor"])
            .args(&deployment.global_flags)
            .env_clear()
            .envs(allowed_environment())
            .current_dir(paths.home())
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output.try_clone().map_err(failed)?)
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(failed)
    };
    let began = Instant::now();
    let mut child: Option<Child> = None;
    loop {
        if let Ok(connection) = connect(paths).await {
            let pid = child.as_ref().and_then(Child::id).unwrap_or_default();
            observer.event(&Event::SupervisorStarted { pid });
            return Ok(connection);
        }
        let has_lock = is_held(&paths.supervisor_lock());
        let ended = match child.as_mut() {
            Some(child) => child.try_wait().map_err(ControlError::Connection)?,
            None => None,
        };
        match (&mut child, ended) {
            // One that leaves still holds the lock; one that another command started answers soon.
            (None, _) if !has_lock => child = Some(spawn()?),
            // It found the lock taken by the one that left meanwhile.
            (Some(_), Some(status)) if !has_lock && status.code() == Some(REFUSED) => child = None,
            (Some(_), Some(status)) if !has_lock => return Err(lost(&status.to_string(), &output_path)),
            _ if began.elapsed() >= SUPERVISOR_WITHIN => return Err(lost("it does not answer", &output_path)),
            _ => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn lost(how: &str, output: &Path) -> ControlError {
    let said = tail_of(output, 3).join("; ");
    ControlError::Supervisor {
        reason: format!("{how} {said}").trim().to_owned(),
    }
}
