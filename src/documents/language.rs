//! Which language a document is in: so by which of Postgres' text-search configurations its words
//! are stemmed.

use whatlang::{Detector, Lang};

/// How much of a document is looked at, in characters.
const ENOUGH: usize = 20_000;
/// Words as they stand, of every language without a stemmer and of texts that are hard to tell.
const PLAIN: &str = "simple";
const ENGLISH: &str = "english";

/// The languages that are told apart, with the configuration of each that Postgres 15 has one for.
/// The detector knows more, of which few documents are written and which short texts are taken for.
const KNOWN: [(Lang, &str); 44] = [
    (Lang::Ara, "arabic"),
    (Lang::Hye, "armenian"),
    (Lang::Cat, "catalan"),
    (Lang::Dan, "danish"),
    (Lang::Nld, "dutch"),
    (Lang::Eng, ENGLISH),
    (Lang::Fin, "finnish"),
    (Lang::Fra, "french"),
    (Lang::Deu, "german"),
    (Lang::Ell, "greek"),
    (Lang::Hin, "hindi"),
    (Lang::Hun, "hungarian"),
    (Lang::Ind, "indonesian"),
    (Lang::Ita, "italian"),
    (Lang::Lit, "lithuanian"),
    (Lang::Nep, "nepali"),
    (Lang::Nob, "norwegian"),
    (Lang::Por, "portuguese"),
    (Lang::Ron, "romanian"),
    (Lang::Rus, "russian"),
    (Lang::Srp, "serbian"),
    (Lang::Spa, "spanish"),
    (Lang::Swe, "swedish"),
    (Lang::Tam, "tamil"),
    (Lang::Tur, "turkish"),
    (Lang::Yid, "yiddish"),
    (Lang::Bul, PLAIN),
    (Lang::Bel, PLAIN),
    (Lang::Ces, PLAIN),
    (Lang::Cmn, PLAIN),
    (Lang::Est, PLAIN),
    (Lang::Heb, PLAIN),
    (Lang::Hrv, PLAIN),
    (Lang::Jpn, PLAIN),
    (Lang::Kor, PLAIN),
    (Lang::Lav, PLAIN),
    (Lang::Pes, PLAIN),
    (Lang::Pol, PLAIN),
    (Lang::Slk, PLAIN),
    (Lang::Slv, PLAIN),
    (Lang::Tha, PLAIN),
    (Lang::Ukr, PLAIN),
    (Lang::Urd, PLAIN),
    (Lang::Vie, PLAIN),
];

/// The configurations that documents can be in, besides English's.
pub(crate) fn configurations() -> Vec<String> {
    let mut names: Vec<String> = KNOWN.iter().map(|(_, name)| (*name).to_owned()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| name != ENGLISH);
    names
}

/// The configuration of a text.
pub(super) fn language(text: &str) -> &'static str {
    let end = text.char_indices().nth(ENOUGH).map_or(text.len(), |(end, _)| end);
    let known = KNOWN.iter().map(|(lang, _)| *lang).collect();
    let Some(found) = Detector::with_allowlist(known).detect(&text[..end]) else { return PLAIN };
    // A few words look like many languages. Those in plain letters are taken for English, the others
    // for what they look like most. A wrong stemmer does little harm: questions go by every one that
    // the store's documents do.
    let text = &text[..end];
    if !found.is_reliable() && (is_in_plain_letters(text) || reads_as_english(text)) {
        return ENGLISH;
    }
    KNOWN.iter().find(|(lang, _)| *lang == found.lang()).map_or(PLAIN, |(_, name)| *name)
}

fn is_in_plain_letters(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).all(|c| c.is_ascii())
}

/// Whether one word in eight is one that English cannot do without and others do not have.
fn reads_as_english(text: &str) -> bool {
    const WORDS: [&str; 24] = [
        "the", "of", "and", "is", "are", "was", "were", "to", "for", "with", "that", "this", "by",
        "from", "it", "its", "be", "been", "has", "have", "not", "when", "which", "before",
    ];
    let (mut words, mut english) = (0, 0);
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words += 1;
        english += usize::from(WORDS.contains(&word.to_lowercase().as_str()));
    }
    english * 8 >= words && english > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_by_their_language() {
        for (expected, text) in [
            (
                "english",
                "A young cat should stay with its mother for twelve weeks before it is sold.",
            ),
            (
                "english",
                "Simmer the bones for six hours, skim the fat, and season at the very end.",
            ),
            ("english", "Oil the chain every two hundred kilometres and check the brakes."),
            ("english", "The plain sparrow keeps a nest."),
            ("english", "Employees may take thirty days of paid vacation."),
            ("english", "INV-2024-113 was sent to the customer and paid within thirty days."),
            (
                "german",
                "Die Beschäftigten haben Anspruch auf dreißig Tage bezahlten Urlaub im Jahr.",
            ),
            ("french", "Les employés ont droit à trente jours de congés payés par année civile."),
            (
                "spanish",
                "Los empleados tienen derecho a treinta días de vacaciones pagadas al año.",
            ),
            ("russian", "Сотрудники имеют право на тридцать дней оплачиваемого отпуска в год."),
            ("arabic", "يحق للموظفين الحصول على ثلاثين يوما من الإجازة المدفوعة كل عام."),
            ("hindi", "कर्मचारियों को हर साल तीस दिन की सवैतनिक छुट्टियाँ मिलती हैं।"),
            ("simple", "従業員は毎年三十日の有給休暇を取ることができます。"),
            ("simple", "员工每年可以享受三十天的带薪休假。"),
            ("simple", "พนักงานมีสิทธิลาพักร้อนได้สามสิบวันต่อปี"),
            (
                "simple",
                "Pracownikom przysługuje trzydzieści dni płatnego urlopu w roku kalendarzowym.",
            ),
            ("english", "Digit reversal"),
            ("simple", "10 20 30"),
            ("simple", ""),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
        assert!(configurations().contains(&PLAIN.to_owned()));
    }
}
