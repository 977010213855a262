//! What a file is: by its name and by its first bytes, which must agree (spec row U-02).

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::{Unreadable, unreadable};

/// How much of a file's beginning says what it is, and of its end what else.
const HEAD: u64 = 1_024;
const TAIL: u64 = 70_000;
/// How much of it is looked through at once.
const PIECE: u64 = 64 << 10;

/// A kind of file that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `.pdf`
    Pdf,
    /// `.docx`
    Docx,
    /// `.pptx`
    Pptx,
    /// `.xlsx`
    Xlsx,
    /// `.html`
    Html,
    /// `.md`
    Markdown,
    /// `.txt`
    Text,
    /// `.csv`
    Csv,
    /// `.eml`
    Mail,
    /// `.jsonl`: one document a line.
    JsonLines,
    /// `.zip`: its members are documents.
    Zip,
}

/// Each kind: as it is stored and shown, and how files of it are named, the usual way first.
const KINDS: [(MediaType, &str, &[&str]); 11] = [
    (MediaType::Pdf, "application/pdf", &["pdf"]),
    (
        MediaType::Docx,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        &["docx"],
    ),
    (
        MediaType::Pptx,
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        &["pptx"],
    ),
    (
        MediaType::Xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        &["xlsx"],
    ),
    (MediaType::Html, "text/html", &["html", "htm"]),
    (MediaType::Markdown, "text/markdown", &["md", "markdown"]),
    (MediaType::Text, "text/plain", &["txt", "text"]),
    (MediaType::Csv, "text/csv", &["csv", "tsv"]),
    (MediaType::Mail, "message/rfc822", &["eml"]),
    (MediaType::JsonLines, "application/json", &["jsonl", "ndjson"]),
    (MediaType::Zip, "application/zip", &["zip"]),
];

/// What is said of a file of any other kind.
pub(in crate::documents) const UNSUPPORTED: &str = "this kind of file is not supported: use .pdf, \
    .docx, .pptx, .xlsx, .html, .md, .txt, .csv, .eml, .jsonl or .zip";

/// What begins in these ways is none of our kinds.
const MAGIC: [(&str, &[u8]); 24] = [
    ("an image", b"\x89PNG"),
    ("an image", b"GIF8"),
    ("an image", b"\xff\xd8\xff"),
    ("an image", b"II*\0"),
    ("an image", b"MM\0*"),
    ("an image", b"BM\x36"),
    ("an image, a sound or a film", b"RIFF"),
    ("a sound", b"ID3"),
    ("a sound", b"OggS"),
    ("a film", b"\x1a\x45\xdf\xa3"),
    ("a program", b"\x7fELF"),
    ("a program", b"MZ"),
    ("a program", b"\xca\xfe\xba\xbe"),
    ("a program", b"\xcf\xfa\xed\xfe"),
    ("a program", b"\0asm"),
    ("an RTF document: save it as .docx", b"{\\rtf"),
    ("a PostScript document: save it as .pdf", b"%!PS"),
    ("a database", b"SQLite format 3\0"),
    ("a compressed file: unpack it first", b"\x1f\x8b"),
    ("a compressed file: unpack it first", b"BZh"),
    ("a compressed file: unpack it first", b"\xfd7zXZ"),
    ("a compressed file: unpack it first", b"\x28\xb5\x2f\xfd"),
    ("a 7-Zip archive: pack it as .zip", b"7z\xbc\xaf\x27\x1c"),
    ("a RAR archive: pack it as .zip", b"Rar!\x1a\x07"),
];

/// What the bytes are, whatever the name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Pdf,
    Zip,
    /// One of the old Office formats, or a new one behind a password.
    Compound,
    Other(&'static str),
    Text,
}

