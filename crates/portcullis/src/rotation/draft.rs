use std::io::Write as _;
use std::path::{Path, PathBuf};

use portcullis_jose::Secret;
use tempfile::NamedTempFile;

/// A new text of a file, beside it: for its owner alone, and of the same owner. It takes the file's place as a whole.
pub(super) struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// Begins one, which shows that it can be done. It is gone again when it is dropped.
    pub(super) fn begin(path: &Path) -> Result<Draft, String> {
        let failed = |error: std::io::Error| format!("{} cannot be replaced: {error}", path.display());
        // What a link leads to is replaced, and not the link.
        let target = path.canonicalize().map_err(failed)?;
        let directory = target.parent().unwrap_or(Path::new("/"));
        let file = NamedTempFile::new_in(directory).map_err(failed)?;
        same_owner(&target, file.path()).map_err(failed)?;
        Ok(Draft { file, target })
    }

    pub(super) fn put(mut self, secret: &Secret) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{} cannot be replaced: {error}", self.target.display());
        writeln!(self.file, "{}", secret.expose()).map_err(failed)?;
        self.file.as_file().sync_all().map_err(failed)?;
        self.file.persist(&self.target).map_err(|error| failed(error.error))?;
        sync_directory(&self.target).map_err(failed)
    }
}

/// Whoever reads the file must be able to read the new one: an administrator may write what a service owns.
#[cfg(unix)]
fn same_owner(of: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let (wanted, made) = (std::fs::metadata(of)?, std::fs::metadata(to)?);
    if (wanted.uid(), wanted.gid()) == (made.uid(), made.gid()) {
        return Ok(());
    }
    chown(to, Some(wanted.uid()), Some(wanted.gid()))
}

#[cfg(not(unix))]
fn same_owner(_: &Path, _: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The new name is on the disk too.
#[cfg(unix)]
pub(super) fn sync_directory(file: &Path) -> std::io::Result<()> {
    match file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_and_not_the_link_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| dir.path().join(name));
        std::fs::write(&file, "old\n").unwrap();
        symlink(&file, &link).unwrap();
        let before = std::fs::metadata(&file).unwrap();
        drop(Draft::begin(&link).unwrap());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing is left of it"
        );
        Draft::begin(&link).unwrap().put(&Secret::new("new")).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new\n");
        let after = std::fs::metadata(&file).unwrap();
        assert_eq!((after.uid(), after.permissions().mode() & 0o777), (before.uid(), 0o600));
        assert_ne!(after.ino(), before.ino(), "it was renamed over the old one");
        let missing = Draft::begin(&dir.path().join("nothing")).err().unwrap();
        assert!(missing.contains("nothing cannot be replaced"), "{missing}");
    }
}
