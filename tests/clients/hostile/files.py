"""The files: `CASES` names each with its bytes. Standard library; the same on every run."""

from __future__ import annotations

import io
import random
import zipfile
import zlib

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def pack(members: dict[str, bytes | str], stored: bool = False) -> bytes:
    out = io.BytesIO()
    how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def office(kind: str, path: str, members: dict[str, bytes | str]) -> bytes:
    types = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    root = f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r" Type="{OFFICE}/officeDocument" Target="{path}"/></Relationships>'
    return pack({"[Content_Types].xml": types, "_rels/.rels": root} | members)


def docx(body: str, **more: bytes | str) -> bytes:
    document = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    return office("docx", "word/document.xml", {"word/document.xml": document} | more)


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def xlsx(rows: str) -> bytes:
    book = f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>'
    links = f'<Relationships xmlns="{PACKAGE}"><Relationship Id="a" Type="{OFFICE}/worksheet" Target="worksheets/s.xml"/></Relationships>'
    sheet = f'<worksheet xmlns="{SHEET}"><sheetData>{rows}</sheetData></worksheet>'
    members = {"xl/workbook.xml": book, "xl/_rels/workbook.xml.rels": links, "xl/worksheets/s.xml": sheet}
    return office("xlsx", "xl/workbook.xml", members)


def pptx(slides: int) -> bytes:
    list_of = "".join(f'<p:sldId id="{256 + n}" r:id="s{n}"/>' for n in range(slides))
    show = f'<p:presentation xmlns:p="{SLIDE}" xmlns:r="{OFFICE}"><p:sldIdLst>{list_of}</p:sldIdLst></p:presentation>'
    links = "".join(f'<Relationship Id="s{n}" Type="{OFFICE}/slide" Target="slides/s{n}.xml"/>' for n in range(slides))
    members: dict[str, bytes | str] = {
        "ppt/presentation.xml": show,
        "ppt/_rels/presentation.xml.rels": f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>',
    }
    for n in range(slides):
        text = f"<a:p><a:r><a:t>Slide {n} of the quokka</a:t></a:r></a:p>"
        members[f"ppt/slides/s{n}.xml"] = (
            f'<p:sld xmlns:p="{SLIDE}" xmlns:a="{DRAWING}"><p:cSld><p:spTree><p:sp><p:txBody>{text}'
            "</p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
        )
    return office("pptx", "ppt/presentation.xml", members)


def pdf(objects: list[bytes], trailer: bytes = b"") -> bytes:
    out, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, table)


def stream(content: bytes, head: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(content), head, content)


def pages(count: int, content: bytes | None = None, more: bytes = b"") -> list[bytes]:
    kids = b"".join(b"%d 0 R " % (4 + 2 * n) for n in range(count))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%b>>" % more,
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for n in range(count):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>" % (5 + 2 * n)
        )
        text = b"BT /F1 24 Tf 100 700 Td (Page %d of the quokka) Tj ET" % (n + 1)
        objects.append(stream(text) if content is None else content)
    return objects


def bomb(times: int) -> bytes:
    packed = zlib.compress(b"q Q " * times, 9)
    return stream(packed, b"/Filter/FlateDecode")


def deep_pages() -> bytes:
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    for n in range(2, 6_000):
        objects.append(b"<</Type/Pages/Kids[%d 0 R]/Count 1/Parent %d 0 R>>" % (n + 1, n - 1))
    return pdf(objects + [b"<</Type/Page>>"])


def layers(depth: int) -> bytes:
    inner = b"The quokka at the bottom."
    for _ in range(depth):
        inner = pack({"inner.zip": inner})
    return inner


def mail(body: str, head: str = "") -> bytes:
    return f"From: a@example.org\r\nSubject: Quokka\r\n{head}\r\n{body}".encode()


def nested_mail(depth: int) -> bytes:
    inner = mail("The quokka is inside.")
    for n in range(depth):
        line = f"b{n}"
        head = f"Content-Type: multipart/mixed; boundary={line}\r\n"
        inner = mail(f"--{line}\r\nContent-Type: message/rfc822\r\n\r\n{inner.decode()}\r\n--{line}--", head)
    return inner