impl MediaType {
    /// What its parts are called that have numbers; `None` where there are none.
    #[must_use]
    pub const fn pages(self) -> Option<&'static str> {
        match self {
            Self::Pdf => Some("page"),
            Self::Pptx => Some("slide"),
            Self::Xlsx => Some("sheet"),
            Self::Docx
            | Self::Html
            | Self::Markdown
            | Self::Text
            | Self::Csv
            | Self::Mail
            | Self::JsonLines
            | Self::Zip => None,
        }
    }

    /// By the extension alone; `None` for a kind that we do not read.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        let extension = extension.to_ascii_lowercase();
        let known = KINDS.iter().find(|(_, _, names)| names.contains(&extension.as_str()))?;
        Some(known.0)
    }

    /// By the extension, provided that the first bytes do not say otherwise.
    ///
    /// # Errors
    /// When the extension is not on the list, or the content is of another kind: what it is then,
    /// and what it should be called.
    pub fn detect(name: &str, bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::detect_in(name, &mut Cursor::new(bytes)).expect("memory can be read")
    }

    /// The same of a file, of which no more is read than it takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::documents) fn detect_in(
        name: &str,
        file: &mut (impl Read + Seek),
    ) -> io::Result<Result<Self, Unreadable>> {
        let Some(media) = Self::of_name(name) else {
            return Ok(Err(unreadable(related(name))));
        };
        let head = head(file)?;
        if head.is_empty() {
            return Ok(Err(unreadable("the file is empty")));
        }
        let (is, called) = match (media, content(&head)) {
            (Self::Pdf, Content::Pdf) => return Ok(single(&tail(file)?).map(|()| media)),
            (Self::Docx | Self::Pptx | Self::Xlsx | Self::Zip, Content::Zip) => {
                return Ok(Ok(media));
            }
            (media, Content::Text) if media.is_text() => return Ok(Ok(media)),
            (Self::Docx | Self::Pptx | Self::Xlsx, Content::Compound) if has_package(file)? => {
                return Ok(Err(unreadable("the document is protected with a password")));
            }
            (_, Content::Pdf) => ("a PDF", ": name it .pdf"),
            (_, Content::Zip) => {
                ("a zip archive or an Office document", ": name it after its kind")
            }
            (_, Content::Compound) => {
                ("an old Office document", ": save it as .docx, .pptx or .xlsx")
            }
            (_, Content::Other(what)) => (what, ""),
            (_, Content::Text) => ("text, or damaged", ""),
        };
        let named = media.extension();
        Ok(Err(unreadable(format!("the name says .{named}, but this is {is}{called}"))))
    }

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.kind().1
    }

    /// How files of this kind are usually named.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        self.kind().2[0]
    }

    /// The reverse of [`MediaType::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        KINDS.iter().find(|(_, stored, _)| *stored == text).map(|(media, ..)| *media)
    }

    /// Every extension that we read, with its dot.
    pub fn extensions() -> impl Iterator<Item = String> {
        KINDS.iter().flat_map(|(_, _, names)| names.iter().map(|name| format!(".{name}")))
    }

    const fn kind(self) -> &'static (Self, &'static str, &'static [&'static str]) {
        &KINDS[self as usize]
    }

    const fn is_text(self) -> bool {
        match self {
            Self::Html | Self::Markdown | Self::Text | Self::Csv | Self::Mail | Self::JsonLines => {
                true
            }
            Self::Pdf | Self::Docx | Self::Pptx | Self::Xlsx | Self::Zip => false,
        }
    }
}

