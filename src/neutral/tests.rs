//! Two strangers read what comes out: a Markdown parser and the HTML parser of a browser.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

use super::{Neutral, clean, fuzzing, neutral_line, neutralise};

/// Everything that a reader of Markdown or HTML would load, follow or run in a text.
fn live(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let more = Options::ENABLE_GFM
        | Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    for options in [Options::empty(), more] {
        for event in Parser::new_ext(text, options) {
            match event {
                Event::Start(Tag::Image { dest_url, .. }) => {
                    found.push(format!("image {dest_url}"))
                }
                // An address in angle brackets leads to what it says.
                Event::Start(Tag::Link { link_type: LinkType::Email, .. }) => {}
                Event::Start(Tag::Link { dest_url, .. }) => found.push(format!("link {dest_url}")),
                _ => {}
            }
        }
    }
    for node in scraper::Html::parse_fragment(text).tree.nodes() {
        let Some(element) = node.value().as_element() else { continue };
        let mut attributes = element.attrs().peekable();
        if attributes.peek().is_some() || matches!(element.name(), "script" | "style") {
            let attributes: Vec<String> =
                attributes.map(|(name, value)| format!("{name}={value}")).collect();
            found.push(format!("<{} {}>", element.name(), attributes.join(" ")));
        }
    }
    found
}

fn dead(text: &str) -> String {
    let Neutral { text: once, .. } = neutralise(text);
    assert_eq!(live(&once), Vec::<String>::new(), "{text:?}\n{once:?}");
    let again = Neutral { text: once.clone(), hidden: 0, active: 0 };
    assert_eq!(neutralise(&once), again, "{text:?}");
    once
}

const UNCHANGED: [(&str, &str); 5] = [
    ("emoji", include_str!("corpora/emoji.txt")),
    ("persian", include_str!("corpora/persian.txt")),
    ("hindi", include_str!("corpora/hindi.txt")),
    ("hebrew", include_str!("corpora/hebrew.txt")),
    ("plain", include_str!("corpora/plain.txt")),
];

/// [N-01] Emoji, Persian, Hindi and Hebrew, and what programs and lists are made of, stay as they
/// are.
#[test]
fn what_people_write_is_unchanged() {
    for (name, text) in UNCHANGED {
        let expected = Neutral { text: text.to_owned(), hidden: 0, active: 0 };
        assert_eq!(neutralise(text), expected, "{name}");
    }
}

/// [N-01] Text in tag characters and variation selectors goes, and is counted.
#[test]
fn what_people_do_not_see_goes() {
    let found = neutralise(include_str!("corpora/tags.txt"));
    let seen = "The harbour office opens at nine.\nIts ledger is kept by hand.\n\
                Boats tie up on the left side of it.\n";
    assert_eq!(found.text, seen);
    assert_eq!(found.hidden, 45 + 12 + 9);
}

