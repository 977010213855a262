//! Files that break their readers or try to: each ends in text or in a reason, and in its own time.

mod archives;
mod bytes;
mod mail;
mod office;
mod pdf;
mod structure;
mod text;

use std::time::{Duration, Instant};

use callslip::documents::extract::{MediaType, Parsed, Unreadable};
use tokio::task::JoinSet;

use super::extractor;

/// A file's name, its bytes, and what comes of it.
type Case = (&'static str, Vec<u8>, Ends);

/// What may come of a file.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// A text that has this in it.
    Text(&'static str),
    /// This text and no other.
    Only(&'static str),
    /// A reason that has this in it.
    Reason(&'static str),
    /// A text or a reason: whichever, it ends.
    Either,
}

/// Read a file as an upload of this name would be.
async fn read(name: &str, bytes: &[u8]) -> Result<Parsed, Unreadable> {
    let media = MediaType::detect(name, bytes)?;
    extractor().within(Duration::from_secs(12)).extract(media, bytes).await.unwrap()
}

/// The most memory that this process has had, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What is wrong with an outcome, if something is.
fn wrong(ends: Ends, outcome: Result<Parsed, Unreadable>) -> Option<String> {
    let text = outcome.map(|parsed| parsed.sections.join("\n")).map_err(|reason| reason.0);
    let as_expected = match (ends, &text) {
        (Ends::Text(part), Ok(text)) => text.contains(part),
        (Ends::Only(whole), Ok(text)) => text.trim() == whole,
        (Ends::Reason(part), Err(reason)) => reason.contains(part) && reason.len() > 10,
        (Ends::Either, Ok(says) | Err(says)) => !says.trim().is_empty(),
        _ => false,
    };
    (!as_expected).then(|| format!("{ends:?}, but {text:.300?}"))
}

/// [U-06] Too many pages, endless content, scripts and files inside: a reason, or the text alone.
#[tokio::test]
async fn every_file_ends_in_text_or_a_reason() {
    let mut cases = text::cases();
    cases.extend(mail::cases());
    cases.extend(pdf::cases());
    cases.extend(office::cases());
    assert!(cases.len() > 90, "{}", cases.len());
    let before = peak();
    let mut readers = JoinSet::new();
    let at_once = std::sync::Arc::new(tokio::sync::Semaphore::new(2));
    for (name, bytes, ends) in cases {
        let place = at_once.clone().acquire_owned().await.unwrap();
        readers.spawn(async move {
            let started = Instant::now();
            let outcome = read(name, &bytes).await;
            drop(place);
            (name, wrong(ends, outcome), started.elapsed())
        });
    }
    let mut failures = Vec::new();
    while let Some(done) = readers.join_next().await {
        let (name, wrong, took) = done.unwrap();
        println!("{name}: {took:?}");
        failures.extend(wrong.map(|wrong| format!("{name}: {wrong}")));
        if took > Duration::from_secs(30) {
            failures.push(format!("{name}: took {took:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // The largest of these texts comes as 20 MiB of JSON; what bombs unpack to comes nowhere.
    assert!(peak() - before < 600 * 1024, "{before} to {} KiB", peak());
}
