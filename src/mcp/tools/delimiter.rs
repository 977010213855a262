//! Marks around what documents say (spec row N-05), for tenants that want them.

/// A pair of lines that no document can know beforehand: made anew for each answer.
#[derive(Debug)]
pub(super) struct Delimiter(String);

impl Delimiter {
    pub(super) fn new() -> Self {
        let mark: u128 = rand::random();
        Self(format!("{mark:032x}"))
    }

    pub(super) fn around(&self, text: &str) -> String {
        let mark = &self.0;
        format!("[Untrusted document {mark} begins]\n{text}\n[Untrusted document {mark} ends]")
    }
}
