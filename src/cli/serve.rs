//! `callslip serve`

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

use super::{Context, Stop, context::configuration};
use crate::{
    app::{self, App, Parts},
    config::Config,
    db::Class,
    documents::{Spool, ingest::Worker},
    fault::Fault,
    http::server::{self, Leave, Outcome, Server},
    limits::Calls,
    problems::{Kind, Problems},
    telemetry,
    watch::Watcher,
};

/// How often it is looked for chunks that no model has embedded.
const EMBEDDED_EVERY: Duration = Duration::from_secs(10);

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args) -> Result<(), Stop> {
    let config = configuration()?;
    telemetry::init(&config.log, config.log_format)?;
    let listeners = Listeners::bind(&config, Metrics::AsConfigured).await?;
    let context = Context::with(config).await?;
    let outcome = serve(&context, listeners, stop_signal()?).await;
    context.close().await;
    outcome
}

/// The addresses that the server answers on, taken before anything that takes time.
pub(super) struct Listeners {
    public: TcpListener,
    metrics: TcpListener,
}

/// Where metrics are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Metrics {
    /// There, or not at all.
    AsConfigured,
    /// There, or on another port of the same address: nobody scrapes a demonstration.
    Anywhere,
}

impl Listeners {
    /// Listen where the configuration says.
    pub(super) async fn bind(config: &Config, place: Metrics) -> Result<Self, Stop> {
        let public = listen(config.listen, "CALLSLIP_LISTEN").await?;
        let metrics = match listen(config.metrics_listen, "CALLSLIP_METRICS_LISTEN").await {
            Err(_) if place == Metrics::Anywhere => {
                listen((config.metrics_listen.ip(), 0).into(), "CALLSLIP_METRICS_LISTEN").await?
            }
            listener => listener?,
        };
        Ok(Self { public, metrics })
    }
}

async fn listen(address: SocketAddr, variable: &str) -> Result<TcpListener, Stop> {
    TcpListener::bind(address).await.map_err(|error| {
        Stop(match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "{address} is taken by another program: stop that one, or set {variable} to \
                 another address, such as {}:{}",
                address.ip(),
                address.port().saturating_add(10),
            ),
            _ => format!("cannot listen on {address} ({variable}): {error}"),
        })
    })
}

pub(super) async fn serve(
    context: &Context,
    listeners: Listeners,
    stop: impl Future<Output = Leave>,
) -> Result<(), Stop> {
    let config = &context.parts.config;
    Spool::new(&config.upload_dir).prepare().map_err(|error| {
        let folder = config.upload_dir.display();
        Stop(format!("cannot keep files in {folder} (CALLSLIP_UPLOAD_DIR): {error}"))
    })?;
    let metrics = telemetry::Metrics::install()?.serve(listeners.metrics, context.parts.db.clone());
    tokio::spawn(metrics);
    let app = app::build(context.parts.clone())
        .await
        .map_err(|fault| Stop(format!("cannot start: {}", fault.chain())))?;
    tracing::info!(listen = %config.listen, public_url = config.public_url.as_str(), "serving");
    let sweeper = tokio::spawn(sweep_hourly(app.clone(), context.parts.clone()));
    let worker = Worker::new(context.parts.importer(), app.problems.clone());
    let measuring = tokio::spawn(measure_regularly(worker.clone()));
    let worker = worker.start();
    let embedding = tokio::spawn(embed_regularly(context.parts.clone(), app.problems.clone()));
    let following = tokio::spawn(follow_large_stores(context.parts.clone()));
    let outside = tokio::spawn(embed_outside_regularly(context.parts.clone()));
    let (problems, calls) = (app.problems.clone(), app.calls.clone());
    let counting = tokio::spawn(write_down_regularly(calls.clone(), context.parts.clone()));
    let tending = tokio::spawn(tend_regularly(app.clone(), context.parts.clone()));
    let watching = tokio::spawn(watch_regularly(context.parts.watcher()));
    serve_until(listeners.public, app, config, stop).await;
    for task in [sweeper, embedding, outside, following, counting, tending, measuring, watching] {
        task.abort();
    }
    // Whoever stopped us waits, and not for a database that is away.
    let _ = tokio::time::timeout(Duration::from_secs(2), worker.stop()).await;
    let write_down = async {
        if let Err(fault) = problems.flush().await {
            fault.log();
        }
        write_down(&calls, &context.parts).await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), write_down).await;
    Ok(())
}

