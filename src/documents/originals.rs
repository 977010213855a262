//! Files as they were sent, in parts of a mebibyte.

use time::OffsetDateTime;

use super::{extract::MediaType, spool::Bytes, store_originals as store};
use crate::{
    db::TenantTx,
    fault::Fault,
    ids::{DocumentId, OriginalId, VectorStoreId},
    neutral,
};

/// How much of a file one row holds.
pub(super) const PART: usize = 1 << 20;

/// A file that is kept as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original<'a> {
    pub(super) store: VectorStoreId,
    pub(super) name: &'a str,
    pub(super) media: MediaType,
    pub(super) hash: &'a [u8; 32],
    pub(super) bytes: Bytes<'a>,
}

/// A file that is there, and what is known of its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) id: OriginalId,
    pub(super) hash: [u8; 32],
    pub(super) byte_size: i64,
}

/// Keep a file. No document has it yet. `None` when there is no such builtin store.
pub(super) async fn keep(
    tx: &mut TenantTx,
    file: &Original<'_>,
    now: OffsetDateTime,
) -> Result<Option<OriginalId>, Fault> {
    let id = OriginalId::new();
    // A member of an archive may be called anything.
    let name = neutral::line(file.name, 300);
    let name = if name.is_empty() { "file" } else { &name };
    if !store::insert(tx, id, &Original { name, ..*file }, now).await? {
        return Ok(None);
    }
    let (mut part, mut at) = (0, 0);
    while let Some(bytes) = file.bytes.part(at, PART).await? {
        store::insert_part(tx, id, part, &bytes).await?;
        (part, at) = (part + 1, at + bytes.len());
    }
    Ok(Some(id))
}

/// A file's bytes; `None` when it is gone.
pub(super) async fn read(tx: &mut TenantTx, id: OriginalId) -> sqlx::Result<Option<Vec<u8>>> {
    let Some(size) = store::size(tx, id).await? else { return Ok(None) };
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    for part in 0.. {
        match store::part(tx, id, part).await? {
            Some(body) => bytes.extend_from_slice(&body),
            None => break,
        }
    }
    Ok(Some(bytes))
}

/// One part's bytes; `None` after the last.
pub(super) async fn part(
    tx: &mut TenantTx,
    id: OriginalId,
    number: i32,
) -> sqlx::Result<Option<Vec<u8>>> {
    store::part(tx, id, number).await
}

/// Give a document the file that it was read from, in place of the one before, which stays as
/// long as a former version has it; none for what is not kept.
pub(super) async fn adopt(
    tx: &mut TenantTx,
    document: DocumentId,
    original: Option<OriginalId>,
) -> sqlx::Result<()> {
    store::drop_others(tx, document, original).await?;
    match original {
        Some(original) => store::adopt(tx, document, original).await,
        None => Ok(()),
    }
}

/// Forget a file, unless a document has it.
pub(super) async fn forget(tx: &mut TenantTx, id: OriginalId) -> sqlx::Result<()> {
    store::forget(tx, id).await
}
