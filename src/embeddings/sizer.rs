//! How long a text is for the embedding model.

use std::sync::Arc;

use tokenizers::Tokenizer;

/// Counts tokens: the local model's, or, where it is not there, about as many as it would find.
#[derive(Clone, Debug, Default)]
pub struct Sizer(Option<Arc<Tokenizer>>);

impl Sizer {
    /// By the local model's own tokens.
    pub(super) const fn exact(tokeniser: Arc<Tokenizer>) -> Self {
        Self(Some(tokeniser))
    }

    /// By characters.
    #[must_use]
    pub const fn estimate() -> Self {
        Self(None)
    }

    /// How many tokens a text has, without those that begin and end every text.
    #[must_use]
    pub fn tokens(&self, text: &str) -> usize {
        let counted = self.0.as_ref().and_then(|it| it.encode_fast(text, false).ok());
        counted.map_or_else(|| estimate(text), |tokens| tokens.len())
    }
}

/// A token is about four letters of a Latin word, or any other sign.
fn estimate(text: &str) -> usize {
    let quarters = |c: char| match c {
        c if c.is_whitespace() => 0,
        c if c.is_alphanumeric() && c < '\u{250}' => 1,
        _ => 4,
    };
    text.chars().map(quarters).sum::<usize>().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_near_to_what_models_count() {
        let sizer = Sizer::estimate();
        // 20, 11 and 6 by the local model.
        assert_eq!(
            sizer.tokens("The quick brown fox jumps over the lazy dog, and the fox sleeps."),
            15
        );
        assert_eq!(sizer.tokens("INV-2024-113 (paid)"), 8);
        assert_eq!(sizer.tokens("猫は家にい"), 5);
        assert_eq!(sizer.tokens(" \n"), 0);
    }
}
