//! One connection: HTTP on it, and an alarm beside it.

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

use super::{Front, pulse::Pulse, service::Service, watched::Watched};
use crate::http::Phase;

/// The most headers of a request.
pub(super) const MOST_HEADERS: usize = 64;
/// The most bytes that they may have.
const HEAD_BYTES: usize = 16 * 1024;
/// HTTP/2: requests at once.
const STREAMS: u32 = 100;
/// HTTP/2: how often a peer may reset what it asked for before we looked at it.
const EARLY_RESETS: usize = 20;
/// HTTP/2: how often we reset what a peer asked for in a wrong way.
const OUR_RESETS: usize = 200;
/// HTTP/2: what a peer may send of one body, and of all, before they are read.
pub(super) const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// HTTP/2: what is kept of an answer that the peer has no room for.
const SEND_BUFFER: usize = 32 * 1024;
/// HTTP/2: how often a silent peer is asked whether it is there, and how long it may think.
const PING: Duration = Duration::from_secs(20);

/// The kernel's share of it; it takes twice as much.
const KERNEL_BUFFER: usize = 128 * 1024;

pub(super) type Http = auto::Builder<TokioExecutor>;

/// HTTP/1.1 and HTTP/2 within bounds (spec rows ).
pub(super) fn http() -> Http {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // The alarm has its own, which knows a pause from a slow request.
        .header_read_timeout(None)
        .max_headers(MOST_HEADERS)
        .max_buf_size(HEAD_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(OUR_RESETS)
        .max_header_list_size(HEAD_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    http
}

/// What the kernel keeps for a peer that does not read, and for how long: an answer that fits would
/// look as if it were taken. Where it cannot be said, the deadlines above it hold alone.
fn bound(stream: &TcpStream, stall: Duration) {
    let socket = SockRef::from(stream);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_tcp_user_timeout(Some(stall));
    // An answer is written whole: there is nothing to wait for.
    let _ = socket.set_tcp_nodelay(true);
}

/// Answer the requests of one connection until it ends, or is cut.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, front: &Arc<Front>) {
    bound(&stream, front.deadlines.stall);
    let pulse = Pulse::new();
    let io = TokioIo::new(Watched::new(stream, pulse.clone()));
    let service = Service { front: Arc::clone(front), peer, pulse: pulse.clone() };
    let mut connection = pin!(front.http.serve_connection(io, service));
    let mut closing = pin!(front.draining.reached(Phase::Closing));
    let mut alarm = pin!(tokio::time::sleep(front.deadlines.head));
    let (mut is_closing, mut is_told) = (false, false);
    let cut = poll_fn(|context| {
        is_closing = is_closing || closing.as_mut().poll(context).is_ready();
        loop {
            // How it ended is the peer's business: what was wrong with a request was answered.
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if is_told || !is_closing || !pulse.may_close() {
                break;
            }
            connection.as_mut().graceful_shutdown();
            pulse.told();
            is_told = true;
        }
        loop {
            let Some((at, cut)) = pulse.due(&front.deadlines) else { return Poll::Pending };
            if at <= Instant::now() {
                return Poll::Ready(Some(cut));
            }
            // An alarm that is set too early finds out when it goes off.
            if at < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    });
    if let Some(cut) = cut.await {
        pulse.cut(cut);
    }
}