async fn sweep_hourly(app: App, parts: Parts) {
    let mut hours = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hours.tick().await;
        if let Err(fault) = app.sweep(&parts.db, &parts.clock).await {
            fault.log();
        }
    }
}

/// How much waits to be read, for the metrics.
async fn measure_regularly(worker: Worker) {
    let mut rounds = tokio::time::interval(Duration::from_secs(10));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(fault) = worker.measure().await {
            fault.log();
        }
    }
}

/// What is left of deleted tenants, and what golden questions there are to ask.
async fn tend_regularly(app: App, parts: Parts) {
    let mut rounds = tokio::time::interval(Duration::from_secs(10));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(fault) = app.finish_deletions(&parts.db, &parts.clock).await {
            fault.log();
        }
        if let Err(fault) = app.golden.tend().await {
            fault.log();
        }
    }
}

/// Look at the folders and buckets that stores follow.
async fn watch_regularly(watcher: Watcher) {
    let mut rounds = tokio::time::interval(Duration::from_secs(5));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        loop {
            match watcher.look().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    fault.log();
                    break;
                }
            }
        }
    }
}

/// What limits refused, for the tenants' pages.
async fn write_down_regularly(calls: Calls, parts: Parts) {
    let mut rounds = tokio::time::interval(Duration::from_secs(5));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        write_down(&calls, &parts).await;
    }
}

async fn write_down(calls: &Calls, parts: &Parts) {
    let db = parts.db.of(Class::Work);
    if let Err(error) = calls.refused().flush(&db, parts.clock.now().date()).await {
        Fault::from(error).log();
    }
}

/// Embed what was brought in where there was no model, and say where there is none.
async fn embed_regularly(parts: Parts, problems: Problems) {
    const HOUR: u32 = 360;
    let importer = parts.importer();
    let mut rounds = tokio::time::interval(EMBEDDED_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u32.. {
        rounds.tick().await;
        if !parts.embedder.is_there() && round % HOUR == 0 {
            let folder = parts.config.model_dir.display().to_string();
            problems.record(Kind::Embedding, &folder);
        }
        while went_on(importer.embed_here().await) {}
    }
}

/// Keep what is in memory of large stores as they are.
async fn follow_large_stores(parts: Parts) {
    let mut rounds = tokio::time::interval(Duration::from_secs(20));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(fault) = parts.near.keep_up(&parts.db.of(Class::Work), &parts.clock).await {
            fault.log();
        }
    }
}

/// The same by models elsewhere, for which nothing here waits.
async fn embed_outside_regularly(parts: Parts) {
    let importer = parts.importer();
    let mut rounds = tokio::time::interval(EMBEDDED_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        while went_on(importer.embed_outside().await) {}
    }
}

/// Whether a round embedded something, and another may too.
fn went_on(round: Result<usize, Fault>) -> bool {
    round.inspect_err(Fault::log).is_ok_and(|embedded| embedded > 0)
}

/// Serve until `stop` resolves, then let running requests finish, for a while.
async fn serve_until(
    listener: TcpListener,
    app: App,
    config: &Config,
    stop: impl Future<Output = Leave>,
) {
    let settings = server::Settings::for_this_process(
        config.connections_per_address,
        config.trusted_proxies.clone().into(),
    );
    tracing::info!(connections = settings.total, "serving up to this many connections");
    let server = Server::new(settings, app.draining);
    if server.serve(listener, app.router, stop).await == Outcome::CutOff {
        tracing::warn!("stopping: requests were still running");
    }
}

/// SIGTERM comes from who runs the installation, with others that distribute requests; SIGINT from
/// a terminal.
pub(super) fn stop_signal() -> Result<impl Future<Output = Leave> + Send + 'static, Stop> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Stop::because)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Stop::because)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => Leave::WithNotice,
            _ = interrupt.recv() => Leave::AtOnce,
        }
    })
}
