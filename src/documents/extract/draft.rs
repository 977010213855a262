//! A text as it is put together from a structured file: headings, paragraphs, items and rows.
//!
//! Headings are marked as in Markdown, items and rows begin with a mark that ends the sentence
//! before them, and none of it grows past its bound, whatever the file repeats.

use super::{MAX_TEXT, Unreadable, too_long};

/// What was written so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    text: String,
    is_full: bool,
}

impl Draft {
    /// A heading; 1 is outermost.
    pub(super) fn heading(&mut self, level: u8, text: &str) {
        let text = one_line(text);
        if !text.is_empty() {
            self.gap();
            let marks = "#".repeat(usize::from(level.clamp(1, 6)));
            self.push(&[&marks, " ", &text]);
            self.gap();
        }
    }

    /// Text of its own, between blank lines.
    pub(super) fn paragraph(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.gap();
            self.push(&[text]);
            self.gap();
        }
    }

    /// An item of a list, `depth` lists deep.
    pub(super) fn item(&mut self, depth: usize, mark: &str, text: &str) {
        let text = one_line(text);
        if !text.is_empty() {
            self.break_line();
            self.push(&[&"  ".repeat(depth.min(8)), mark, " ", &text, "\n"]);
        }
    }

    /// A line among others.
    pub(super) fn line(&mut self, text: &str) {
        let text = one_line(text);
        if !text.is_empty() {
            self.break_line();
            self.push(&[&text, "\n"]);
        }
    }

    /// A blank line, unless there is one or nothing is above it.
    pub(super) fn gap(&mut self) {
        self.break_line();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Whether it holds all that it may: what comes now is lost, and so is the whole in the end.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// The text without white space at its ends.
    ///
    /// # Errors
    /// When more was written than a document may hold.
    pub(super) fn finish(self) -> Result<String, Unreadable> {
        if self.is_full {
            return Err(too_long());
        }
        Ok(self.text.trim().to_owned())
    }

    fn break_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    fn push(&mut self, parts: &[&str]) {
        let more: usize = parts.iter().map(|part| part.len()).sum();
        self.is_full |= self.text.len() + more > MAX_TEXT;
        if !self.is_full {
            self.text.extend(parts.iter().copied());
        }
    }
}

/// Words with one space between them.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_reads_as_markdown() {
        let mut draft = Draft::default();
        draft.heading(1, "Cats\n at home");
        draft.paragraph("They stay.\nAlways.");
        draft.item(0, "-", "one");
        draft.item(1, "-", " two ");
        draft.paragraph(" ");
        draft.heading(9, "Deep");
        draft.line("| a | b");
        assert_eq!(
            draft.finish().unwrap(),
            "# Cats at home\n\nThey stay.\nAlways.\n\n- one\n  - two\n\n###### Deep\n\n| a | b"
        );
    }

    #[test]
    fn a_draft_has_an_end() {
        let mut draft = Draft::default();
        let long = "x".repeat(1_000_000);
        (0..20).for_each(|_| draft.paragraph(&long));
        assert!(draft.is_full() && draft.text.len() <= MAX_TEXT + 2);
        assert!(draft.finish().is_err());
    }
}
