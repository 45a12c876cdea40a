//! The files under check: what git tracks, and what it would add.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// The path below the root, with forward slashes.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
}

impl File {
    /// The part behind the last dot of the name; empty where there is none.
    pub(crate) fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether a folder of this name is on the path.
    pub(crate) fn is_below(&self, folder: &str) -> bool {
        self.path.rsplit_once('/').is_some_and(|(folders, _)| folders.split('/').any(|part| part == folder))
    }
}

/// Every text file of the repository.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// Reads the tree at `root`. Files that are not UTF-8 are no text and are left out.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("cannot run git")?;
        ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        let listing = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
        let mut files = Vec::new();
        for path in listing.split('\0').filter(|path| !path.is_empty()) {
            let whole = root.join(path);
            // A tracked file that was just deleted is listed too.
            if whole.is_file()
                && let Ok(text) = std::fs::read_to_string(&whole)
            {
                files.push(File { path: path.to_owned(), text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree made by hand, for tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }

    /// All files, by path.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// The content of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}
