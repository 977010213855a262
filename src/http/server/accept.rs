//! The next connection, whatever `accept` says.

use std::{
    future::poll_fn,
    io::{Error, ErrorKind},
    net::SocketAddr,
    task::Poll,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

/// How long to wait before trying again without descriptors: the listener stays readable meanwhile,
/// and asking again at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection. Errors pass: without descriptors or memory there will be some again, and a
/// peer that is gone was only one of many.
pub(super) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut is_known = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_peer_s(&error) => {}
            Err(error) => {
                metrics::counter!("callslip_http_accept_errors_total").increment(1);
                if !is_known {
                    tracing::error!(%error, "no connections can be taken for the moment");
                    is_known = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A connection that waits already, if there is one.
pub(super) async fn waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    let look = poll_fn(|context| match listener.poll_accept(context) {
        Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
    });
    tokio::task::unconstrained(look).await
}

fn is_the_peer_s(error: &Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