/// [N-03] Every form in the corpora is live to begin with, and none is afterwards; the words stay,
/// and so does the name of the host.
#[test]
fn no_markup_of_the_corpora_is_live() {
    let markdown = include_str!("corpora/echoleak.md");
    assert!(live(markdown).len() > 15, "{:?}", live(markdown));
    let text = dead(markdown);
    for words in [
        "A picture: [chart] [image removed: evil.example]\n",
        "One without words: [image removed: evil.example]\n",
        "![chart] [beacon] and ![beacon] and ![beacon] [], and a link: [the ledger][beacon].",
        "Split over lines: [a\nchart] [image removed: evil.example] and [a\nlink] (\n",
        "[[chart] [image removed: evil.example]] (evil.example/outer)",
        "Autolinks: evil.example/auto?d=everything and EVIL.EXAMPLE/ and",
        "[run] ([script URL removed]) [script URL removed] [page] ([data URL removed]) [vb] (",
        "[beacon] : evil.example/beacon.png?d=everything",
        "[click here] (good.example@evil.example/)",
        "[https://good.example] (evil.example)",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let scripts = |text: &str| {
        let text = text.to_lowercase();
        ["javascript:a", "vbscript:", "data:text"].iter().any(|start| text.contains(start))
    };
    assert!(scripts(markdown) && !scripts(&text), "{text}");
    let html = include_str!("corpora/echoleak.html");
    assert!(live(html).len() > 25, "{:?}", live(html));
    let text = dead(html);
    for words in [
        "a chart [image removed: evil.example]",
        "the ledger (evil.example/9?d=everything), the office, the harbour (evil.example/10)\n",
        "[link removed: evil.example]",
        "[iframe removed: evil.example]",
        "background: url (evil.example/18.png)",
        "[script removed: evil.example]",
        "words</div>",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

/// [N-03] The examples that people will meet, word by word.
#[test]
fn links_read_well() {
    for (text, expected) in [
        (
            "see [the guide](https://docs.example/g?x=1 \"t\").",
            "see [the guide] (docs.example/g?x=1 \"t\").",
        ),
        ("![](a.png)", "[image removed]"),
        ("a![b](//c.example/d)e", "a[b] [image removed: c.example] e"),
        ("<a href='https://a.example/b c'>x</a>!", "x (a.example/b%20c)!"),
        ("<https://a.example>.", "a.example."),
        ("handlers[event](data)", "handlers[event] (data)"),
        ("fn f() -> Vec<std::string::String>", "fn f() -> Vec< std::string::String>"),
        ("if a<b { HashMap<String, u8> }", "if a< b { HashMap< String, u8> }"),
        ("https://a.example/b stays", "https://a.example/b stays"),
        ("the word javascript: stays, data: too", "the word javascript: stays, data: too"),
    ] {
        assert_eq!(neutralise(text).text, expected);
    }
    assert_eq!(neutral_line("![x](https://e.example)\n[y]", 30), "[x] [image removed: e.example]");
}

#[test]
fn what_gave_way_is_counted() {
    let found =
        neutralise("![a](b) <img src=c> <iframe src=d></iframe> javascript:x [e](f) \u{200b}");
    assert_eq!((found.active, found.hidden), (4, 1));
}

const SPLINTERS: &[&str] = &[
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    "!",
    "](",
    "![",
    "]:",
    "][",
    "<a href=",
    "</a>",
    "<img src=",
    "<!--",
    "-->",
    "\"",
    "'",
    "\n",
    "\n\n",
    " ",
    "    ",
    "> ",
    "- ",
    "1. ",
    "`",
    "```",
    "\\",
    "https://",
    "//",
    "x.example",
    "javascript:",
    "data:text/html,",
    "url(",
    "<b>",
    "<b ",
    "=",
    "style=",
    "<script>",
    "<style>",
    "a",
    ":",
    "/",
    "#",
    "&lt;",
    "\u{200b}",
    "\u{200d}",
    "👩",
    "\u{fe0f}",
    "क",
    "<https://",
    "<ada@x.example>",
    "srcset=",
    "<svg>",
    "<?",
    "<![CDATA[",
    "?",
    "|",
    "*",
    "_",
    "~",
    "^",
    "=",
    "1",
    "\t",
    "\0",
    "|---|",
    "src=",
];

fn splinters() -> impl Strategy<Value = String> {
    let splinter = prop::sample::select(SPLINTERS);
    prop::collection::vec(prop_oneof![20 => splinter.prop_map(str::to_owned), 1 => ".{0,3}"], 0..40)
        .prop_map(|parts| parts.concat())
}

/// [N-03] What was left alive, or came out otherwise a second time, once: a style sheet's address
/// that grows together when what stands in it is left out.
#[test]
fn what_was_found_stays_dead() {
    for text in
        ["<https://url(>https://", "url(<a href=-->https://", "url('<a href=x>https://e.example"]
    {
        dead(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// [N-01] [N-03] However it is put together, nothing hidden and nothing live is left, and a
    /// second time changes nothing.
    #[test]
    fn nothing_is_left_alive(text in splinters()) {
        dead(&text);
        fuzzing::text(text.as_bytes());
    }

    /// Words without markup stay as they are.
    #[test]
    fn words_stay(text in "[\\p{L}\\p{N} .,;:!?()\n-]{0,200}") {
        let text = clean(&text).text;
        prop_assume!(!text.contains("javascript:") && !text.contains("data:"));
        prop_assert_eq!(neutralise(&text).text, text);
    }
}

/// A megabyte of the same, whatever it is, takes no longer than reading it.
#[test]
fn a_megabyte_of_brackets_is_read_quickly() {
    for part in [
        "[",
        "![",
        "](",
        "![](",
        "![a](b",
        "<",
        "<a ",
        "<a href=\"",
        "<a '<a \"",
        "<https://",
        "<img x=",
        "](<",
        "[]:",
        "url(",
        "url(\"",
        "javascript:",
        "data:",
        "<a@",
        "![[](x)](",
        "<a href=x>",
        "![a](x) ",
        "<!--",
        "\n[x]:",
        "![",
        "](x \"",
        "<img src=x alt='[[[['>",
    ] {
        let text = part.repeat(1_000_000 / part.len());
        let started = Instant::now();
        let found = neutralise(&text);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(8), "{part}: {took:?}");
        assert!(found.text.len() < 32 * text.len(), "{part}");
    }
}
