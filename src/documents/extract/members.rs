//! What an archive or a message holds, one member after the other, from the child to its parent.
//!
//! A frame is a line of JSON, and after it the member's bytes, if the line promises some. The child
//! waits where the parent is not ready for more: however large an archive is, one of its members
//! is in memory.

use std::io::{BufWriter, Write};

use serde::{Deserialize, Serialize};

use super::Unreadable;

/// The largest member that is handed over.
pub(super) const MOST_MEMBER: u64 = 25 * 1024 * 1024;

/// The longest name, in characters: the beginning of a longer one is cut.
const MOST_NAME: usize = 1_000;

/// The line before a member's bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Frame {
    /// So many bytes of this name follow.
    Member { name: String, size: u64 },
    /// This one is not handed over.
    Refused { name: String, reason: String },
    /// The rest cannot be read, or all of it.
    Unreadable(String),
    /// That was the last.
    End,
}

/// The child's end.
pub(super) struct Frames<W: Write> {
    out: BufWriter<W>,
    /// The parent is gone: nothing more is of use.
    is_broken: bool,
}

impl<W: Write> Frames<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out: BufWriter::with_capacity(256 * 1024, out), is_broken: false }
    }

    /// Hand over a member, or say why not.
    pub(super) fn member(&mut self, name: &str, content: Result<&[u8], Unreadable>) {
        // The end says which file and of what kind it is.
        let name = name.chars().skip(name.chars().count().saturating_sub(MOST_NAME)).collect();
        match content {
            Ok(bytes) if bytes.len() as u64 > MOST_MEMBER => {
                let reason = "it is larger than 25 MiB: bring it in by itself".to_owned();
                self.write(&Frame::Refused { name, reason }, &[]);
            }
            Ok(bytes) => self.write(&Frame::Member { name, size: bytes.len() as u64 }, bytes),
            Err(Unreadable(reason)) => self.write(&Frame::Refused { name, reason }, &[]),
        }
    }

    /// Hand over what is ready: what comes next may end the process.
    pub(super) fn flush(&mut self) {
        self.is_broken |= self.out.flush().is_err();
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Say how it ended; whether the parent heard.
    pub(super) fn end(mut self, outcome: Result<(), Unreadable>) -> bool {
        let frame = match outcome {
            Ok(()) => Frame::End,
            Err(Unreadable(reason)) => Frame::Unreadable(reason),
        };
        self.write(&frame, &[]);
        !self.is_broken && self.out.flush().is_ok()
    }

    fn write(&mut self, frame: &Frame, bytes: &[u8]) {
        let written =
            serde_json::to_vec(frame).map_err(std::io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                self.out.write_all(&line)?;
                self.out.write_all(bytes)
            });
        self.is_broken |= written.is_err();
    }
}
