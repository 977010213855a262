//! The parent's end of what a file holds: one member at a time, whatever the child does.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout},
};

use super::{
    Unreadable,
    members::{Frame, MOST_MEMBER},
    parent::{ended, failed, too_slow},
};
use crate::fault::Fault;

/// The longest line before a member.
const MOST_LINE: u64 = 64 * 1024;

/// What a file holds, as it comes.
#[derive(Debug)]
pub struct Members {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    /// How long a member may take.
    wall: Duration,
}

/// One of them, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A file, by its name inside.
    File(String, Vec<u8>),
    /// A file that is not read, and why.
    Refused(String, Unreadable),
    /// Nothing more can be read, and why.
    Failed(Unreadable),
    /// That was the last.
    End,
}

impl Members {
    pub(super) fn new(mut child: Child, wall: Duration) -> Self {
        let out = child.stdout.take().map(BufReader::new);
        Self { child, out, wall }
    }

    /// The next one; after [`Member::Failed`] and [`Member::End`] there is none.
    ///
    /// # Errors
    /// When it cannot be known how the child ended.
    pub async fn next(&mut self) -> Result<Member, Fault> {
        let Some(out) = &mut self.out else { return Ok(Member::End) };
        let frame = match tokio::time::timeout(self.wall, read(out)).await {
            Ok(Some(member)) => member,
            Ok(None) => {
                self.child.start_kill().ok();
                let status = self.child.wait().await?;
                Member::Failed(ended(status).unwrap_or_else(failed))
            }
            Err(_) => Member::Failed(too_slow(self.wall)),
        };
        if matches!(frame, Member::Failed(_) | Member::End) {
            // Dropping it is what tells the child to stop.
            self.out = None;
        }
        Ok(frame)
    }
}

/// A frame with its bytes; `None` for anything else.
async fn read(out: &mut BufReader<ChildStdout>) -> Option<Member> {
    let mut line = Vec::new();
    (&mut *out).take(MOST_LINE).read_until(b'\n', &mut line).await.ok()?;
    Some(match serde_json::from_slice(&line).ok()? {
        Frame::Member { name, size } if size <= MOST_MEMBER => {
            let mut bytes = vec![0; usize::try_from(size).ok()?];
            out.read_exact(&mut bytes).await.ok()?;
            Member::File(name, bytes)
        }
        Frame::Member { .. } => return None,
        Frame::Refused { name, reason } => Member::Refused(name, Unreadable(reason)),
        Frame::Unreadable(reason) => Member::Failed(Unreadable(reason)),
        Frame::End => Member::End,
    })
}
