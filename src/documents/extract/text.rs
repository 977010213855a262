//! Plain text and Markdown: a matter of the encoding.

use super::{MAX_TEXT, Parsed, Unreadable, too_long, unreadable};
use crate::documents::outline::Style;

pub(super) fn plain(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    parse(bytes, Style::Plain)
}

pub(super) fn markdown(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    parse(bytes, Style::Markdown)
}

fn parse(bytes: &[u8], style: Style) -> Result<Parsed, Unreadable> {
    let text = decode(bytes)?;
    if text.chars().all(char::is_whitespace) {
        return Err(unreadable("the file is empty"));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(too_long());
    }
    Ok(Parsed { style, sections: vec![text], ..Parsed::default() })
}

/// UTF-8, UTF-16 with its mark, or Windows-1252; line endings become `\n`.
pub(super) fn decode(bytes: &[u8]) -> Result<String, Unreadable> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if bytes.contains(&0) => return Err(unreadable("this is a binary file, not text")),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(windows_1252).collect(),
        },
    };
    Ok(text.replace("\r\n", "\n").replace(['\r', '\u{c}'], "\n"))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn windows_1252(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_whatever_wrote_it() {
        for bytes in [
            &b"caf\xc3\xa9 \xe2\x80\x93\r\nx"[..],
            b"\xef\xbb\xbfcaf\xc3\xa9 \xe2\x80\x93\nx",
            b"caf\xe9 \x96\rx",
            b"\xff\xfec\0a\0f\0\xe9\0 \0\x13\x20\n\0x\0",
            b"\xfe\xff\0c\0a\0f\0\xe9\0 \x20\x13\0\n\0x",
        ] {
            assert_eq!(decode(bytes).unwrap(), "café –\nx", "{bytes:?}");
        }
        assert!(decode(b"a\0b").is_err());
        assert!(plain(b" \n ").is_err());
    }
}