fn head(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.rewind()?;
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

fn tail(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

fn content(head: &[u8]) -> Content {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Content::Zip;
    }
    if head.starts_with(b"\xd0\xcf\x11\xe0") {
        return Content::Compound;
    }
    if let Some((what, _)) = MAGIC.iter().find(|(_, magic)| head.starts_with(magic)) {
        return Content::Other(what);
    }
    // Some programs put a few lines before a PDF; a page or a script is more than that.
    match head.windows(5).position(|window| window == b"%PDF-") {
        Some(at) if at == 0 || !head[..at].contains(&b'<') => Content::Pdf,
        _ if head.get(4..8) == Some(b"ftyp") => Content::Other("a film"),
        _ => Content::Text,
    }
}

/// A PDF that is an archive as well, to whoever reads it from its end, is refused.
fn single(tail: &[u8]) -> Result<(), Unreadable> {
    const DIRECTORY_END: &[u8] = b"PK\x05\x06";
    let after = tail.windows(5).rposition(|window| window == b"%%EOF").unwrap_or(0);
    if tail[after..].windows(DIRECTORY_END.len()).any(|window| window == DIRECTORY_END) {
        return Err(unreadable("this is a PDF and a zip archive in one: send one of them"));
    }
    Ok(())
}

/// Whether a compound file holds a new Office document, encrypted: its stream's name says so.
fn has_package(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let name: Vec<u8> = "EncryptedPackage".bytes().flat_map(|byte| [byte, 0]).collect();
    let mut piece = Vec::new();
    file.rewind()?;
    loop {
        // The end of the piece before may be the beginning of the name.
        piece.drain(..piece.len().saturating_sub(name.len() - 1));
        if file.by_ref().take(PIECE).read_to_end(&mut piece)? == 0 {
            return Ok(false);
        }
        if piece.windows(name.len()).any(|window| window == name) {
            return Ok(true);
        }
    }
}

/// What to do with a file of a kind that is near to one of ours.
fn related(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("doc" | "dot" | "rtf" | "odt" | "pages") => {
            "this kind of document is not supported: save it as .docx or .pdf"
        }
        Some("ppt" | "pps" | "odp" | "key") => {
            "this kind of presentation is not supported: save it as .pptx or .pdf"
        }
        Some("xls" | "xlsb" | "ods" | "numbers") => {
            "this kind of workbook is not supported: save it as .xlsx or .csv"
        }
        Some("docm" | "dotm" | "pptm" | "xlsm" | "xltm") => {
            "a document with macros is not taken: save it as .docx, .pptx or .xlsx"
        }
        Some("msg" | "pst" | "mbox") => "this kind of mail is not supported: save it as .eml",
        Some("7z" | "rar" | "tar" | "gz" | "tgz" | "bz2" | "xz") => {
            "this kind of archive is not supported: pack it as .zip"
        }
        _ => UNSUPPORTED,
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
        assert_eq!(MediaType::detect("a.docx", b"PK\x03\x04").unwrap(), MediaType::Docx);
        for (name, bytes, reason) in [
            ("a.pdf", &b"hello"[..], "but this is text"),
            ("a.txt", b"%PDF-1.7", "name it .pdf"),
            ("a.txt", b"PK\x03\x04", "a zip archive or an Office document"),
            ("a.html", b"\x89PNG\r\n", "an image"),
            ("a.pdf", b"GIF89a %PDF-1.7", "an image"),
            ("a.pdf", b"<html>%PDF-1.7", "text"),
            ("a.pdf", b"%PDF-1.7\n%%EOF\nPK\x05\x06", "in one"),
            ("a.md", b"\x7fELF", "a program"),
            ("a.csv", b"MZ\x90\0", "a program"),
            ("a.svg", b"<svg/>", "not supported"),
            ("a.docx", b"\xd0\xcf\x11\xe0", "an old Office document"),
            (
                "a.docx",
                b"\xd0\xcf\x11\xe0E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0",
                "password",
            ),
            ("a.doc", b"\xd0\xcf\x11\xe0", "save it as .docx"),
            ("a.xlsm", b"PK\x03\x04", "macros"),
            ("a.txt", b"", "empty"),
            ("noextension", b"text", "not supported"),
        ] {
            let refused = MediaType::detect(name, bytes).unwrap_err();
            assert!(refused.0.contains(reason), "{name}: {refused:?}");
        }
    }

    #[test]
    fn every_kind_is_where_its_number_says() {
        for (index, (media, stored, names)) in KINDS.iter().enumerate() {
            assert_eq!(*media as usize, index);
            assert_eq!(MediaType::parse(stored), Some(*media));
            assert_eq!(MediaType::of_name(&format!("x.{}", names[0])), Some(*media));
            assert!(UNSUPPORTED.contains(&format!(".{}", names[0])), "{names:?}");
        }
    }
}
