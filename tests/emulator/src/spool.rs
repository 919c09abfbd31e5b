//! Disk space for results: a few unlinked files shared by all statements.
//!
//! A file a statement would run into the limit of open files; named files would outlive a kill. A segment's space is
//! given back when the last result in it is dropped. Knows bytes and extents, not partitions.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A segment takes no new extents beyond this.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Hands out space.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    current: Mutex<Arc<Segment>>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    used: AtomicU64,
}

/// A run of bytes; keeps its segment alive.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    segment: Arc<Segment>,
    offset: u64,
    length: usize,
}

impl Spool {
    /// A spool in `folder`.
    ///
    /// # Errors
    /// If no file can be made there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let current = Mutex::new(Arc::new(Segment::create(folder)?));
        Ok(Self { folder: folder.to_owned(), current })
    }

    /// Writes `bytes` somewhere; blocking.
    ///
    /// # Errors
    /// What the file system gives (a full disk).
    pub(crate) fn store(&self, bytes: &[u8]) -> io::Result<Extent> {
        let length = bytes.len() as u64;
        let (segment, offset) = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.used.load(Ordering::Relaxed) >= SEGMENT_BYTES {
                *current = Arc::new(Segment::create(&self.folder)?);
            }
            (Arc::clone(&current), current.used.fetch_add(length, Ordering::Relaxed))
        };
        segment.file.write_all_at(bytes, offset)?;
        Ok(Extent { segment, offset, length: bytes.len() })
    }
}

impl Segment {
    fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder)?, used: AtomicU64::new(0) })
    }
}

impl Extent {
    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends its bytes; blocking.
    ///
    /// # Errors
    /// What reading gives.
    pub(crate) fn read_into(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.resize(start + self.length, 0);
        let target = out.get_mut(start..).unwrap_or_default();
        self.segment.file.read_exact_at(target, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_of_several_writers_do_not_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let extents: Vec<_> =
            (0..100u8).map(|n| spool.store(&vec![n; usize::from(n) + 1]).unwrap()).collect();
        for (extent, n) in extents.iter().zip(0u8..) {
            let mut bytes = Vec::new();
            extent.read_into(&mut bytes).unwrap();
            assert_eq!(bytes, vec![n; usize::from(n) + 1]);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing to clean up after a kill");
    }
}
