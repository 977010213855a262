//! Text, pages and rows, whole and broken.

use super::{Case, Ends};

pub(super) fn cases() -> Vec<Case> {
    let utf16 = |text: &str| -> Vec<u8> {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(units).collect()
    };
    let mut odd = utf16("wombat");
    odd.pop();
    let rtl = "\u{202e}שלום עולם\u{202c} مرحبا بالعالم";
    let html = |body: &str| format!("<!doctype html>{body}").into_bytes();
    let names: String = (0..2_000).map(|n| format!("a long name of column {n},")).collect();
    let rows = "1,".repeat(2_000) + "\n";
    vec![
        ("empty.txt", Vec::new(), Ends::Reason("empty")),
        ("blank.txt", b" \r\n\t\x0c".to_vec(), Ends::Reason("empty")),
        ("zeros.txt", vec![0; 10_000], Ends::Reason("binary")),
        ("utf16.txt", utf16("wombat"), Ends::Text("wombat")),
        ("odd.txt", odd, Ends::Text("womba")),
        ("latin.txt", b"caf\xe9 \x93wombat\x94".to_vec(), Ends::Text("café “wombat”")),
        ("one-line.txt", vec![b'x'; 9_000_000], Ends::Text("xxx")),
        ("long.txt", b"wombat ".repeat(1_600_000), Ends::Reason("longer than")),
        ("rtl.txt", rtl.into(), Ends::Text("שלום עולם")),
        ("marks.txt", "a\u{301}".repeat(500_000).into(), Ends::Text("a\u{301}")),
        ("image.txt", b"\x89PNG\r\n\x1a\n".to_vec(), Ends::Reason("an image")),
        ("program.md", b"MZ\x90\0".to_vec(), Ends::Reason("a program")),
        ("packed.csv", b"\x1f\x8b\x08".to_vec(), Ends::Reason("a compressed file")),
        ("rich.txt", b"{\\rtf1 wombat}".to_vec(), Ends::Reason("an RTF document")),
        ("drawing.svg", b"<svg onload='alert(1)'/>".to_vec(), Ends::Reason("not supported")),
        ("pdf.html", b"%PDF-1.7".to_vec(), Ends::Reason("name it .pdf")),
        ("quotes.md", (">".repeat(200_000) + " wombat").into(), Ends::Text("wombat")),
        ("fences.md", ("`".repeat(200_000) + "\nwombat").into(), Ends::Text("wombat")),
        ("tags.html", html(&("<div>".repeat(500_000) + "x")), Ends::Reason("")),
        ("open.html", html(&("<b><i><a href=x>".repeat(20_000) + "x")), Ends::Either),
        ("tables.html", html(&("<table><tr><td>".repeat(2_000) + "x")), Ends::Either),
        ("script.html", html("<script>wombat</script>"), Ends::Reason("0 characters")),
        (
            "attribute.html",
            html(&format!("<p title='{}'>wombat", "x".repeat(5_000_000))),
            Ends::Only("wombat"),
        ),
        ("entities.html", html(&("&lt;".repeat(300_000) + "wombat")), Ends::Text("<wombat")),
        ("wide.html", utf16("<p>wombat"), Ends::Text("wombat")),
        ("quote.csv", b"a,\"never closed\nwombat,b".to_vec(), Ends::Text("wombat")),
        ("columns.csv", ",".repeat(2_000_000).into(), Ends::Reason("empty")),
        ("names.csv", (names + "\n" + &rows.repeat(200)).into(), Ends::Reason("longer than")),
        ("semicolons.csv", b"name;age\nwombat;3".to_vec(), Ends::Text("| name: wombat | age: 3")),
    ]
}
