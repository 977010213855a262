//! What is written: never two characters next to each other that make markup together.

use super::parts::mark_of;

/// How far the line has come that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// White space only.
    Blank,
    /// Marks of quotations and lists too.
    Marked,
    /// Words.
    Written,
}

/// Text that is being written.
pub(super) struct Out {
    bytes: Vec<u8>,
    /// The last character that was written.
    pub(super) last: Option<char>,
    /// Whether something was left out just before: what follows must not grow together.
    pub(super) seam: bool,
    line: Line,
    /// Where each open `[` of the paragraph was written, and whether an image's `!` stands before.
    pub(super) brackets: Vec<(usize, bool)>,
    /// Whether a `[` has begun a line of this paragraph.
    pub(super) labels: bool,
    /// How many things gave way.
    pub(super) active: usize,
}

impl Out {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            last: None,
            seam: false,
            line: Line::Blank,
            brackets: Vec::new(),
            labels: false,
            active: 0,
        }
    }

    pub(super) fn finish(mut self) -> String {
        // What was to be taken back was overwritten: cleaned text has no NUL of its own.
        self.bytes.retain(|byte| *byte != 0);
        String::from_utf8(self.bytes).expect("made of whole characters")
    }

    /// Whether the line has nothing in it yet.
    pub(super) fn is_blank(&self) -> bool {
        self.line == Line::Blank
    }

    /// `[`
    pub(super) fn open(&mut self) {
        let is_image = self.last == Some('!') && !self.seam;
        self.labels |= self.line != Line::Written;
        self.push('[');
        self.brackets.push((self.bytes.len() - 1, is_image));
    }

    /// Take back the `!` of an image whose `[` is at `at`, and the `[` too where it has no words.
    pub(super) fn take_back_image(&mut self, at: usize) {
        if self.bytes.len() > at + 1 {
            self.bytes[at - 1] = 0;
            self.push(']');
            return;
        }
        self.bytes.truncate(at - 1);
        let end = &self.bytes[self.bytes.len().saturating_sub(4)..];
        let last = String::from_utf8_lossy(end).chars().next_back();
        self.last = last.or(Some('\n'));
        self.seam = true;
    }

    /// Write a character, with a space before it where the two must not stand together.
    pub(super) fn push(&mut self, c: char) {
        if self.parts_from_last(c) {
            self.put(' ');
        }
        self.seam = false;
        self.put(c);
    }

    fn parts_from_last(&self, c: char) -> bool {
        let Some(last) = self.last else { return false };
        match last {
            ']' if c == '(' => return true,
            ']' if c == ':' => return self.labels,
            '<' if c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?') => return true,
            _ => {}
        }
        let joins = last.is_whitespace() || matches!(last, '(' | '[' | '{' | '"' | '\'');
        let ends = c.is_whitespace()
            || matches!(c, '.' | ',' | ';' | '!' | '?' | ')' | ']' | '}' | '"' | '\'');
        self.seam && !joins && !ends
    }

    pub(super) fn put(&mut self, c: char) {
        self.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.last = Some(c);
        self.line = match c {
            '\n' => {
                if self.line == Line::Blank {
                    // The end of the paragraph: nothing reaches beyond it.
                    self.brackets.clear();
                    self.labels = false;
                }
                Line::Blank
            }
            ' ' | '\t' => self.line,
            '>' | '-' | '*' | '+' | '.' | ')' | '0'..='9' if self.line != Line::Written => {
                Line::Marked
            }
            _ => Line::Written,
        };
    }

    pub(super) fn write(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }

    /// A word on what was left out, apart from the words around it.
    pub(super) fn mark(&mut self, what: &str, host: Option<&str>) {
        self.active += 1;
        self.aside_gap();
        self.labels = true;
        self.write(&mark_of(what, host));
        self.seam = true;
    }

    /// A target after its text.
    pub(super) fn aside(&mut self, target: &str) {
        if !target.is_empty() {
            self.aside_gap();
            self.write(&format!("({target})"));
        }
        self.seam = true;
    }

    pub(super) fn aside_gap(&mut self) {
        if self.last.is_some_and(|last| !last.is_whitespace() && !"([{\"'".contains(last)) {
            self.push(' ');
        }
    }
}
