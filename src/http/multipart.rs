//! Forms with files in them, read as they come: part after part, each in good time, and of none
//! more than a piece in memory.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError, MultipartRejection},
    },
    http::StatusCode,
};
use futures_util::{Stream, StreamExt, stream};

/// The longest pause between two pieces.
pub const PAUSE: Duration = Duration::from_secs(30);

/// The most parts of one form (spec row U-01).
const PARTS: usize = 100;

/// The most that comes before a part's content: its headers, and what is left of the one before.
const HEADERS: usize = 64 << 10;

/// What is still to come of a form.
#[derive(Debug)]
pub struct Form {
    parts: Multipart,
    /// How much more may come before the next step.
    room: Arc<AtomicUsize>,
    pause: Duration,
    begun: usize,
}

/// One part of it, of which the content is still to come.
#[derive(Debug)]
pub struct Part<'a> {
    field: Field<'a>,
    pause: Duration,
}

/// Why no more is read of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nothing came for too long.
    Stalled,
    /// It has too many parts, or is too large.
    TooMuch,
    /// It broke off, or is no form.
    Malformed,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = MultipartRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let room = Arc::new(AtomicUsize::new(HEADERS));
        let (head, body) = request.into_parts();
        let body = Body::from_stream(measured(body, Arc::clone(&room)));
        let parts = Multipart::from_request(Request::from_parts(head, body), state).await?;
        Ok(Self { parts, room, pause: PAUSE, begun: 0 })
    }
}

/// A body of which no more comes than there is room for, and one piece at a time: the parser takes
/// all that is ready, and looks for the end of a part's headers however long they are.
fn measured(
    body: Body,
    room: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> {
    let mut pieces = body.into_data_stream();
    let mut has_come = false;
    stream::poll_fn(move |context| {
        if std::mem::take(&mut has_come) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = ready!(pieces.poll_next_unpin(context));
        has_come = true;
        if let Some(Ok(bytes)) = &piece {
            let left = room.load(Ordering::Relaxed);
            if left == 0 {
                return Poll::Ready(Some(Err("a part of the form has endless headers".into())));
            }
            room.store(left.saturating_sub(bytes.len()), Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    })
}

impl Form {
    /// The next part; `None` at the end. What was not read of the one before is passed over,
    /// provided that it is short.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn next(&mut self) -> Result<Option<Part<'_>>, Broken> {
        self.begun += 1;
        self.room.store(HEADERS, Ordering::Relaxed);
        if self.begun > PARTS {
            return Err(Broken::TooMuch);
        }
        let next = tokio::time::timeout(self.pause, self.parts.next_field()).await;
        let field = next.map_err(|_| Broken::Stalled)?.map_err(broken)?;
        // Its content is for whoever reads it to measure.
        self.room.store(usize::MAX, Ordering::Relaxed);
        Ok(field.map(|field| Part { field, pause: self.pause }))
    }
}

impl Part<'_> {
    /// What the form calls it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.field.name()
    }

    /// What the file is called, if it is one.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The next piece of its content; `None` at the end.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Broken> {
        let piece = tokio::time::timeout(self.pause, self.field.chunk()).await;
        piece.map_err(|_| Broken::Stalled)?.map_err(broken)
    }

    /// Its content, which is a short text; `None` where it is not.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn text(mut self) -> Result<Option<String>, Broken> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > HEADERS {
                return Ok(None);
            }
        }
        Ok(String::from_utf8(bytes).ok())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: MultipartError) -> Broken {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Broken::TooMuch,
        _ => Broken::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::header;

    use super::*;

    /// A form of which this much comes, and then nothing more.
    async fn stalled(sent: &'static str) -> Form {
        let begun = stream::iter([Ok::<_, Infallible>(sent)]);
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
            .body(Body::from_stream(begun.chain(stream::pending())))
            .unwrap();
        let form = Form::from_request(request, &()).await.unwrap();
        Form { pause: Duration::from_millis(1), ..form }
    }

    #[tokio::test]
    async fn a_form_that_stops_coming_is_given_up() {
        const FILE: &str = "--cut\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbegun";
        for sent in ["", "--cut\r\nContent-Disp", FILE] {
            let mut form = stalled(sent).await;
            let broken = match form.next().await {
                Ok(part) => part.unwrap().text().await.unwrap_err(),
                Err(broken) => broken,
            };
            assert_eq!(broken, Broken::Stalled, "{sent:?}");
        }
    }
}
