//! HTML: the text that a reader sees, with headings, lists and tables as Markdown shows them.
//!
//! Scripts, styles, forms' controls, comments and hidden elements are dropped; a link keeps its
//! text, an image its description.

use scraper::{ElementRef, Html, Node};

use super::{MAX_TEXT, Parsed, Unreadable, text::decode, too_long, unreadable};
use crate::documents::outline::Style;

const MAX_DEPTH: usize = 500;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    page(&decode(bytes)?)
}

/// The page that this source shows.
pub(super) fn page(source: &str) -> Result<Parsed, Unreadable> {
    let document = Html::parse_document(source);
    let mut page = Page::default();
    page.children(document.root_element(), 0)?;
    let body = page.text.trim().to_owned();
    if body.is_empty() {
        return Err(unreadable("0 characters from the page: it has no text that a reader sees"));
    }
    Ok(Parsed {
        style: Style::Markdown,
        title: page.title,
        sections: vec![body],
        ..Parsed::default()
    })
}

#[derive(Default)]
struct Page {
    text: String,
    title: Option<String>,
    /// How many `pre` elements we are inside of.
    preformatted: usize,
    list: Vec<Option<usize>>,
}

impl Page {
    fn children(&mut self, parent: ElementRef<'_>, depth: usize) -> Result<(), Unreadable> {
        if depth > MAX_DEPTH {
            return Err(unreadable("the HTML is nested deeper than 500 elements"));
        }
        if self.text.len() > MAX_TEXT {
            return Err(too_long());
        }
        for child in parent.children() {
            if let Node::Text(text) = child.value() {
                self.words(text);
            } else if let Some(element) = ElementRef::wrap(child)
                && !is_hidden(element)
            {
                self.element(element, depth)?;
            }
        }
        Ok(())
    }

    fn element(&mut self, node: ElementRef<'_>, depth: usize) -> Result<(), Unreadable> {
        let name = node.value().name();
        match name {
            "title" => {
                self.title = self.title.take().or_else(|| Some(plain_text(node)));
                return Ok(());
            }
            "br" => self.line(),
            "hr" => self.paragraph(),
            "img" => self.words(node.attr("alt").unwrap_or_default()),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.paragraph();
                let level = usize::from(name.as_bytes()[1] - b'0');
                self.text.push_str(&"#".repeat(level));
                self.text.push(' ');
                self.words(&plain_text(node));
                self.paragraph();
                return Ok(());
            }
            "ul" => self.list.push(None),
            "ol" => self.list.push(Some(1)),
            "li" => self.item(),
            "tr" => self.line(),
            "td" | "th" if !self.text.ends_with('\n') => self.text.push_str(" | "),
            "pre" => {
                self.paragraph();
                self.preformatted += 1;
            }
            _ if is_block(name) => self.paragraph(),
            _ => {}
        }
        self.children(node, depth + 1)?;
        match name {
            "ul" | "ol" => {
                self.list.pop();
                self.line();
            }
            "pre" => {
                self.preformatted -= 1;
                self.paragraph();
            }
            "li" | "tr" => self.line(),
            _ if is_block(name) => self.paragraph(),
            _ => {}
        }
        Ok(())
    }

    fn item(&mut self) {
        self.line();
        let mark = match self.list.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            Some(None) | None => "- ".to_owned(),
        };
        self.text.push_str(&mark);
    }

    fn words(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.text.push_str(text);
            return;
        }
        if text.starts_with(char::is_whitespace) {
            self.space();
        }
        for (index, word) in text.split_whitespace().enumerate() {
            if index > 0 {
                self.text.push(' ');
            }
            self.text.push_str(word);
        }
        if text.ends_with(char::is_whitespace) {
            self.space();
        }
    }

    fn space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    fn line(&mut self) {
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    fn paragraph(&mut self) {
        self.line();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "dd"
            | "details"
            | "div"
            | "dl"
            | "dt"
            | "figcaption"
            | "figure"
            | "footer"
            | "header"
            | "main"
            | "nav"
            | "p"
            | "section"
            | "summary"
            | "table"
    )
}

/// What a reader does not see: not content, or hidden by its own attributes (spec row U-07).
fn is_hidden(node: ElementRef<'_>) -> bool {
    let name = node.value().name();
    if matches!(
        name,
        "script"
            | "style"
            | "noscript"
            | "template"
            | "svg"
            | "math"
            | "iframe"
            | "object"
            | "embed"
            | "canvas"
            | "audio"
            | "video"
            | "select"
            | "textarea"
            | "input"
            | "button"
            | "datalist"
            | "dialog"
    ) {
        return true;
    }
    if node.attr("hidden").is_some() {
        return true;
    }
    let style = node.attr("style").unwrap_or_default();
    let style: String = style.to_ascii_lowercase().split_whitespace().collect();
    let declares = |property: &str, values: &[&str]| {
        style.split(';').filter_map(|one| one.split_once(':')).any(|(name, value)| {
            let value = value.trim_end_matches("!important");
            name == property && values.contains(&value)
        })
    };
    declares("display", &["none"])
        || declares("visibility", &["hidden", "collapse"])
        || declares("font-size", &["0", "0px", "0pt", "0em", "0rem", "0%", "1px"])
        || declares("opacity", &["0", "0.0", "0%"])
        || declares("color", &["transparent", "#fff", "#ffffff", "white", "rgba(0,0,0,0)"])
            && !style.contains("background")
}

/// The visible text below an element, without structure.
fn plain_text(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    collect(element, &mut text, 0);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn collect(element: ElementRef<'_>, text: &mut String, depth: usize) {
    for child in element.children() {
        if let Node::Text(words) = child.value() {
            text.push_str(words);
        } else if let Some(element) = ElementRef::wrap(child)
            && depth < MAX_DEPTH
            && !is_hidden(element)
        {
            text.push_str(if element.value().name() == "br" { " " } else { "" });
            collect(element, text, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_kept_as_markdown() {
        let html = "<!doctype html><title>Our  Cats</title><body><h1>Cats &amp; <em>homes</em></h1>\
            <p>They\n stay, <a href=https://evil.example/x>as said</a>.<br>Always.</p>\
            <ul><li>one<li>two</ul><ol><li>first</ol>\
            <table><tr><th>a<th>b<tr><td>1<td>2</table><pre>x\n  y</pre>\
            <img src=https://evil.example/p.png alt='A cat'>";
        let parsed = parse(html.as_bytes()).unwrap();
        assert_eq!(parsed.title.as_deref(), Some("Our Cats"));
        assert_eq!(
            parsed.sections[0],
            "# Cats & homes\n\nThey stay, as said.\nAlways.\n\n- one\n- two\n1. first\n\n\
             a | b\n1 | 2\n\nx\n  y\n\nA cat"
        );
    }

    /// [U-07] What a reader does not see is not text.
    #[test]
    fn hidden_text_is_dropped() {
        let html = "<p>seen</p><script>no1</script><style>no2</style><!-- no3 --><p hidden>no4</p>\
            <div style='display : none'>no5<p>no5b</p></div><span style='FONT-SIZE:0px'>no6</span>\
            <span style='color:#fff !important'>no7</span><template>no8</template>\
            <p style='visibility:hidden;color:red'>no9</p><h2>a<span style='opacity:0'>no10</span></h2>";
        let parsed = parse(html.as_bytes()).unwrap();
        assert_eq!(parsed.sections[0], "seen\n\n## a");
        assert!(parse(b"<script>only()</script>").is_err());
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let html = "<div>".repeat(600);
        assert!(parse(html.as_bytes()).is_err());
    }
}
