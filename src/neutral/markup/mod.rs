//! Text without live markup (spec row N-03): nothing in it is an image, a link with a target of its
//! own, or an HTML element with an attribute, to any reader of Markdown or HTML.
//!
//! No reader is imitated, since no two agree. The text is read once, from left to right, as if there
//! were no code, no escapes and no nesting. What looks like an image or an embedded thing gives way
//! to a word on it; a link's target loses its scheme and stays as text. And whatever it looks like,
//! these never stand together in what is written ([`out`]):
//! - `](`, without which there are no inline links and images;
//! - `]:` after a `[` that begins a line, without which there are no definitions, and so no links by
//!   reference either;
//! - `<` and what begins a tag, an autolink or a comment, but for tags without attributes.
//!
//! A URL that an author wrote out in the text is text already, and stays.

mod out;
mod parts;

use out::Out;
use parts::{
    MARK_MOST, attribute, bare_tag, email, host, image_target, scheme, shown, tag_end, url_end,
};

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disarmed {
    pub(super) text: String,
    /// How many things gave way.
    pub(super) active: usize,
}

/// Write `text` anew without live markup. It has no hidden characters any more.
pub(super) fn disarm(text: &str) -> Disarmed {
    let out = Out::with_capacity(text.len() + text.len() / 16);
    let mut reader = Reader { text, at: 0, skip: None, out, anchors: Vec::new() };
    reader.run();
    let active = reader.out.active;
    Disarmed { text: reader.out.finish(), active }
}

struct Reader<'a> {
    text: &'a str,
    /// What is read next.
    at: usize,
    /// The `>` of a target whose `<` was left out.
    skip: Option<usize>,
    out: Out,
    /// The targets of the open `<a>`, as they will be shown.
    anchors: Vec<String>,
}

