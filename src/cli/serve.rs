//! `callslip serve`

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{Context, Stop};
use crate::{
    app::{self, App},
    config::Config,
};

/// How long running requests may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(25);

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = match bind(&context.parts.config).await {
        Ok(listener) => serve(&context, listener).await,
        Err(stop) => Err(stop),
    };
    context.close().await;
    outcome
}

/// Listen where the configuration says.
pub(super) async fn bind(config: &Config) -> Result<TcpListener, Stop> {
    let listen = config.listen;
    TcpListener::bind(listen).await.map_err(|error| {
        Stop(match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "{listen} is taken by another program: stop that one, or set CALLSLIP_LISTEN to \
                 another address, such as {}:{}",
                listen.ip(),
                listen.port().saturating_add(10),
            ),
            _ => format!("cannot listen on {listen} (CALLSLIP_LISTEN): {error}"),
        })
    })
}

pub(super) async fn serve(context: &Context, listener: TcpListener) -> Result<(), Stop> {
    let config = &context.parts.config;
    let app = app::build(context.parts.clone())
        .await
        .map_err(|fault| Stop(format!("cannot start: {}", fault.chain())))?;
    tracing::info!(listen = %config.listen, public_url = config.public_url.as_str(), "serving");
    serve_until(listener, app, stop_signal()?).await
}

/// Serve until `stop` resolves, then let running requests finish, for a while.
///
/// # Errors
/// When the listener fails.
async fn serve_until(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Stop> {
    let (drain, draining) = tokio::sync::oneshot::channel();
    let service = app.router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        tracing::info!("stopping: no new requests");
        let _ = drain.send(());
    });
    // A stream that stays open would keep the server for ever.
    let deadline = async {
        let _ = draining.await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        outcome = server => outcome.map_err(Stop::because),
        () = deadline => {
            tracing::warn!("stopping: requests were still running");
            Ok(())
        }
    }
}

pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Stop> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Stop::because)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Stop::because)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
