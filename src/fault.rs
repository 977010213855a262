//! Our fault: opaque to the caller, logged once.

use std::{error::Error, fmt};

/// A failure that no caller could have prevented.
///
/// Carries its cause for the log and says nothing on the wire. Every `?` on a foreign error makes
/// one; refusals, which are the caller's doing, are made by hand.
pub struct Fault {
    cause: Box<dyn Error + Send + Sync>,
}

impl Fault {
    /// A fault with a sentence for the log.
    #[must_use]
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into() }
    }

    /// Whether the database could not be reached or did not answer in time, so that trying again
    /// later makes sense.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        if self.cause.is::<tokio::time::error::Elapsed>() {
            return true;
        }
        match self.cause.downcast_ref::<sqlx::Error>() {
            Some(
                sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Io(_)
                | sqlx::Error::WorkerCrashed,
            ) => true,
            // 08: connection; 53: resources; 57P: shutdown, cannot connect now; 55P03, 57014: time.
            Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                ["08", "53", "57P", "55P03", "57014"].iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        }
    }

    /// Whether the connection to the database broke meanwhile: what only reads may try once more
    /// (spec row FX-08).
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        self.cause.downcast_ref::<sqlx::Error>().is_some_and(is_lost_connection)
    }

    /// Whether this is its cause.
    #[must_use]
    pub fn is<E: Error + 'static>(&self) -> bool {
        self.cause.is::<E>()
    }

    /// Write it to the log. Call this once, where the fault becomes an answer.
    pub fn log(&self) {
        tracing::error!(error = %self.chain(), "fault");
    }

    /// The causes, outermost first, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.cause.to_string();
        let mut cause = self.cause.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }
}

/// The same of a database error.
#[must_use]
pub fn is_lost_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // 08: connection; 57P01, 57P02: the server shut down, or crashed.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || matches!(code.as_ref(), "57P01" | "57P02")
        }),
        _ => false,
    }
}

/// Whether the database had no room on its disk for a write: it goes on reading.
#[must_use]
pub fn is_disk_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| code == "53100")
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({})", self.chain())
    }
}

// No `impl Error for Fault`: it would make this conversion overlap with itself.
impl<E: Error + Send + Sync + 'static> From<E> for Fault {
    fn from(cause: E) -> Self {
        Self::new(cause)
    }
}
