//! The upload's form, read as it comes: field after field, each in good time.

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

use super::upload::FILE_BYTES;
use crate::http::PageError;

/// The longest pause between two pieces.
const PAUSE: Duration = Duration::from_secs(30);

/// The most fields of one form.
const FIELDS: usize = 100;

/// The most that comes before a field's content: its headers, and what follows the one before.
const HEADERS: usize = 64 << 10;

/// What is still to come of a form.
pub(super) struct UploadForm {
    form: Multipart,
    /// How much more may come before the next step.
    room: Arc<AtomicUsize>,
    pause: Duration,
    fields: usize,
}

/// One file of it.
pub(super) struct File {
    pub(super) name: String,
    /// Or why there are none.
    pub(super) bytes: Result<Vec<u8>, &'static str>,
}

impl<S: Send + Sync> FromRequest<S> for UploadForm {
    type Rejection = MultipartRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let room = Arc::new(AtomicUsize::new(HEADERS));
        let (parts, body) = request.into_parts();
        let body = Body::from_stream(measured(body, Arc::clone(&room)));
        let form = Multipart::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Self { form, room, pause: PAUSE, fields: 0 })
    }
}

/// A body of which no more comes than there is room for, and one piece at a time: the parser takes
/// all that is ready, and looks for the end of a field's headers however long they are.
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
                return Poll::Ready(Some(Err("a field of the form has endless headers".into())));
            }
            room.store(left.saturating_sub(bytes.len()), Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    })
}

impl UploadForm {
    /// The next field, which must be this one: token and store come before the files, so that
    /// nothing is read for somebody who may not send it.
    pub(super) async fn expect(&mut self, name: &str) -> Result<String, PageError> {
        let (pause, room) = (self.pause, Arc::clone(&self.room));
        let field = self.next().await?;
        let Some(field) = field.filter(|field| field.name() == Some(name)) else {
            return Err(PageError::BadRequest("the form’s fields are missing or out of order"));
        };
        room.store(usize::MAX, Ordering::Relaxed);
        let bytes = read(field, pause).await?.unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| PageError::BadRequest("a field is not text"))
    }

    /// The next file; `None` at the end.
    pub(super) async fn file(&mut self) -> Result<Option<File>, PageError> {
        let (pause, room) = (self.pause, Arc::clone(&self.room));
        while let Some(field) = self.next().await? {
            if field.name() != Some("file") {
                continue;
            }
            let name = field.file_name().unwrap_or_default().replace(char::is_control, "");
            room.store(usize::MAX, Ordering::Relaxed);
            let bytes = read(field, pause).await?;
            // A form that was sent without a file has one of no name and no content.
            if !name.is_empty() || !bytes.as_ref().is_ok_and(Vec::is_empty) {
                return Ok(Some(File { name, bytes }));
            }
        }
        Ok(None)
    }

    async fn next(&mut self) -> Result<Option<Field<'_>>, PageError> {
        self.fields += 1;
        self.room.store(HEADERS, Ordering::Relaxed);
        if self.fields > FIELDS {
            return Err(TOO_MUCH);
        }
        match tokio::time::timeout(self.pause, self.form.next_field()).await {
            Ok(field) => field.map_err(broken),
            Err(_) => Err(STALLED),
        }
    }
}

/// A field's bytes, piece by piece; what is too long is read to its end and dropped.
async fn read(
    mut field: Field<'_>,
    pause: Duration,
) -> Result<Result<Vec<u8>, &'static str>, PageError> {
    let mut bytes = Vec::new();
    let mut too_long = false;
    loop {
        let piece = tokio::time::timeout(pause, field.chunk()).await.map_err(|_| STALLED)?;
        let Some(piece) = piece.map_err(broken)? else { break };
        too_long |= bytes.len() + piece.len() > FILE_BYTES;
        if too_long {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(if too_long { Err("The file is larger than 25 MiB.") } else { Ok(bytes) })
}

const STALLED: PageError = PageError::BadRequest("the upload stopped coming");
const TOO_MUCH: PageError = PageError::BadRequest("that is too much at once: send fewer files");

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: MultipartError) -> PageError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        TOO_MUCH
    } else {
        PageError::BadRequest("the upload broke off or is malformed")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::header;

    use super::*;

    /// A form of which this much comes, and then nothing more.
    async fn stalled(sent: &'static str) -> UploadForm {
        let begun = stream::iter([Ok::<_, Infallible>(sent)]);
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
            .body(Body::from_stream(begun.chain(stream::pending())))
            .unwrap();
        let form = UploadForm::from_request(request, &()).await.unwrap();
        UploadForm { pause: Duration::from_millis(1), ..form }
    }

    #[tokio::test]
    async fn a_form_that_stops_coming_is_given_up() {
        const FILE: &str = "--cut\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbegun";
        for sent in ["", "--cut\r\nContent-Disp", FILE] {
            let error = stalled(sent).await.file().await.map(drop).unwrap_err();
            assert!(matches!(error, PageError::BadRequest("the upload stopped coming")));
        }
    }
}
