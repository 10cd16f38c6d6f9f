//! A connection, the one that replaces it, and the next one after both.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mprism_model::UnixMillis;
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Replace, Standing, listen};
use super::pace::Pace;
use super::socket::Ended;
use super::streams::Strikes;
use super::{Plan, Protocol};
use crate::LivenessOptions;
use crate::market::Heard;
use crate::stats::ExchangeStats;
use crate::wire::SharedTerms;

/// A connection that lived this long resets the backoff.
const GOOD_LIFE: Duration = Duration::from_secs(60);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// One of a venue's connections, whichever socket carries it now.
pub(crate) struct Link<P> {
    pub(super) protocol: Arc<P>,
    pub(super) url: String,
    pub(super) plan: Arc<Plan>,
    pub(super) strikes: Strikes,
    pub(super) pace: Arc<Pace>,
    pub(super) liveness: LivenessOptions,
    pub(super) terms: SharedTerms,
    pub(super) stats: Arc<ExchangeStats>,
    pub(super) heard: mpsc::Sender<Vec<Heard>>,
}

impl<P: Protocol> Link<P> {
    /// Prepares a venue's connections.
    pub(crate) fn all(
        protocol: &Arc<P>,
        base: &str,
        plans: Vec<Plan>,
        liveness: LivenessOptions,
        (terms, stats): (&SharedTerms, &Arc<ExchangeStats>),
        heard: &mpsc::Sender<Vec<Heard>>,
    ) -> Vec<Self> {
        let pace = Arc::new(Pace::new(protocol.rules().connect_every));
        let link = |plan: Plan| Self {
            protocol: Arc::clone(protocol),
            url: format!("{base}{}", plan.path),
            strikes: Strikes::new(&plan),
            plan: Arc::new(plan),
            pace: Arc::clone(&pace),
            liveness,
            terms: terms.clone(),
            stats: Arc::clone(stats),
            heard: heard.clone(),
        };
        plans.into_iter().map(link).collect()
    }

    fn exchange(&self) -> &'static str {
        self.protocol.wire().exchange().as_str()
    }

    /// Counts what is wrong with a connection, and logs each cause once.
    pub(super) fn trouble(&self, cause: &'static str, what: &str) {
        let (exchange, path) = (self.exchange(), self.plan.path);
        if self.stats.disconnects.first(cause) {
            tracing::warn!(exchange, path, cause, what, "a connection is in trouble");
        } else {
            tracing::debug!(exchange, path, cause, what, "a connection is in trouble");
        }
        self.stats.ended(what);
    }

    pub(super) fn malformed(&self, cause: &str, text: &str) {
        if self.stats.malformed.first(cause) {
            tracing::warn!(exchange = self.exchange(), cause, text, "a frame is not understood");
        }
    }

    pub(super) fn skipped(&self, kind: &str) {
        if self.stats.skipped.first(kind) {
            tracing::info!(exchange = self.exchange(), kind, "valid, but not collected");
        }
    }
}

/// A connection that was opened.
struct Opened {
    task: JoinHandle<Ended>,
    stop: CancellationToken,
    standing: watch::Receiver<Standing>,
    began: Instant,
    /// When its last frame left the socket; before any, when it was opened.
    heard_ms: Arc<AtomicI64>,
}

impl Opened {
    fn open<P: Protocol>(link: &Arc<Link<P>>) -> Self {
        let (link, stop) = (Arc::clone(link), CancellationToken::new());
        let (sender, standing) = watch::channel(Standing::default());
        let stopped = stop.clone();
        let heard_ms = Arc::new(AtomicI64::new(clock::now_ms()));
        let heard = Arc::clone(&heard_ms);
        Self {
            task: tokio::spawn(async move { listen(&link, sender, &heard, stopped).await }),
            stop,
            standing,
            began: Instant::now(),
            heard_ms,
        }
    }
}

/// Waits until a connection is to be replaced.
async fn wants_replacement(standing: &mut watch::Receiver<Standing>) -> Replace {
    let wants = standing.wait_for(|standing| standing.wants_replacement.is_some());
    let why = wants.await.ok().and_then(|standing| standing.wants_replacement.clone());
    match why {
        Some(why) => why,
        // It has ended, which is told elsewhere.
        None => std::future::pending().await,
    }
}

/// Waits until all streams of a connection have spoken, or have had their time to.
async fn ready(standing: &mut watch::Receiver<Standing>) {
    let has_ended = standing.wait_for(|standing| standing.is_ready).await.is_err();
    if has_ended {
        std::future::pending::<()>().await;
    }
}

