//! What the loop waits for, each in a task of its own that ends by telling the loop.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use mprism_runtime::process::PidFd;
use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::settle;
use crate::control::deployment::UnitSpec;
use crate::control::paths::HomePaths;
use crate::control::probe::{Answer, ProbeSpec, ask};
use crate::control::protocol::{Message, Request, receive, send};
use crate::control::rebuilding::bar;
use crate::control::service::Service;

/// Answers that may wait for a client to read them.
const REPLIES: usize = 1_024;
/// How long a probe may take.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// Between the first probes of a starting service; doubled each time…
const PROBE_FIRST: Duration = Duration::from_millis(5);
/// …up to this.
const PROBE_STARTING: Duration = Duration::from_millis(100);

/// Between two looks at what keeps a service from starting.
const BAR_EVERY: Duration = Duration::from_millis(50);

/// What the loop takes.
pub(super) enum Input {
    Request(Request, mpsc::Sender<Message>),
    Probed(Service, u64, Answer),
    Exited(Service, u64, String),
    Settled(Service, u64, Option<String>),
    /// The wait before a restart is over.
    Again(Service, u64),
    DrainOver(Service, u64),
    /// What kept a service from starting is over.
    Unbarred,
    /// Nothing but time has passed.
    Look,
}

/// Where the socket is: a path that fits into a socket's address whatever the home is called.
pub(in crate::control) struct SocketPlace {
    path: PathBuf,
    /// Keeps the path of a long home valid.
    _folder: Option<File>,
}

impl SocketPlace {
    pub(in crate::control) fn path(&self) -> &std::path::Path {
        &self.path
    }
}

/// Returns the place of a home's socket.
pub(in crate::control) fn socket_place(paths: &HomePaths) -> io::Result<SocketPlace> {
    /// Addresses of Unix sockets hold 108 bytes, the last one zero.
    const LONGEST: usize = 107;
    let path = paths.run().join(HomePaths::socket_name());
    if path.as_os_str().len() <= LONGEST {
        return Ok(SocketPlace { path, _folder: None });
    }
    let folder = File::open(paths.run())?;
    let path = PathBuf::from(format!(
        "/proc/self/fd/{}/{}",
        folder.as_raw_fd(),
        HomePaths::socket_name()
    ));
    Ok(SocketPlace {
        path,
        _folder: Some(folder),
    })
}

/// Takes clients until the supervisor leaves; what they were told by then still reaches them.
pub(super) async fn accept(
    listener: UnixListener,
    inputs: mpsc::Sender<Input>,
    clients: TaskTracker,
    leaving: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = leaving.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                clients.spawn(client(stream, inputs.clone(), leaving.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "no client can be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn client(stream: UnixStream, inputs: mpsc::Sender<Input>, leaving: CancellationToken) {
    // Only our own user gets this far: the socket's folder is ours alone.
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let request = tokio::select! {
            biased;
            () = leaving.cancelled() => return,
            request = receive::<Request>(&mut reader) => request,
        };
        let Ok(Some(request)) = request else { return };
        let (sender, mut replies) = mpsc::channel(REPLIES);
        if inputs.send(Input::Request(request, sender)).await.is_err() {
            return;
        }
        while let Some(message) = replies.recv().await {
            if send(&mut writer, &message).await.is_err() {
                return;
            }
        }
    }
}

/// Tells when a child ends, and how.
pub(super) fn watch_child(inputs: mpsc::Sender<Input>, service: Service, life: u64, mut child: Child) {
    tokio::spawn(async move {
        let how = match child.wait().await {
            Ok(status) => in_words(status),
            Err(error) => format!("ended ({error})"),
        };
        let _over = inputs.send(Input::Exited(service, life, how)).await;
    });
}

/// Tells when an adopted process ends; how it ended is another one's to know.
pub(super) fn watch_process(inputs: mpsc::Sender<Input>, service: Service, life: u64, handle: Arc<PidFd>) {
    tokio::spawn(async move {
        if let Err(error) = handle.wait_exited().await {
            tracing::error!(%service, %error, "the process cannot be watched");
        }
        let _over = inputs.send(Input::Exited(service, life, "ended".into())).await;
    });
}

/// Tells that a process ended before it could be watched.
pub(super) fn exited(inputs: mpsc::Sender<Input>, service: Service, life: u64) {
    tokio::spawn(async move {
        let _over = inputs.send(Input::Exited(service, life, "ended".into())).await;
    });
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

/// Asks a service until its life is over: often while it starts, then now and then.
pub(super) fn probe(
    inputs: mpsc::Sender<Input>,
    service: Service,
    life: u64,
    spec: ProbeSpec,
    every: Duration,
    over: CancellationToken,
) {
    tokio::spawn(async move {
        let mut wait = PROBE_FIRST;
        loop {
            let answer = tokio::select! {
                biased;
                () = over.cancelled() => return,
                answer = ask(&spec, PROBE_WITHIN) => answer,
            };
            wait = if answer.ready {
                every
            } else {
                (wait * 2).min(PROBE_STARTING)
            };
            if inputs.send(Input::Probed(service, life, answer)).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                () = over.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    });
}

/// Ends what a process left behind and tells when that is done.
pub(super) fn settle(inputs: mpsc::Sender<Input>, spec: UnitSpec, life: u64, group: Option<u32>, ports_too: bool) {
    tokio::spawn(async move {
        let settled = settle::settle(&spec, group, ports_too).await;
        for process in &settled.ended {
            let exe = process.exe.display();
            tracing::info!(service = %spec.service, pid = process.pid, %exe, "leftover ended");
        }
        let _over = inputs.send(Input::Settled(spec.service, life, settled.obstacle)).await;
    });
}

/// Tells when the wait before a restart is over.
pub(super) fn again(inputs: mpsc::Sender<Input>, service: Service, life: u64, after: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        let _over = inputs.send(Input::Again(service, life)).await;
    });
}

/// Tells when nothing keeps a service from starting any more.
pub(super) fn until_unbarred(inputs: mpsc::Sender<Input>, paths: HomePaths, service: Service) {
    tokio::spawn(async move {
        while bar(&paths, service).is_some() {
            tokio::time::sleep(BAR_EVERY).await;
        }
        let _over = inputs.send(Input::Unbarred).await;
    });
}

/// Tells when a service had its time to drain.
pub(super) fn drain_over(inputs: mpsc::Sender<Input>, service: Service, life: u64, after: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        let _over = inputs.send(Input::DrainOver(service, life)).await;
    });
}

/// Makes the loop look at its jobs' deadlines.
pub(super) fn look_at(inputs: mpsc::Sender<Input>, after: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(after + Duration::from_millis(10)).await;
        let _over = inputs.send(Input::Look).await;
    });
}
