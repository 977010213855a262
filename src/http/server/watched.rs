//! A socket whose coming and going is noted.

use std::{
    io::{self, ErrorKind, IoSlice},
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::pulse::Pulse;

/// How long until somebody slow is looked at again, in milliseconds; at random, so that thousands
/// who send in step are not all looked at in step, while everybody else waits.
const NOW_AND_THEN: Range<u64> = 250..750;

/// Tells the pulse of every read and write.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    pulse: Pulse,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, pulse: Pulse) -> Self {
        Self { stream, pulse, pause: None }
    }

    /// Read what is there now and then, and never be woken because something came.
    fn poll_slowly(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let pause = self.pause.get_or_insert_with(|| {
                let some_time = Duration::from_millis(rand::random_range(NOW_AND_THEN));
                Box::pin(sleep(some_time))
            });
            ready!(pause.as_mut().poll(context));
            self.pause = None;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome.map(|_| ())),
            }
        }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.pulse.write_waits(),
            Poll::Ready(_) => self.pulse.wrote(),
        }
        written
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.pulse.is_hopeless() {
            // Otherwise the kernel would go on offering what nobody takes.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = if self.pulse.is_slow() {
            self.poll_slowly(context, buffer)
        } else {
            self.pause = None;
            Pin::new(&mut self.stream).poll_read(context, buffer)
        };
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.pulse.read(read);
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
