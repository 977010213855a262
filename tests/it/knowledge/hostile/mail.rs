//! Messages, whole and broken.

use super::{Case, Ends};

pub(super) const HEAD: &str = "From: Ada <ada@example.org>\r\nTo: bob@example.org\r\n\
    Subject: Quokkas\r\nDate: Tue, 5 Mar 2024 10:00:00 +0000\r\nMIME-Version: 1.0\r\n";

/// A message in parts, each with its headers.
pub(super) fn parts(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--cut\r\n{part}\r\n")).collect();
    format!("{HEAD}Content-Type: multipart/mixed; boundary=cut\r\n\r\n{parts}--cut--\r\n")
}

pub(super) fn cases() -> Vec<Case> {
    let nested = |depth: usize| {
        let head = (0..depth).fold(HEAD.to_owned(), |head, n| {
            head + &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")
        });
        head + "Content-Type: text/plain\r\n\r\nwombat"
    };
    let forwarded = "Content-Type: message/rfc822\r\n\r\nSubject: again\r\n".repeat(500);
    let people: String = (0..100_000).map(|n| format!("p{n}@example.org, ")).collect();
    let headers: String = (0..200_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let hidden = "Content-Type: text/html\r\n\r\n<p style='display:none'>secret</p><p>seen</p>";
    let base64 = parts(&[
        "Content-Type: text/plain\r\n\r\nwombat",
        "Content-Type: application/pdf; \
        name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0x!!!",
    ]);
    let endless = format!("Subject: {}\r\n\r\nwombat", "x".repeat(5_000_000));
    let text = |head: &str, body: &str| format!("{HEAD}{head}\r\n\r\n{body}").into_bytes();
    vec![
        ("whole.eml", text("Content-Type: text/plain", "wombat"), Ends::Text("wombat")),
        ("nested.eml", nested(10_000).into(), Ends::Either),
        ("forwarded.eml", (HEAD.to_owned() + &forwarded).into(), Ends::Either),
        (
            "people.eml",
            format!("{HEAD}Cc: {people}x@y\r\n\r\nwombat").into(),
            Ends::Text("99981 more"),
        ),
        ("headers.eml", format!("{HEAD}{headers}\r\nwombat").into(), Ends::Text("wombat")),
        ("hidden.eml", text(hidden, ""), Ends::Text("seen")),
        ("cut.eml", base64[..base64.len() - 20].into(), Ends::Text("wombat")),
        ("endless.eml", endless.into(), Ends::Either),
        (
            "charset.eml",
            text("Content-Type: text/plain; charset=x-none", "wombat"),
            Ends::Text("wombat"),
        ),
        ("no-body.eml", HEAD.into(), Ends::Text("Quokkas")),
        ("letter.eml", b"Dear all,\nwombat\n".to_vec(), Ends::Reason("not a mail message")),
        ("binary.eml", vec![0xfe; 3_000], Ends::Either),
        ("mail.msg", b"\xd0\xcf\x11\xe0".to_vec(), Ends::Reason("save it as .eml")),
    ]
}
