//! The parts that live markup is made of, each found in one look ahead that ends soon: at the next
//! bracket, or at the next tag.

use std::borrow::Cow;

/// The longest words and hosts that are shown of what was left out.
pub(super) const MARK_MOST: usize = 120;
/// The longest target that is shown after a link's text.
const SHOWN_MOST: usize = 400;
/// The longest tag that is taken for one.
const TAG_MOST: usize = 8_192;

/// `[image removed: example.com]`
pub(super) fn mark_of(what: &str, host: Option<&str>) -> String {
    match host {
        Some(host) => format!("[{what} removed: {host}]"),
        None => format!("[{what} removed]"),
    }
}

/// The name before a `:`, if it can be a URL's scheme: RFC 3986 §3.1, of the length that CommonMark
/// takes.
pub(super) fn scheme(text: &str) -> Option<&str> {
    let is_part = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'.' | b'-');
    let length = text.bytes().take(33).take_while(is_part).count();
    let fits = (2..=32).contains(&length)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text[length..].starts_with(':');
    fits.then(|| &text[..length])
}

/// The host of a target, in letters that mean nothing in Markdown.
pub(super) fn host(target: &str) -> Option<String> {
    let target = target.trim();
    let target: Cow<'_, str> = match target.strip_prefix("//") {
        Some(rest) => format!("https://{rest}").into(),
        None => target.into(),
    };
    // `srcset` goes on after a space.
    let first = target.split_ascii_whitespace().next()?;
    let url: url::Url = first.get(..first.len().min(2_048))?.parse().ok()?;
    let host: String = url
        .host_str()?
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'))
        .take(MARK_MOST)
        .collect();
    (!host.is_empty()).then_some(host)
}

/// A target as it is shown: without its scheme, and percent-encoded where it could mean more.
pub(super) fn shown(target: &str) -> String {
    let mut target = target.trim();
    loop {
        let bare = match scheme(target) {
            Some(name) => target[name.len()..].strip_prefix("://"),
            None => target.strip_prefix("//"),
        };
        let Some(bare) = bare else { break };
        target = bare;
    }
    let is_script = scheme(target).is_some_and(|name| {
        ["javascript", "vbscript", "data"].iter().any(|bad| bad.eq_ignore_ascii_case(name))
    });
    if is_script || target.starts_with('#') {
        return String::new();
    }
    let mut text = String::new();
    for byte in target.bytes().take(SHOWN_MOST) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(byte)),
            b'/' | b'.' | b'-' | b'_' | b'~' | b'?' | b'&' | b'=' | b'%' | b'#' | b'@' | b'+'
            | b',' | b';' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// From `(` on: an image's target, and the length up to and with `)`. Ends at any bracket.
pub(super) fn image_target(text: &str) -> Option<(&str, usize)> {
    let mut at = 1 + gap(&text[1..])?;
    let target;
    if text[at..].starts_with('<') {
        let inside = &text[at + 1..];
        let end = inside.find(['<', '>', '\n', '[', ']'])?;
        inside[end..].strip_prefix('>')?;
        target = &inside[..end];
        at += end + 2;
    } else {
        let end = target_end(&text[at..])?;
        target = &text[at..at + end];
        at += end;
    }
    at += gap(&text[at..])?;
    let closer = match text[at..].bytes().next()? {
        quote @ (b'"' | b'\'') => Some(char::from(quote)),
        b'(' => Some(')'),
        _ => None,
    };
    if let Some(closer) = closer {
        let inside = &text[at + 1..];
        let end = inside.find([closer, '[', ']'])?;
        inside[end..].strip_prefix(closer)?;
        at += end + 2;
        at += gap(&text[at..])?;
    }
    text[at..].strip_prefix(')')?;
    Some((target, at + 1))
}

/// The length of the white space here; `None` where it ends the paragraph.
fn gap(text: &str) -> Option<usize> {
    let length = text.len() - text.trim_start_matches([' ', '\t', '\n']).len();
    (text[..length].matches('\n').count() < 2).then_some(length)
}

/// Up to white space, or the `)` that none inside has opened.
fn target_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | ']' => return None,
            ' ' | '\t' | '\n' => return Some(at),
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The length of a URL in running text: up to white space, a quote, or a bracket that it has not
/// opened.
pub(super) fn url_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let ends = |(_, c): &(usize, char)| match c {
        '(' => {
            depth += 1;
            false
        }
        ')' if depth > 0 => {
            depth -= 1;
            false
        }
        c => c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | '[' | ']'),
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// A tag without attributes: its name in lower case, with the `/` of one that closes, and its
/// length.
pub(super) fn bare_tag(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('<')?;
    let name = inside.strip_prefix('/').unwrap_or(inside);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let after = name.trim_start_matches(is_part);
    let end = after.trim_start_matches([' ', '\t']);
    let end = end.strip_prefix('/').unwrap_or(end).strip_prefix('>')?;
    let named = &inside[..inside.len() - after.len()];
    Some((named.to_ascii_lowercase(), text.len() - end.len()))
}

/// `<ada@example.com>`: its length. Nothing loads, and what it says is what it leads to.
pub(super) fn email(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('<')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-');
    let host = inside.trim_start_matches(is_part).strip_prefix('@')?;
    let end = host.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || ".-".contains(c));
    let rest = end.strip_prefix('>')?;
    let fits = !inside.starts_with('@') && end.len() < host.len();
    fits.then_some(text.len() - rest.len())
}

/// Where a tag's `>` is, outside of quotes and before another `<`.
///
/// Looks as far only as a tag may be long. A look that fails has passed quotes; of all looks that
/// begin inside of one another, no more than three go on, since each quote moves each of them from
/// one of three states to another, and no two into the same.
pub(super) fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().take(TAG_MOST) {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>') => return Some(at),
            (None, b'<') => return None,
            (None, _) => {}
        }
    }
    None
}

/// The value of an attribute, as a reader of HTML would find it or nearly so: it is only shown.
pub(super) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag;
    while let Some(equals) = rest.find('=') {
        let (before, after) = (rest[..equals].trim_end(), rest[equals + 1..].trim_start());
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '_');
        let named = &before[before.trim_end_matches(is_part).len()..];
        let (value, next) = match after.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => {
                after[1..].split_once(char::from(quote)).unwrap_or((&after[1..], ""))
            }
            _ => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
        };
        if named.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
    None
}
