//! EML: a message's subject, people and date, the text that its sender wrote, and its attachments.

use std::{collections::BTreeMap, io::Write};

use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::{
    MAX_TEXT, MediaType, Parsed, Unreadable,
    draft::{Draft, one_line},
    html,
    members::Frames,
    too_long, unreadable,
};
use crate::documents::outline::Style;

/// More people are counted and not named.
const PEOPLE: usize = 20;
/// More attachments are not looked at.
const ATTACHMENTS: usize = 200;

/// The message itself.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    let message = message(bytes)?;
    let mut metadata = BTreeMap::new();
    let mut draft = Draft::default();
    let date = message.date().map(mail_parser::DateTime::to_rfc3339);
    for (name, value) in [
        ("from", message.from().map(people)),
        ("to", message.to().map(people)),
        ("cc", message.cc().map(people)),
        ("date", date),
        ("subject", message.subject().map(one_line)),
    ] {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        let (first, rest) = name.split_at(1);
        draft.line(&format!("{}{rest}: {value}", first.to_uppercase()));
        metadata.insert(name.to_owned(), value);
    }
    draft.paragraph(&body(&message)?);
    let attachments: Vec<String> = attachments(&message).map(|(name, _)| name).collect();
    if !attachments.is_empty() {
        draft.paragraph(&format!("Attachments: {}", attachments.join(", ")));
    }
    Ok(Parsed {
        style: Style::Markdown,
        title: message.subject().map(one_line),
        sections: vec![draft.finish()?],
        metadata,
        holds_members: !attachments.is_empty(),
    })
}

/// The attachments that are documents of a kind that we read.
pub(super) fn members(bytes: &[u8], frames: &mut Frames<impl Write>) -> Result<(), Unreadable> {
    let message = message(bytes)?;
    for (name, part) in attachments(&message) {
        if MediaType::of_name(&name).is_some() {
            frames.member(&name, Ok(part.contents()));
        }
    }
    Ok(())
}

fn message(bytes: &[u8]) -> Result<Message<'_>, Unreadable> {
    let message = MessageParser::default().parse(bytes);
    message
        .filter(|message| {
            message.from().is_some()
                || message.date().is_some()
                || message.subject().is_some()
                || message.content_type().is_some()
        })
        .ok_or_else(|| unreadable("this is not a mail message: it has none of the headers of one"))
}

fn people(address: &Address<'_>) -> String {
    let mut people = Vec::new();
    for person in address.iter().take(PEOPLE) {
        people.push(match (person.name(), person.address()) {
            (Some(name), Some(address)) => format!("{} <{}>", one_line(name), one_line(address)),
            (Some(one), None) | (None, Some(one)) => one_line(one),
            (None, None) => continue,
        });
    }
    let more = address.iter().count().saturating_sub(PEOPLE);
    if more > 0 {
        people.push(format!("and {more} more"));
    }
    people.join(", ")
}

/// The text part as it is, or else what a reader sees of the HTML part.
fn body(message: &Message<'_>) -> Result<String, Unreadable> {
    let mut size = 0;
    let mut texts: Vec<String> = Vec::new();
    for part in message.text_bodies() {
        let text = match &part.body {
            PartType::Text(text) => text.replace("\r\n", "\n").trim().to_owned(),
            // A message that was written in HTML alone is listed here too.
            PartType::Html(source) => seen(source),
            _ => continue,
        };
        size += text.len();
        if size > MAX_TEXT {
            return Err(too_long());
        }
        texts.push(text);
    }
    let text = texts.join("\n\n");
    if !text.trim().is_empty() {
        return Ok(text);
    }
    Ok(message
        .html_bodies()
        .filter_map(|part| match &part.body {
            PartType::Html(source) => Some(seen(source)),
            _ => None,
        })
        .find(|text| !text.is_empty())
        .unwrap_or_default())
}

/// What a reader sees of a page; a page that shows nothing adds nothing to its message.
fn seen(source: &str) -> String {
    html::page(source).map(|page| page.sections.concat()).unwrap_or_default()
}

/// Everything attached, by a name with an extension where its type gives one.
fn attachments<'a>(
    message: &'a Message<'a>,
) -> impl Iterator<Item = (String, &'a MessagePart<'a>)> {
    message
        .attachments()
        .take(ATTACHMENTS)
        .enumerate()
        .filter(|(_, part)| !is_picture_of_the_text(part))
        .map(|(number, part)| (name(part, number + 1), part))
}

/// A logo or a picture that the text shows, and not something that was sent along.
fn is_picture_of_the_text(part: &MessagePart<'_>) -> bool {
    let is_image =
        part.content_type().is_some_and(|kind| kind.c_type.eq_ignore_ascii_case("image"));
    is_image && part.content_id().is_some()
}

fn name(part: &MessagePart<'_>, number: usize) -> String {
    let given = part.attachment_name().map(one_line).filter(|name| !name.is_empty());
    let given = given.or_else(|| match &part.body {
        PartType::Message(inner) => inner.subject().map(one_line),
        _ => None,
    });
    let given = given.unwrap_or_else(|| format!("attachment {number}"));
    if MediaType::of_name(&given).is_some() {
        return given;
    }
    let extension = match &part.body {
        PartType::Message(_) => Some("eml"),
        _ if given.contains('.') => None,
        _ => part.content_type().and_then(|kind| {
            let whole =
                format!("{}/{}", kind.c_type, kind.c_subtype.as_deref().unwrap_or_default());
            MediaType::parse(&whole.to_ascii_lowercase()).map(MediaType::extension)
        }),
    };
    match extension {
        Some(extension) => format!("{given}.{extension}"),
        None => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: \"Ada L\" <ada@example.org>\r\nTo: bob@example.org, c@example.org\r\n\
        Subject: =?utf-8?q?The_caf=C3=A9?= plan\r\nDate: Tue, 5 Mar 2024 10:00:00 +0100\r\n";

    #[test]
    fn a_message_says_who_wrote_what_and_when() {
        let parsed = parse(format!("{MAIL}\r\nWe meet\r\nat noon.\r\n").as_bytes()).unwrap();
        assert_eq!(parsed.title.as_deref(), Some("The café plan"));
        assert_eq!(
            parsed.sections[0],
            "From: Ada L <ada@example.org>\nTo: bob@example.org, c@example.org\n\
             Date: 2024-03-05T10:00:00+01:00\nSubject: The café plan\n\nWe meet\nat noon."
        );
        assert_eq!(parsed.metadata["date"], "2024-03-05T10:00:00+01:00");
        assert!(!parsed.holds_members);
        assert!(parse(b"just some words, no header").is_err());
    }

    #[test]
    fn text_is_taken_before_html_and_html_is_read_as_seen() {
        let html = "<p>Seen</p><script>no</script><p style='display:none'>hidden</p>";
        let both = format!(
            "{MAIL}Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\
             Content-Type: text/plain\r\n\r\nWritten\r\n--x\r\nContent-Type: text/html\r\n\r\n\
             {html}\r\n--x--\r\n"
        );
        assert!(parse(both.as_bytes()).unwrap().sections[0].ends_with("\n\nWritten"));
        let alone = format!("{MAIL}Content-Type: text/html\r\n\r\n{html}");
        assert!(parse(alone.as_bytes()).unwrap().sections[0].ends_with("\n\nSeen"));
    }
}
