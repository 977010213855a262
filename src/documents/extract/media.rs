//! What a file is: by its name and by its first bytes, which must agree (spec row U-02).

use super::{Unreadable, unreadable};

/// A kind of file that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `.txt`
    Text,
    /// `.md`
    Markdown,
    /// `.html`
    Html,
    /// `.pdf`
    Pdf,
    /// `.jsonl`: one document a line.
    JsonLines,
}

impl MediaType {
    /// By the extension alone; `None` for a kind that we do not read.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "txt" | "text" => Some(Self::Text),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// By the extension, provided that the first bytes do not say otherwise.
    ///
    /// # Errors
    /// When the extension is not on the list, or the content is of another kind.
    pub fn detect(name: &str, bytes: &[u8]) -> Result<Self, Unreadable> {
        let media = Self::of_name(name).ok_or_else(|| {
            unreadable("this kind of file is not supported: use .txt, .md, .html, .pdf or .jsonl")
        })?;
        let head = &bytes[..bytes.len().min(1_024)];
        let is_pdf = head.windows(5).any(|window| window == b"%PDF-");
        if media == Self::Pdf {
            return if is_pdf { Ok(media) } else { Err(unreadable("this is not a PDF")) };
        }
        let other = [
            ("a PDF", is_pdf && head.starts_with(b"%PDF-")),
            ("a zip archive or an Office document", head.starts_with(b"PK\x03\x04")),
            (
                "an image",
                [&b"\x89PNG"[..], b"GIF8", b"\xff\xd8\xff", b"RIFF"]
                    .iter()
                    .any(|magic| head.starts_with(magic)),
            ),
            ("a program", head.starts_with(b"\x7fELF") || head.starts_with(b"MZ\x90")),
            ("an old Office document", head.starts_with(b"\xd0\xcf\x11\xe0")),
            ("an RTF document", head.starts_with(b"{\\rtf")),
            ("a compressed file", head.starts_with(b"\x1f\x8b")),
        ];
        match other.iter().find(|(_, is)| *is) {
            Some((what, _)) => Err(unreadable(format!("the name says text, but this is {what}"))),
            None => Ok(media),
        }
    }

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Pdf => "application/pdf",
            Self::JsonLines => "application/json",
        }
    }

    /// The reverse of [`MediaType::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Text, Self::Markdown, Self::Html, Self::Pdf, Self::JsonLines]
            .into_iter()
            .find(|media| media.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [U-02] Name and first bytes must agree.
    #[test]
    fn name_and_content_must_agree() {
        assert_eq!(MediaType::detect("A.PDF", b"\n%PDF-1.7").unwrap(), MediaType::Pdf);
        assert_eq!(MediaType::detect("a.b.md", b"# x").unwrap(), MediaType::Markdown);
        for (name, bytes) in [
            ("a.pdf", &b"hello"[..]),
            ("a.txt", b"%PDF-1.7"),
            ("a.txt", b"PK\x03\x04"),
            ("a.html", b"\x89PNG\r\n"),
            ("a.md", b"\x7fELF"),
            ("a.svg", b"<svg/>"),
            ("a.docx", b"PK\x03\x04"),
            ("noextension", b"text"),
        ] {
            assert!(MediaType::detect(name, bytes).is_err(), "{name}");
        }
    }
}
