//! One event, one line, of bounded length (spec row O-07).

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// The longest line.
const MAX_LINE: usize = 16 * 1024;
/// How much of an overlong line is shown.
const SHOWN: usize = 2 * 1024;

/// Makes writers that let no control character through and no line grow without end.
#[derive(Clone, Debug)]
pub struct OneLine<M>(pub M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// Takes one formatted event at a time, as the subscriber writes it.
#[derive(Debug)]
pub struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = if text.len() <= MAX_LINE { escaped(text) } else { shortened(text) };
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters as `\u001b`, which JSON reads too: a line break or a terminal's escape codes
/// show and do nothing.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    line
}

/// The beginning of an overlong line: valid JSON, whichever format it had.
fn shortened(text: &str) -> String {
    let cut = text.floor_char_boundary(SHOWN);
    let start = serde_json::Value::from(&text[..cut]);
    escaped(&format!(
        r#"{{"message":"a log line was cut","bytes":{},"start":{start}}}"#,
        text.len()
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{config::LogFormat, telemetry::subscriber};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, event: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = subscriber("info", format, OneLine(move || writer.clone())).unwrap();
        tracing::subscriber::with_default(subscriber, event);
        let written = sink.0.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    /// [O-07] Whatever a value holds, an event is one line without control characters.
    #[test]
    fn a_value_cannot_forge_a_line() {
        let forged = "a\r\n2026-01-01 INFO forged\n\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{2028}\0";
        for format in [LogFormat::Json, LogFormat::Text] {
            let written = written(format, || {
                let span = tracing::info_span!("request", path = forged);
                span.in_scope(|| tracing::warn!(forged, debug = ?forged, "said {forged}"));
            });
            let line = written.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(char::is_control), "{line}");
            assert!(line.contains("forged"), "{line}");
            if format == LogFormat::Json {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }

    /// [O-07] Ten megabytes become a short line that is still JSON.
    #[test]
    fn an_overlong_value_is_cut() {
        let huge = "ü".repeat(5 << 20);
        for format in [LogFormat::Json, LogFormat::Text] {
            let written = written(format, || tracing::warn!(huge, "said"));
            assert!(written.len() < MAX_LINE && written.ends_with("}\n"), "{}", written.len());
            let cut: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert!(cut["bytes"].as_u64().unwrap() > 10 << 20);
        }
    }
}
