//! What fuzzers feed: the readers of files that are our own, without the walls around them.

use super::{
    MAX_TEXT, MediaType, archive, csv, mail,
    members::{Frame, Frames, MOST_MEMBER},
    package,
};

/// Rows come out as lines that say something, and not without end.
pub(crate) fn csv(bytes: &[u8]) {
    if let Ok(parsed) = csv::parse(bytes) {
        let text = parsed.sections.concat();
        assert!(!text.trim().is_empty() && text.len() <= MAX_TEXT);
        assert!(text.lines().all(|line| line.starts_with("| ")));
    }
}

/// A name, an empty line, and the content: what is taken is what its name says.
pub(crate) fn media_type(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let name = String::from_utf8_lossy(&bytes[..end]);
    let content = bytes.get(end + 2..).unwrap_or_default();
    match MediaType::detect(&name, content) {
        Ok(media) => {
            assert_eq!(MediaType::of_name(&name), Some(media));
            assert!(!content.is_empty());
        }
        Err(reason) => assert!(!reason.0.is_empty()),
    }
}

/// Every member is a file of a kind that we read, in bounds and inside its archive, or a reason.
pub(crate) fn archive(bytes: &[u8]) {
    let mut out = Vec::new();
    let mut frames = Frames::new(&mut out);
    let outcome = archive::members(bytes, &mut frames);
    assert!(frames.end(outcome));
    let mut rest = out.as_slice();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a line");
        let frame = serde_json::from_slice(&rest[..end]).expect("a frame");
        rest = &rest[end + 1..];
        match frame {
            Frame::Member { name, size } => {
                assert!(MediaType::of_name(&name).is_some() && !name.starts_with('/'));
                assert!(size <= MOST_MEMBER && !name.split('/').any(|part| part == ".."));
                rest = &rest[usize::try_from(size).expect("a size")..];
            }
            Frame::Refused { reason, .. } => assert!(!reason.is_empty()),
            Frame::Unreadable(_) | Frame::End => break,
        }
    }
    assert!(rest.is_empty());
    if let Ok(mut zip) = package::open(bytes)
        && let Some(office) = package::office(&zip)
    {
        // Whatever it says, it says it.
        drop(package::check_office(&mut zip, office));
    }
}

/// A message that is read says who wrote it, when, or of what.
pub(crate) fn mail(bytes: &[u8]) {
    if let Ok(parsed) = mail::parse(bytes) {
        assert!(parsed.sections.len() == 1 && parsed.sections[0].len() <= MAX_TEXT);
        let mut out = Vec::new();
        let mut frames = Frames::new(&mut out);
        let outcome = mail::members(bytes, &mut frames);
        assert!(outcome.is_ok() && frames.end(outcome));
        assert!(parsed.holds_members || !out.starts_with(b"{\"member\""));
    }
}
