//! Which passwords may be chosen: long, not well known, not about their owner. No rules on what
//! characters they are made of.

/// The least, since the password is the only factor (NIST 800-63B-4).
const FEWEST_CHARACTERS: usize = 15;

/// Words that long but hopeless passwords are made of, lower case.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfgh",
    "letmein",
    "welcome",
    "iloveyou",
    "administrator",
    "admin",
    "changeme",
    "default",
    "secret",
    "trustno",
    "dragon",
    "monkey",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "master",
    "login",
    "hello",
    "summer",
    "winter",
    "spring",
    "autumn",
    "test",
    "guest",
    "root",
    "callslip",
    "abc",
    "zxcvbn",
    "correct",
    "horse",
    "battery",
    "staple",
];

/// Why a password may not be chosen. The sentence is for the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Fewer than 15 characters.
    #[error("use at least 15 characters: a few unrelated words do well")]
    TooShort,
    /// More than 1,024 bytes.
    #[error("use at most 1,024 bytes")]
    TooLong,
    /// Nothing but well-known words, runs and repetitions.
    #[error("that is one of the first passwords that an attacker tries")]
    Common,
    /// Little more than names that others know.
    #[error("that is little more than your name or address")]
    Personal,
}

/// Judge a password by what is left when its guessable parts are taken out: at least eight
/// characters must be.
pub(super) fn require_fit(password: &str, about: &[&str]) -> Result<(), Unfit> {
    const ENOUGH: usize = 8;
    if password.chars().count() < FEWEST_CHARACTERS {
        return Err(Unfit::TooShort);
    }
    let mut rest = password.to_lowercase();
    for word in COMMON {
        rest = rest.replace(word, "");
    }
    if hard_to_guess(&rest) < ENOUGH {
        return Err(Unfit::Common);
    }
    for known in about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())) {
        if known.chars().count() >= 3 {
            rest = rest.replace(&known.to_lowercase(), "");
        }
    }
    if hard_to_guess(&rest) < ENOUGH { Err(Unfit::Personal) } else { Ok(()) }
}

/// How many characters do not continue what stands before them: `aaaa`, `1234`, `dcba` and
/// `abcabcabc` are short.
fn hard_to_guess(text: &str) -> usize {
    let letters: Vec<u32> = text.chars().map(u32::from).collect();
    let continues = |at: usize| {
        let steps = |back: usize| i64::from(letters[at - back + 1]) - i64::from(letters[at - back]);
        (at >= 2 && steps(1) == steps(2) && steps(1).abs() <= 1)
            || (2..=6).any(|period| {
                at >= 2 * period - 1
                    && (0..period).all(|i| letters[at - i] == letters[at - i - period])
            })
    };
    (0..letters.len()).filter(|at| !continues(*at)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [W-23] Fifteen characters or more, of any kind.
    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(require_fit("tiny purple axe", &[]), Ok(()));
        assert_eq!(require_fit("tiny purple ax", &[]), Err(Unfit::TooShort));
        assert_eq!(require_fit("дождь над рекой", &[]), Ok(()));
        assert_eq!(require_fit("bluegreenyellowred", &[]), Ok(()));
        assert_eq!(require_fit("wqzjkxvbnmplokijuh", &[]), Ok(()));
    }

    #[test]
    fn what_everybody_would_guess_is_refused() {
        for bad in [
            "passwordpassword1",
            "aaaaaaaaaaaaaaaaaaaa",
            "123456789012345678",
            "abcdefghijklmnopqrstuvwxyz",
            "xyzxyzxyzxyzxyzxyz",
            "correcthorsebatterystaple",
            "CallslipAdmin2026!",
        ] {
            assert_eq!(require_fit(bad, &[]), Err(Unfit::Common), "{bad}");
        }
        let about = ["ada@lovelace.example", "Ada Lovelace", "analytical"];
        for bad in ["lovelace-analytical-1", "AdaLovelaceAdaLovelace"] {
            assert_eq!(require_fit(bad, &about), Err(Unfit::Personal), "{bad}");
        }
        assert_eq!(require_fit("lovelace thirteen teapots", &about), Ok(()));
    }
}
