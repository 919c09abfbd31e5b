//! The variables that `${VAR}` can name: the process's environment first, then the `.env` file. The one place of the
//! product that reads the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::env_file;

/// Looks one variable up outside of any file.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What `${VAR}` sees.
pub(crate) struct Environment<'a> {
    process: Lookup<'a>,
    file: BTreeMap<String, String>,
}

/// The variable of this process; one that is no Unicode counts as unset.
#[expect(clippy::disallowed_methods, reason = "this is the place where the environment is read")]
pub(crate) fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl<'a> Environment<'a> {
    /// Reads `env_file`, or `.env` in the working directory, or `.env` beside the configuration: the first that there
    /// is. Only a file that was named must exist. The error is a message without values.
    pub(crate) fn read(
        process: Lookup<'a>,
        env_file: Option<&Path>,
        config_dir: &Path,
    ) -> (Self, Option<String>) {
        let path = match env_file {
            Some(named) => named.to_owned(),
            None => {
                match [PathBuf::from(".env"), config_dir.join(".env")].into_iter().find(|path| path.is_file())
                {
                    Some(found) => found,
                    None => return (Self { process, file: BTreeMap::new() }, None),
                }
            }
        };
        let name = path.display();
        let read = match std::fs::read_to_string(&path) {
            Ok(text) => env_file::parse(&text, process).map_err(|error| {
                format!("the environment file {name}, line {}: {}", error.line, error.message)
            }),
            Err(error) => Err(format!("the environment file {name} cannot be read: {error}")),
        };
        match read {
            Ok(file) => (Self { process, file }, None),
            Err(message) => (Self { process, file: BTreeMap::new() }, Some(message)),
        }
    }

    /// The value of a variable; the environment wins over the file.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.process)(name).or_else(|| self.file.get(name).cloned())
    }
}

/// A text with its variables put in.
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Some of it came from a variable: it is never printed, and may stand for a number.
    pub(crate) from_variable: bool,
}

/// Why a text could not be expanded.
pub(crate) enum ExpandError {
    /// These variables are not set.
    Unset(Vec<String>),
    /// A `${` without a name and a `}` behind it.
    Malformed,
}

/// Replaces every `${VAR}`. `$${` stands for a literal `${`; any other `$` is itself.
pub(crate) fn expand(text: &str, environment: &Environment<'_>) -> Result<Expanded, ExpandError> {
    let mut expanded = Expanded { text: String::new(), from_variable: false };
    let mut unset = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded.text.push_str(before);
            expanded.text.push_str("${");
            rest = after;
            continue;
        }
        let (name, tail) = after.split_once('}').ok_or(ExpandError::Malformed)?;
        if !env_file::is_name(name) {
            return Err(ExpandError::Malformed);
        }
        expanded.text.push_str(before);
        expanded.from_variable = true;
        match environment.get(name) {
            Some(value) => expanded.text.push_str(&value),
            None => unset.push(name.to_owned()),
        }
        rest = tail;
    }
    expanded.text.push_str(rest);
    if unset.is_empty() { Ok(expanded) } else { Err(ExpandError::Unset(unset)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_file_and_a_doubled_dollar_is_literal() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("x.env");
        std::fs::write(&file, "A=file\nB=file\n").expect("written");
        let process = |name: &str| (name == "A").then(|| "process".to_owned());
        let (environment, fault) = Environment::read(&process, Some(&file), dir.path());
        assert_eq!(fault, None);
        let expanded = expand("${A}-${B}-$${A}-$x-100$", &environment).ok().expect("expands");
        assert_eq!(expanded.text, "process-file-${A}-$x-100$");
        assert!(
            matches!(expand("${A}${NO}", &environment), Err(ExpandError::Unset(names)) if names == ["NO"])
        );
        assert!(matches!(expand("${A", &environment), Err(ExpandError::Malformed)));
        assert!(matches!(expand("${A:-x}", &environment), Err(ExpandError::Malformed)));
    }
}
