//! The files of the repository, as text.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What holds no source. `.git` is a folder in a clone and a file in a work tree of one.
const SKIPPED: [&str; 3] = ["target", ".git", ".services"];

/// One file that is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Part of what is delivered: neither a test crate nor a `tests` or `benches` folder.
    #[must_use]
    pub fn is_product(&self) -> bool {
        let product = ["common/", "worker/", "planner/"].iter().any(|top| self.path.starts_with(top));
        product && !self.path.split('/').any(|folder| folder == "tests" || folder == "benches")
    }

    /// A finding in this file.
    #[must_use]
    pub fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }
}

/// What a rule has to say about a line (from 1; 0: the whole file).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line.max(1), self.message)
    }
}

/// All files, sorted by path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// Reads every text file below `root`.
    ///
    /// # Errors
    /// A folder or file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree of given files, for the tests of the rules.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }

    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Whether a file or folder of this path exists.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        // What is not text is no source; what the version control ignores is not ours.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if name.ends_with(".log") || name == ".env" {
            continue;
        }
        let relative = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        files.push(File { path: relative, text });
    }
    Ok(())
}
