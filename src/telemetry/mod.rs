//! What operators see: log lines, metrics, health.
//!
//! A log line is one line, whatever a stranger put into a value; it never holds a URL's query, a
//! secret path, or the text of a question.

mod health;
mod lines;
mod metrics;
mod requests;

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

pub use health::routes;
pub use lines::OneLine;
pub use metrics::Metrics;
pub use requests::observe;

use crate::{config::LogFormat, fault::Fault};

/// Write log lines to standard error from here on.
///
/// # Errors
/// When the filter is malformed, or a subscriber is installed already.
pub fn init(filter: &str, format: LogFormat) -> Result<(), Fault> {
    let subscriber = subscriber(filter, format, OneLine(std::io::stderr))?;
    tracing::subscriber::set_global_default(subscriber)?;
    // Where it was and not what it said, which may be anything, in one line like everything else.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
    Ok(())
}

/// What [`init`] installs, with lines going elsewhere.
///
/// # Errors
/// When the filter is malformed.
pub fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, Fault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(true);
    Ok(match format {
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_current_span(true)
                .finish(),
        ),
        LogFormat::Text => Box::new(builder.finish()),
    })
}
