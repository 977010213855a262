//! What pages print: moments, sizes, counts, the way through a long list.

use time::{OffsetDateTime, UtcOffset, macros::format_description};

/// A moment in UTC, for machines and for people.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) iso: String,
    pub(super) date: String,
    pub(super) clock: String,
}

impl From<OffsetDateTime> for Moment {
    fn from(at: OffsetDateTime) -> Self {
        let at = at.to_offset(UtcOffset::UTC);
        let text = |format| at.format(format).expect("the parts of a date can be printed");
        Self {
            iso: text(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z")),
            date: text(format_description!("[day padding:none] [month repr:short] [year]")),
            clock: text(format_description!("[hour]:[minute]")),
        }
    }
}

/// `640 bytes`, `6.1 KiB`, `13 MiB`.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return count(bytes, "byte", "bytes");
    }
    // Tenths, in integers: a size needs no more.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

/// What people call a media type.
pub(super) fn media_type(name: &str) -> &str {
    match name {
        "application/pdf" => "PDF",
        "text/html" => "HTML",
        "text/markdown" => "Markdown",
        "text/plain" => "Text",
        "application/json" => "JSON",
        "text/csv" => "CSV",
        "message/rfc822" => "Mail",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "Word",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "PowerPoint",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "Excel",
        other => other,
    }
}

/// `1,204`.
pub(super) fn number(value: i64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 document`, `1,204 documents`.
pub(super) fn count(value: i64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// The way through a list that does not fit on one page.
#[derive(Clone, Debug)]
pub(super) struct Pager {
    pub(super) summary: String,
    pub(super) newer: Option<String>,
    pub(super) older: Option<String>,
}

/// How many rows a page shows.
pub(super) const PAGE: i64 = 50;

impl Pager {
    /// For page number `page`, counted from 1, of `total` rows, `shown` of them here.
    pub(super) fn numbered(
        page: i64,
        shown: usize,
        total: i64,
        link: impl Fn(i64) -> String,
    ) -> Self {
        let first = (page - 1) * PAGE;
        let last = first + i64::try_from(shown).unwrap_or(PAGE);
        let summary = if total <= PAGE {
            format!("{} in all", number(total))
        } else {
            format!("{} to {} of {}", number(first + 1), number(last), number(total))
        };
        Self {
            summary,
            newer: (page > 1).then(|| link(page - 1)),
            older: (last < total).then(|| link(page + 1)),
        }
    }
}

/// Join the lines of wrapped prose: a single line break after a long line becomes a space.
///
/// Character for character, so that positions in the text stay what they are. Lists, verses and
/// tables keep their lines, which are short or begin with space.
pub(super) fn unwrap_lines(text: &str) -> String {
    const LONG: usize = 48;
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        let Some(next) = lines.peek() else { break };
        let joins = line.chars().count() >= LONG
            && next
                .starts_with(|first: char| first.is_alphanumeric() || "\"'“‘(_[—".contains(first));
        out.push(if joins { ' ' } else { '\n' });
    }
    out
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn sizes_and_numbers_read_well() {
        let sizes: Vec<String> =
            [0, 1, 1023, 1024, 6_250, 102_400, 13_841_203, i64::MAX].map(size).into();
        assert_eq!(
            sizes,
            [
                "0 bytes",
                "1 byte",
                "1,023 bytes",
                "1.0 KiB",
                "6.1 KiB",
                "100 KiB",
                "13 MiB",
                "838860 TiB"
            ]
        );
        assert_eq!(
            [0, 999, 1_000, -1_000, 1_204_567].map(number),
            ["0", "999", "1,000", "-1,000", "1,204,567"]
        );
    }

    #[test]
    fn moments_are_utc() {
        let moment = Moment::from(datetime!(2026-11-20 01:30 +2));
        assert_eq!((moment.date.as_str(), moment.clock.as_str()), ("19 Nov 2026", "23:30"));
        assert_eq!(moment.iso, "2026-11-19T23:30:00Z");
    }

    #[test]
    fn prose_flows_and_lists_stay() {
        let prose = "It is remarkable in more ways than one, and in all probability, had it been\nborn in\nold days\n\n- a cat\n- a dog";
        let shown = unwrap_lines(prose);
        assert_eq!(shown.chars().count(), prose.chars().count());
        assert!(shown.contains("had it been born in\nold days\n\n- a cat\n- a dog"));
    }
}