/// Keeps a connection until `shutdown` is cancelled or nobody listens any more.
pub(crate) async fn run<P: Protocol>(link: Link<P>, shutdown: CancellationToken) {
    let link = Arc::new(link);
    link.stats.links.fetch_add(1, Ordering::Relaxed);
    let mut keeper = Keeper {
        current: Opened::open(&link),
        next: None,
        retry_at: Instant::now(),
        left: JoinSet::new(),
        backoff: Backoff::new(BACKOFF_MIN, BACKOFF_MAX),
        link,
    };
    while keeper.step(&shutdown).await {}
    keeper.leave().await;
}

struct Keeper<P> {
    link: Arc<Link<P>>,
    current: Opened,
    next: Option<Opened>,
    /// Before this nobody is sent to replace the current one again.
    retry_at: Instant,
    /// Replaced ones that still say what they had to say.
    left: JoinSet<()>,
    backoff: Backoff,
}

impl<P: Protocol> Keeper<P> {
    /// Waits for the next thing to happen; returns whether to go on.
    async fn step(&mut self, shutdown: &CancellationToken) -> bool {
        match &mut self.next {
            None => tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                ended = &mut self.current.task => return self.reopen(ended, shutdown).await,
                why = wants_replacement(&mut self.current.standing) => {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return false,
                        ended = &mut self.current.task => return self.reopen(ended, shutdown).await,
                        () = tokio::time::sleep_until(self.retry_at) => {}
                    }
                    let exchange = self.link.exchange();
                    tracing::info!(exchange, path = self.link.plan.path, ?why, "a connection is replaced");
                    self.next = Some(Opened::open(&self.link));
                }
            },
            Some(next) => tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                ended = &mut self.current.task => {
                    // What the new one has not told yet may be missing: each book and sequence finds out.
                    let is_covered = next.standing.borrow().is_ready;
                    let (is_over, _) = self.ended(ended);
                    if is_over || (!is_covered && !self.say_ended().await) {
                        return false;
                    }
                    if let Some(next) = self.next.take() {
                        self.current = next;
                    }
                    // It may have said that it listens before the other one ended: what ended then has begun again by now.
                    let is_listening = self.current.standing.borrow().is_listening;
                    if !is_covered && is_listening && !self.say_began().await {
                        return false;
                    }
                }
                () = ready(&mut next.standing) => {
                    self.link.stats.renewals.fetch_add(1, Ordering::Relaxed);
                    if let Some(next) = self.next.take() {
                        let old = std::mem::replace(&mut self.current, next);
                        old.stop.cancel();
                        self.left.spawn(async move { drop(old.task.await) });
                    }
                }
                ended = &mut next.task => {
                    self.next = None;
                    let (is_over, _) = self.ended(ended);
                    self.retry_at = Instant::now() + self.backoff.next_wait();
                    return !is_over;
                }
            },
        }
        while self.left.try_join_next().is_some() {}
        true
    }

    /// Opens the next connection after one that ended without a replacement.
    async fn reopen(&mut self, ended: Result<Ended, JoinError>, shutdown: &CancellationToken) -> bool {
        let was_told = self.current.standing.borrow().wants_replacement == Some(Replace::Notice);
        let (is_over, _) = self.ended(ended);
        if is_over || !self.say_ended().await {
            return false;
        }
        if self.current.began.elapsed() >= GOOD_LIFE {
            self.backoff.reset();
        }
        // A notice is no failure.
        let wait = if was_told {
            Duration::ZERO
        } else {
            self.backoff.next_wait()
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(wait) => {}
        }
        self.current = Opened::open(&self.link);
        true
    }

    /// Notes why a connection ended; returns whether that is the end of all.
    fn ended(&self, ended: Result<Ended, JoinError>) -> (bool, Option<Ended>) {
        match ended {
            Ok(Ended::Stopped | Ended::Closed) => (true, None),
            Ok(ended) => {
                self.link.trouble(ended.cause(), &mprism_runtime::log::chain(&ended));
                (false, Some(ended))
            }
            Err(panic) => {
                tracing::error!(%panic, exchange = self.link.exchange(), "a connection's task panicked");
                self.link.trouble("panic", "its task panicked");
                (false, None)
            }
        }
    }

    /// Tells that nothing is heard now; returns whether anybody listens.
    async fn say_ended(&self) -> bool {
        // What was sent since was lost on its way.
        let since = UnixMillis(self.current.heard_ms.load(Ordering::Relaxed));
        let ended = vec![Heard::Ended(Arc::clone(&self.link.plan), since)];
        self.link.heard.send(ended).await.is_ok()
    }

    /// Tells that the streams are listened to again; returns whether anybody listens.
    async fn say_began(&self) -> bool {
        let began = vec![Heard::Began(Arc::clone(&self.link.plan))];
        self.link.heard.send(began).await.is_ok()
    }

    /// Closes what is open, and hears it out.
    async fn leave(mut self) {
        for opened in [Some(self.current), self.next].into_iter().flatten() {
            opened.stop.cancel();
            self.left.spawn(async move { drop(opened.task.await) });
        }
        while self.left.join_next().await.is_some() {}
    }
}
