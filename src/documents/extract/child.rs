//! The child's side of extraction.

use std::{
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use super::{
    Answer, MediaType, Parsed, Unreadable, archive, csv, html, mail, members::Frames, office, pdf,
    sandbox, scans, text, unreadable,
};

/// `callslip extract TYPE`: the file on stdin, JSON on stdout.
///
/// With `--members` after the type: what the file holds, one member after the other. With
/// `--pictures` and a number: the pages from there on that have no text, as pictures. With `--check`
/// instead of a type: exit code 0 when the walls hold, and the names of those that
/// do not on stdout. Call it before anything else runs in the process.
#[must_use]
pub fn child_main() -> ExitCode {
    let argument = std::env::args().nth(2).unwrap_or_default();
    if argument == "--recognize" {
        return recognize();
    }
    if let Err(error) = sandbox::enter() {
        // stderr is ours: the parent logs it.
        eprintln!("cannot lock the extractor in: {error}");
        return ExitCode::from(2);
    }
    if argument == "--check" {
        let breaches = sandbox::breaches();
        println!("{}", breaches.join("\n"));
        return if breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Some(media) = MediaType::parse(&argument) else { return ExitCode::from(2) };
    let mut bytes = Vec::new();
    if std::io::stdin().lock().read_to_end(&mut bytes).is_err() {
        return ExitCode::from(2);
    }
    let mode = std::env::args().nth(3);
    if let Some(mode) = mode.as_deref() {
        let mut frames = Frames::new(std::io::stdout().lock());
        let outcome = match (mode, std::env::args().nth(4).and_then(|page| page.parse().ok())) {
            ("--members", _) => members(media, &bytes, &mut frames),
            ("--pictures", Some(from)) => scans::pictures(bytes, from, &mut frames),
            _ => return ExitCode::from(2),
        };
        return if frames.end(outcome) { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let answer = match parse(media, bytes) {
        Ok(parsed) => Answer::Parsed(parsed),
        Err(Unreadable(reason)) => Answer::Unreadable(reason),
    };
    let Ok(json) = serde_json::to_vec(&answer) else { return ExitCode::from(2) };
    let mut out = std::io::stdout().lock();
    match out.write_all(&json).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

/// `callslip extract --recognize PROGRAM ARGUMENT…`: a picture on stdin, its text on stdout. With
/// `--check` instead of a program: as above.
fn recognize() -> ExitCode {
    let mut arguments = std::env::args_os().skip(3);
    let Some(program) = arguments.next() else { return ExitCode::from(2) };
    if let Err(error) = sandbox::enter_to_run(Path::new(&program)) {
        eprintln!("cannot lock text recognition in: {error}");
        return ExitCode::from(2);
    }
    if program == "--check" {
        let breaches = sandbox::breaches();
        println!("{}", breaches.join("\n"));
        return if breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut command = Command::new(program);
    // A process here has one thread.
    let error = command.args(arguments).env_clear().env("OMP_THREAD_LIMIT", "1").exec();
    eprintln!("cannot run text recognition: {error}");
    ExitCode::from(2)
}

fn parse(media: MediaType, bytes: Vec<u8>) -> Result<Parsed, Unreadable> {
    match media {
        MediaType::Text => text::plain(&bytes),
        MediaType::Markdown => text::markdown(&bytes),
        MediaType::Html => html::parse(&bytes),
        MediaType::Pdf => pdf::parse(bytes),
        MediaType::Docx | MediaType::Pptx | MediaType::Xlsx => office::parse(media, &bytes),
        MediaType::Csv => csv::parse(&bytes),
        MediaType::Mail => mail::parse(&bytes),
        MediaType::JsonLines => Err(unreadable("lines are read one by one")),
        MediaType::Zip => Err(unreadable("members are read one by one")),
    }
}

fn members(
    media: MediaType,
    bytes: &[u8],
    frames: &mut Frames<impl Write>,
) -> Result<(), Unreadable> {
    match media {
        MediaType::Zip => archive::members(bytes, frames),
        MediaType::Mail => mail::members(bytes, frames),
        _ => Err(unreadable("this kind of file holds no others")),
    }
}
