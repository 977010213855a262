//! Reading untrusted files in a child process that may do nothing else.

use std::{path::PathBuf, process::ExitCode};

/// Starts the child process that reads a file.
#[derive(Clone, Debug)]
pub struct Extractor {
    program: PathBuf,
}

impl Extractor {
    /// Run `program extract …`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Run this very executable, even after it was replaced on disk.
    #[must_use]
    pub fn this_program() -> Self {
        Self::new("/proc/self/exe")
    }
}

/// The child's side: `callslip extract MEDIA-TYPE`, file on stdin, JSON on stdout.
#[must_use]
pub fn child_main() -> ExitCode {
    ExitCode::FAILURE
}
