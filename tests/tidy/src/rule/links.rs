//! Links between the documents lead somewhere.

use crate::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            for target in targets(line) {
                let Some(path) = resolve(&file.path, target) else { continue };
                if !path.is_empty() && !tree.contains(&path) {
                    findings.push(file.finding(index + 1, format!("`{target}` leads nowhere")));
                }
            }
        }
    }
    findings
}

/// What stands in `](...)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The path from the root that a relative link names; `None` for the web and for anchors.
fn resolve(from: &str, target: &str) -> Option<String> {
    let path = target.split('#').next()?;
    if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    #[test]
    fn a_dead_link_is_found() {
        let readme = "[a](docs/a.md#part) [b](docs/b.md) [web](https://example.org) [here](#here)";
        let found = messages(check, &[("README.md", readme), ("docs/a.md", "[up](../README.md) [dir](.)")]);
        assert_eq!(found, ["README.md:1: `docs/b.md` leads nowhere"]);
    }
}
