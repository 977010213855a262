//! An answer's body, followed until the peer took it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body as AnyBody, Bytes};
use hyper::body::{Body, Frame, SizeHint};

use super::pulse::Flight;

/// HTTP/2 keeps a whole piece in memory for a peer that has no room: pieces are not larger.
const PIECE: usize = 16 * 1024;

/// Hands over piece by piece; while nobody asks for the next one, the peer stalls.
#[derive(Debug)]
pub(super) struct Answer {
    body: AnyBody,
    flight: Flight,
    rest: Bytes,
}

impl Answer {
    pub(super) fn new(body: AnyBody, flight: Flight) -> Self {
        Self { body, flight, rest: Bytes::new() }
    }

    fn hand_over(&mut self, mut bytes: Bytes) -> Frame<Bytes> {
        if bytes.len() > PIECE {
            self.rest = bytes.split_off(PIECE);
        }
        self.flight.offered();
        Frame::data(bytes)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.flight.wanted();
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.hand_over(rest))));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(bytes) => self.hand_over(bytes),
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
