//! How much a tenant may keep.

const MAX_DOCUMENTS: i64 = 10_000;
const MAX_TENANT_BYTES: i64 = 2 * 1024 * 1024 * 1024;

/// Why nothing more is taken.
pub(super) const FULL: &str = "the tenant is full: 10,000 documents or 2 GiB";

/// What a tenant may still upload (spec row U-01). Counted before each document: uploads at the
/// same moment may overrun it by as many.
pub(super) struct Room {
    documents: i64,
    bytes: i64,
}

impl Room {
    pub(super) const fn of((documents, bytes): (i64, i64)) -> Self {
        Self { documents: MAX_DOCUMENTS - documents, bytes: MAX_TENANT_BYTES - bytes }
    }

    pub(super) const fn is_left(&self) -> bool {
        self.documents > 0 && self.bytes > 0
    }

    pub(super) fn take(&mut self, documents: u64, bytes: usize) {
        if documents > 0 {
            self.documents -= i64::try_from(documents).unwrap_or(i64::MAX);
            self.bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
        }
    }
}
