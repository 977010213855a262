//! The upload's form: token and store first, then files, each on disk before the next one comes.

use axum::extract::{FromRequest, Request, multipart::MultipartRejection};

use crate::{
    documents::{Spool, Spooled, TOO_LARGE, Unkept},
    http::{
        PageError,
        multipart::{Broken, Form, Part},
    },
};

/// What is still to come of it.
pub(super) struct UploadForm(Form);

/// One file of it.
pub(super) struct File {
    pub(super) name: String,
    /// Or why there is none.
    pub(super) content: Result<Spooled, Refusal>,
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooLarge,
    /// For the server's disk is full.
    NoRoom,
}

impl Refusal {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => TOO_LARGE,
            Self::NoRoom => "the server’s disk is full: try again later, or tell its operator",
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for UploadForm {
    type Rejection = MultipartRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        Form::from_request(request, state).await.map(Self)
    }
}

impl UploadForm {
    /// The next field, which must be this one: token and store come before the files, so that
    /// nothing is read for somebody who may not send it.
    pub(super) async fn expect(&mut self, name: &str) -> Result<String, PageError> {
        let part = self.0.next().await.map_err(said)?;
        let Some(part) = part.filter(|part| part.name() == Some(name)) else {
            return Err(PageError::BadRequest("the form’s fields are missing or out of order"));
        };
        let text = part.text().await.map_err(said)?;
        text.ok_or(PageError::BadRequest("a field is not text, or too long"))
    }

    /// The next file; `None` at the end.
    pub(super) async fn file(&mut self, spool: &Spool) -> Result<Option<File>, PageError> {
        while let Some(mut part) = self.0.next().await.map_err(said)? {
            if part.name() != Some("file") {
                continue;
            }
            let name = part.file_name().unwrap_or_default().replace(char::is_control, "");
            let content = match gather(&mut part, spool).await {
                Ok(content) => Ok(content),
                Err(Stopped::Form(broken)) => return Err(said(broken)),
                Err(Stopped::File(Unkept::Fault(fault))) => return Err(fault.into()),
                Err(Stopped::File(Unkept::TooLarge)) => Err(Refusal::TooLarge),
                Err(Stopped::File(Unkept::NoRoom)) => Err(Refusal::NoRoom),
            };
            // The next file comes behind this one, whatever is wrong with it.
            if content.is_err() {
                while part.piece().await.map_err(said)?.is_some() {}
            }
            // A form that was sent without a file has one of no name and no content.
            if !name.is_empty() || !content.as_ref().is_ok_and(|file| file.size() == 0) {
                return Ok(Some(File { name, content }));
            }
        }
        Ok(None)
    }
}

enum Stopped {
    Form(Broken),
    File(Unkept),
}

async fn gather(part: &mut Part<'_>, spool: &Spool) -> Result<Spooled, Stopped> {
    let mut file = spool.begin().await.map_err(Stopped::File)?;
    while let Some(piece) = part.piece().await.map_err(Stopped::Form)? {
        file.write(&piece).await.map_err(Stopped::File)?;
    }
    file.finish().await.map_err(Stopped::File)
}

fn said(broken: Broken) -> PageError {
    PageError::BadRequest(match broken {
        Broken::Stalled => "the upload stopped coming",
        Broken::TooMuch => "that is too much at once: send fewer files",
        Broken::Malformed => "the upload broke off or is malformed",
    })
}