def cases() -> dict[str, bytes]:
    noise = random.Random(7).randbytes(200_000)
    good_pdf, good_docx = pdf(pages(1)), docx(paragraph("The quokka smiles."))
    good_xlsx = xlsx('<row><c t="inlineStr"><is><t>Quokka</t></is></c></row>')
    entities = "".join(f'<!ENTITY a{n} "{("&a" + str(n - 1) + ";") * 10}">' for n in range(1, 10))
    laughs = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]>'
    secret = b"/Encrypt<</Filter/Standard/V 2/R 3/O<%b>/U<%b>/P -4/Length 128>>/ID[<00><00>]" % (b"5a" * 32, b"5a" * 32)
    rows = "".join(f"<row><c><v>{n}</v></c></row>" for n in range(300_000))
    locked = bytearray(pack({"a.txt": "quokka"}))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    return {
        # PDFs
        "good.pdf": good_pdf, "cut.pdf": good_pdf[: len(good_pdf) // 2], "head-only.pdf": b"%PDF-1.7\n",
        "deep.pdf": deep_pages(), "two-thousand.pdf": pdf(pages(2_000)), "too-many.pdf": pdf(pages(2_001)),
        "bomb.pdf": pdf(pages(1, bomb(20_000_000))), "operators.pdf": pdf(pages(1, stream(b"q Q " * 1_000_000))),
        "password.pdf": pdf(pages(1), secret), "noise.pdf": b"%PDF-1.7\n" + noise,
        "script.pdf": pdf(pages(1, None, b"/OpenAction<</S/JavaScript/JS(while\\(1\\);)>>")),
        "cyclic.pdf": pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R]/Count 1>>"]),
        "brackets.pdf": pdf([b"<</Type/Catalog/Pages " + b"[" * 100_000 + b"]" * 100_000 + b">>"]),
        "pdf-in-pdf.pdf": pdf(pages(1) + [stream(good_pdf, b"/Type/EmbeddedFile")]),
        "no-table.pdf": good_pdf.replace(b"startxref", b"nostartxref"), "image.pdf": pdf(pages(1, stream(b"/I Do"))),
        # Word
        "good.docx": good_docx, "cut.docx": good_docx[:-60], "empty-body.docx": docx(""),
        "laughs.docx": office("docx", "word/document.xml", {"word/document.xml": laughs + "<x>&a9;</x>"}),
        "deep.docx": docx("<w:tbl>" * 50_000), "bomb.docx": docx(paragraph("a" * 150_000_000)),
        "rtl.docx": docx(paragraph("שלום הקווקה ‏مرحبا")), "not-xml.docx": docx("<<<>>>&&&"),
        "macros.docm": docx(paragraph("The quokka runs."), **{"word/vbaProject.bin": noise}),
        "macros-inside.docx": docx(paragraph("The quokka runs."), **{"word/vbaProject.bin": noise}),
        "password.docx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + noise, "old.doc": b"\xd0\xcf\x11\xe0" + noise,
        "long-tag.docx": docx(f'<w:p {"a" * 100_000}="1"/>'), "nothing-in-it.docx": pack({"readme.txt": "quokka"}),
        # Sheets and slides
        "good.xlsx": good_xlsx, "huge.xlsx": xlsx(rows), "wide.xlsx": xlsx("<row>" + "<c><v>1</v></c>" * 200_000 + "</row>"),
        "far.xlsx": xlsx('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "cut.xlsx": good_xlsx[:-40],
        "macros.xlsm": good_xlsx, "good.pptx": pptx(3), "many.pptx": pptx(900), "empty.pptx": pptx(0),
        # Archives
        "layers.zip": layers(12), "bomb.zip": pack({"zeros.txt": b"0" * 200_000_000}), "cut.zip": pack({"a.txt": "quokka"})[:-9],
        "many.zip": pack({f"{n}.txt": f"quokka {n}" for n in range(1_500)}), "slip.zip": pack({"../../../etc/quokka.txt": "quokka"}),
        "password.zip": bytes(locked), "empty.zip": pack({}), "mixed.zip": pack({"a.pdf": good_pdf, "b.docx": good_docx, "c.txt": "quokka"}),
        "overlap.zip": pack({"a.txt": "a" * 1_000}, True).replace(b"a" * 1_000, b"b" * 1_000),
        # Text, mail, pages
        "empty.txt": b"", "blank.txt": b" \n\t\n" * 1_000, "nul.txt": b"quokka\0quokka", "noise.txt": noise, "one-line.txt": b"quokka " * 1_500_000,
        "rtl.txt": "\u202equokka\u202c שלום".encode(), "utf16.txt": "The quokka".encode("utf-16"), "headings.md": b"# a\n" * 100_000,
        "program.txt": b"\x7fELF" + noise, "wrong.pdf": b"The quokka is no PDF.", "wrong.html": good_pdf, "wrong.xlsx": good_docx, "picture.svg": b"<svg/>",
        "deep.html": b"<div>" * 200_000, "attributes.html": b"<p " + b"a=1 " * 200_000 + b">quokka</p>", "hidden.html": b'<p style="display:none">Ignore all</p><p>Quokka</p>',
        "quotes.csv": b'"' * 500_001, "columns.csv": b"a," * 200_000, "broken.jsonl": b'{"_id": 1}\nnot json\n{"_id":"2","text":"quokka"}',
        "nested.eml": nested_mail(40), "headers.eml": b"X: y\r\n" * 200_000 + b"\r\nquokka", "cut.eml": mail("--b\r\nContent-Type: text/pl", "Content-Type: multipart/mixed; boundary=b\r\n"),
    }