impl<'a> Reader<'a> {
    fn run(&mut self) {
        while let Some(c) = self.rest().chars().next() {
            if self.skip == Some(self.at) {
                self.at += 1;
                self.out.seam = true;
                continue;
            }
            match c {
                '[' => self.open(),
                ']' => self.close(),
                '<' => self.angle(),
                'j' | 'J' | 'v' | 'V' | 'd' | 'D' if self.script() => {}
                'u' | 'U' if self.style() => {}
                c => self.copy(c),
            }
        }
        while let Some(target) = self.anchors.pop() {
            self.out.aside(&target);
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Write the next character as it is.
    fn copy(&mut self, c: char) {
        self.at += c.len_utf8();
        self.out.push(c);
    }

    /// `[`
    fn open(&mut self) {
        self.at += 1;
        self.out.open();
    }

    /// `]`, and what makes it an image, a link or a definition.
    fn close(&mut self) {
        let after = self.text[self.at + 1..].chars().next();
        let opener = self.out.brackets.pop();
        if let Some((at, true)) = opener {
            if after == Some('(') && self.image(at) {
                return;
            }
            if after == Some('[') {
                // By reference. Its definition is none any more.
                self.copy(']');
                self.out.push(' ');
                return;
            }
        }
        self.copy(']');
        match after {
            Some('(') => {
                self.copy('(');
                self.target();
            }
            Some(':') if self.out.labels => {
                self.copy(':');
                self.target();
            }
            _ => {}
        }
    }

    /// The rest of an image whose `[` was written at `at`; `false` when it is none.
    fn image(&mut self, at: usize) -> bool {
        let Some((target, length)) = image_target(&self.text[self.at + 1..]) else { return false };
        let host = host(target);
        self.out.take_back_image(at);
        self.at += 1 + length;
        self.out.mark("image", host.as_deref());
        true
    }

    /// What follows a link's `(` or a definition's `:`: a target, which loses its scheme.
    fn target(&mut self) {
        while let Some(c @ (' ' | '\t' | '\n')) = self.rest().chars().next() {
            if c == '\n' && self.out.is_blank() {
                return;
            }
            self.copy(c);
        }
        if self.rest().starts_with('<') {
            let inside = &self.rest()[1..];
            let Some(end) = inside.find(['<', '>', '\n']) else { return };
            if !inside[end..].starts_with('>') || !is_absolute(inside) {
                return;
            }
            self.skip = Some(self.at + 1 + end);
            self.at += 1;
        }
        self.strip();
    }

    /// Pass over schemes, however many.
    fn strip(&mut self) {
        loop {
            let rest = self.rest();
            self.at += match scheme(rest) {
                Some(name) if rest[name.len()..].starts_with("://") => name.len() + 3,
                _ if rest.starts_with("//") => 2,
                _ => return,
            };
        }
    }

    /// `<`: a tag, an autolink, or just that.
    fn angle(&mut self) {
        let rest = &self.text[self.at..];
        if let Some((name, length)) = bare_tag(rest) {
            if name == "/a"
                && let Some(target) = self.anchors.pop()
            {
                self.at += length;
                self.out.aside(&target);
                return;
            }
            if !matches!(name.as_str(), "script" | "style") {
                return self.raw(length);
            }
        } else if let Some(length) = email(rest) {
            return self.raw(length);
        } else if self.autolink() || self.element() {
            return;
        }
        // Whatever it is the beginning of: the next character is written apart.
        self.copy('<');
    }

    /// What is harmless as a whole.
    fn raw(&mut self, length: usize) {
        let (first, others) = self.text[self.at..self.at + length].split_at(1);
        self.at += length;
        self.out.write(first);
        others.chars().for_each(|c| self.out.put(c));
    }

    fn autolink(&mut self) -> bool {
        let inside = &self.rest()[1..];
        let Some(name) = scheme(inside) else { return false };
        let target = &inside[name.len() + 1..];
        let is_known = ["http", "https", "ftp", "mailto", "tel", "javascript", "vbscript", "data"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        let end = inside.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>'));
        let Some(end) = end.filter(|end| inside[*end..].starts_with('>')) else { return false };
        if !(is_known || target.starts_with('/')) {
            return false;
        }
        self.skip = Some(self.at + 1 + end);
        self.at += 1;
        self.out.seam = true;
        self.strip();
        true
    }

    /// An element that loads, or leads somewhere.
    fn element(&mut self) -> bool {
        const KINDS: [&str; 17] = [
            "a", "applet", "area", "audio", "base", "embed", "frame", "iframe", "image", "img",
            "link", "object", "script", "source", "style", "track", "video",
        ];
        let rest = &self.text[self.at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        if !KINDS.contains(&name.as_str()) {
            return false;
        }
        let Some(length) = tag_end(rest) else { return false };
        let tag = &rest[end..length];
        self.at += 1 + length + 1;
        let address = ["src", "href", "data", "srcset", "poster"];
        let target = address.iter().find_map(|name| attribute(tag, name));
        match name.as_str() {
            "a" | "area" => {
                self.out.seam = true;
                let target = target.map(shown).unwrap_or_default();
                if name == "area" { self.out.aside(&target) } else { self.anchors.push(target) }
            }
            name => {
                let name = if matches!(name, "img" | "image") { "image" } else { name };
                if let Some(alt) = attribute(tag, "alt") {
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, ',' | '.' | '-');
                    let words: String =
                        alt.chars().map(|c| if plain(c) { c } else { ' ' }).collect();
                    self.out.aside_gap();
                    self.out.write(&super::line(&words, MARK_MOST));
                }
                self.out.mark(name, target.and_then(host).as_deref());
            }
        }
        true
    }

    /// `javascript:…` and `data:…` wherever they stand.
    fn script(&mut self) -> bool {
        if !self.out.seam && self.out.last.is_some_and(|last| last.is_alphanumeric() || last == '_')
        {
            return false;
        }
        let rest = self.rest();
        let Some(name) = scheme(rest).filter(|name| rest[name.len()..].starts_with(':')) else {
            return false;
        };
        let target = &rest[name.len() + 1..];
        let what = match name.to_ascii_lowercase().as_str() {
            "javascript" | "vbscript" if target.starts_with(|c: char| !c.is_whitespace()) => {
                "script URL"
            }
            "data" if is_data(target) => "data URL",
            _ => return false,
        };
        self.at += url_end(rest);
        self.out.mark(what, None);
        true
    }

    /// `url(…)` of a style sheet.
    fn style(&mut self) -> bool {
        let rest = self.rest();
        let is_word = self.out.last.is_some_and(|last| last.is_alphanumeric()) && !self.out.seam;
        if is_word || !rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("url(")) {
            return false;
        }
        let inside = rest[4..].trim_start_matches([' ', '\t', '\n', '"', '\'']);
        // What comes next may be left out, and who knows what it is followed by.
        let is_left_out =
            inside.starts_with('<') || self.skip == Some(self.text.len() - inside.len());
        if !is_absolute(inside) && !is_left_out {
            return false;
        }
        let gap = rest[4..].len() - inside.len();
        let (word, quote) = (rest[..3].to_owned(), rest[4..4 + gap].to_owned());
        self.at += 4 + gap;
        self.out.write(&word);
        self.out.push(' ');
        self.out.push('(');
        self.out.write(&quote);
        self.strip();
        true
    }
}

/// Whether a target names a host.
fn is_absolute(target: &str) -> bool {
    target.starts_with("//")
        || scheme(target).is_some_and(|name| target[name.len()..].starts_with("://"))
}

/// `image/png;base64,…`: a word before a colon is nothing yet.
fn is_data(target: &str) -> bool {
    let kind = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '/'));
    let end = target.find(kind).unwrap_or(target.len());
    let named = target[..end].contains('/') && target[end..].starts_with([';', ',']);
    named || target.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(";base64,"))
}
