//! Files that nobody but their owner may use.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a file that did not exist, for its owner alone from its first moment.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// The permission bits, if others than the owner may read or write the file.
///
/// On systems without such bits the directory's access list is what protects the file.
pub(crate) fn shared_mode(file: &File) -> io::Result<Option<u32>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(None)
    }
}
