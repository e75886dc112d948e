//! The disk of a file: how large it is, and how much of it is free.

use std::path::Path;

/// With less free than this, a disk is nearly full.
const FEW_BYTES: u64 = 1 << 30;
/// The same, in per cent of the disk.
const FEW_PER_CENT: u64 = 10;

/// Why people are warned.
pub const NEARLY_FULL: &str =
    "less than 1 GiB or less than 10 % of the disk is free. On a full disk deliveries are answered 503";

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub bytes: u64,
    /// Bytes that this process may still write.
    pub free_bytes: u64,
}

impl Disk {
    /// The disk of this file or folder. `None` if the system does not tell.
    pub fn of(path: &Path) -> Option<Self> {
        // Asked by name: closing a descriptor of a file that SQLite has open would drop SQLite's locks.
        let told = rustix::fs::statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        Some(Self { bytes: bytes(told.f_blocks), free_bytes: bytes(told.f_bavail) })
    }

    /// How much of the disk is free, in per cent.
    pub fn free_per_cent(self) -> u64 {
        let share = u128::from(self.free_bytes) * 100 / u128::from(self.bytes.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Whether somebody should make room.
    pub fn is_nearly_full(self) -> bool {
        self.free_bytes < FEW_BYTES || self.free_per_cent() < FEW_PER_CENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_disk_is_nearly_full_below_a_gibibyte_or_a_tenth() {
        for (bytes, free_bytes, nearly) in [
            (5 * GIB, GIB, false),
            (5 * GIB, GIB - 1, true),
            (100 * GIB, 10 * GIB, false),
            (100 * GIB, 10 * GIB - 1, true),
            (u64::MAX, u64::MAX, false),
            (0, 0, true),
        ] {
            assert_eq!(Disk { bytes, free_bytes }.is_nearly_full(), nearly, "{free_bytes} of {bytes}");
        }
    }

    #[test]
    fn the_disk_of_a_file_is_that_of_its_folder_and_nobody_tells_of_what_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        assert_eq!(Disk::of(&file), None);
        std::fs::write(&file, "").unwrap();
        let size = |path: &Path| Disk::of(path).map(|disk| disk.bytes);
        assert!(size(&file).is_some_and(|bytes| bytes > 0));
        assert_eq!(size(&file), size(dir.path()));
    }
}
