//! Files on their way in, on disk until they are whole (spec row U-01): of each, a piece is in
//! memory, and none has a name, so that nothing is left of one whatever happens.

use std::{
    borrow::Cow,
    fs::{DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileExt},
    path::Path,
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::{
    extract::{MediaType, Unreadable},
    ingest::MAX_UPLOAD,
};
use crate::fault::Fault;

/// How much is gathered before a thread that may wait for the disk writes it.
const GATHERED: usize = 256 << 10;

/// Where files are until they are whole. Clones share.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Path>);

/// A file that is coming.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: tokio::fs::File,
    hash: Sha256,
    size: usize,
}

/// Why no more of a file is taken.
#[derive(Debug)]
pub(crate) enum Unkept {
    /// It is longer than files may be.
    TooLarge,
    /// The disk is full.
    NoRoom,
    /// Ours.
    Fault(Fault),
}

/// A file that came whole, on disk until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Spooled {
    file: Arc<File>,
    hash: [u8; 32],
    size: usize,
}

/// What a file holds that somebody sends.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Here(Vec<u8>),
    /// As it came.
    OnDisk(Spooled),
}

/// The same, lent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes<'a> {
    Here(&'a [u8]),
    OnDisk(&'a Spooled),
}

impl Spool {
    /// In this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.into())
    }

    /// Make the folder, and find out whether it takes files.
    ///
    /// # Errors
    /// When it does not.
    pub fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        tempfile::tempfile_in(&self.0).map(drop)
    }

    /// Begin a file.
    pub(crate) async fn begin(&self) -> Result<Incoming, Unkept> {
        let folder = Arc::clone(&self.0);
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let mut file = tokio::fs::File::from_std(file.map_err(Fault::from)??);
        file.set_max_buf_size(GATHERED);
        Ok(Incoming { file, hash: Sha256::new(), size: 0 })
    }
}

impl Incoming {
    /// Take the next piece.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<(), Unkept> {
        self.size += piece.len();
        if self.size > MAX_UPLOAD {
            return Err(Unkept::TooLarge);
        }
        self.hash.update(piece);
        Ok(self.file.write_all(piece).await?)
    }

    /// That was all.
    pub(crate) async fn finish(mut self) -> Result<Spooled, Unkept> {
        self.file.flush().await?;
        let file = Arc::new(self.file.into_std().await);
        Ok(Spooled { file, hash: self.hash.finalize().into(), size: self.size })
    }
}

impl From<io::Error> for Unkept {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                tracing::error!(%error, "an upload was not taken: the disk of CALLSLIP_UPLOAD_DIR");
                Self::NoRoom
            }
            _ => Self::Fault(error.into()),
        }
    }
}

impl From<Fault> for Unkept {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Spooled {
    /// How many bytes there are.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Their SHA-256.
    pub(crate) const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Here(bytes)
    }
}

impl Content {
    pub(super) fn bytes(&self) -> Bytes<'_> {
        match self {
            Self::Here(bytes) => Bytes::Here(bytes),
            Self::OnDisk(file) => Bytes::OnDisk(file),
        }
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        match self {
            Self::Here(bytes) => Sha256::digest(bytes).into(),
            Self::OnDisk(file) => file.hash,
        }
    }

    /// What it is, by its name and its content.
    pub(super) async fn media(&self, name: &str) -> Result<Result<MediaType, Unreadable>, Fault> {
        let (file, name) = match self {
            Self::Here(bytes) => return Ok(MediaType::detect(name, bytes)),
            Self::OnDisk(file) => (Arc::clone(&file.file), name.to_owned()),
        };
        let detect = move || MediaType::detect_in(&name, &mut &*file);
        Ok(tokio::task::spawn_blocking(detect).await??)
    }
}

impl<'a> Bytes<'a> {
    pub(super) fn size(self) -> i64 {
        let size = match self {
            Self::Here(bytes) => bytes.len(),
            Self::OnDisk(file) => file.size,
        };
        i64::try_from(size).unwrap_or(i64::MAX)
    }

    /// So many from there on, or what is left; `None` at the end.
    pub(super) async fn part(self, at: usize, most: usize) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        let file = match self {
            Self::Here(bytes) => {
                let end = bytes.len().min(at.saturating_add(most));
                return Ok((at < end).then(|| Cow::Borrowed(&bytes[at..end])));
            }
            Self::OnDisk(file) => file,
        };
        let size = file.size.saturating_sub(at).min(most);
        if size == 0 {
            return Ok(None);
        }
        let file = Arc::clone(&file.file);
        let read = move || {
            let mut part = vec![0; size];
            file.read_exact_at(&mut part, at as u64).map(|()| part)
        };
        Ok(Some(Cow::Owned(tokio::task::spawn_blocking(read).await??)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn spooled(spool: &Spool, bytes: &[u8]) -> Result<Spooled, Unkept> {
        let mut file = spool.begin().await?;
        for piece in bytes.chunks(100_001) {
            file.write(piece).await?;
        }
        file.finish().await
    }

    /// What is on disk is what came, in parts and by its kind, and it has no name there.
    #[tokio::test]
    async fn a_file_is_what_came() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(&folder.path().join("deep/down"));
        spool.prepare().unwrap();
        let mut bytes = b"%PDF-1.7\n".to_vec();
        bytes.extend((0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]));
        let file = spooled(&spool, &bytes).await.unwrap();
        assert_eq!(folder.path().join("deep/down").read_dir().unwrap().count(), 0);
        assert_eq!(file.hash(), <[u8; 32]>::from(Sha256::digest(&bytes)));
        let (disk, memory) = (Content::OnDisk(file), Content::from(bytes));
        let (mut at, most) = (0, 1 << 20);
        while let Some(part) = disk.bytes().part(at, most).await.unwrap() {
            assert_eq!(Some(&part), memory.bytes().part(at, most).await.unwrap().as_ref());
            at += part.len();
        }
        assert_eq!(i64::try_from(at).unwrap(), memory.bytes().size());
        assert!(memory.bytes().part(at, most).await.unwrap().is_none());
        for name in ["a.pdf", "a.txt", "a.exe"] {
            let media = disk.media(name).await.unwrap();
            assert_eq!(media, memory.media(name).await.unwrap(), "{name}");
        }
        assert_eq!(disk.media("a.pdf").await.unwrap(), Ok(MediaType::Pdf));
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path());
        let most = vec![b'x'; MAX_UPLOAD];
        assert_eq!(spooled(&spool, &most).await.unwrap().size(), MAX_UPLOAD);
        let mut file = spool.begin().await.unwrap();
        file.write(&most).await.unwrap();
        assert!(matches!(file.write(b"x").await, Err(Unkept::TooLarge)));
    }

    /// Where no file can be, that is known at the start.
    #[test]
    fn a_folder_that_is_none_is_found_out() {
        let folder = tempfile::NamedTempFile::new().unwrap();
        assert!(Spool::new(folder.path()).prepare().is_err());
    }
}
