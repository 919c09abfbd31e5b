//! Reads one object of the file key by key and collects what is wrong with it; it never stops at the first fault.
//!
//! It knows kinds and ranges (from `keys`), not what a key means. Values of secrets and of variables are never put
//! into a finding.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::environment::{Environment, ExpandError, expand};
use crate::finding::{Finding, Severity};
use crate::json::{Member, Node, Value};
use crate::keys::{Kind, SECTIONS, Section, nearest, nearest_word};

/// What every reader of one file shares.
pub(crate) struct Context<'a> {
    pub(crate) environment: Environment<'a>,
    /// Where relative paths are looked for after the working directory.
    pub(crate) config_dir: PathBuf,
    findings: RefCell<Vec<Finding>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(environment: Environment<'a>, config_dir: PathBuf) -> Self {
        Self { environment, config_dir, findings: RefCell::new(Vec::new()) }
    }

    pub(crate) fn error(&self, at: &Place, message: impl Into<String>) {
        self.report(Severity::Error, at, message.into());
    }

    pub(crate) fn warn(&self, at: &Place, message: impl Into<String>) {
        self.report(Severity::Warning, at, message.into());
    }

    fn report(&self, severity: Severity, at: &Place, message: String) {
        let finding = Finding { severity, path: at.path.clone(), line: Some(at.line), message };
        self.findings.borrow_mut().push(finding);
    }

    /// Everything found, in the order of the file.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.line);
        findings
    }
}

/// Where in the file: path of keys and line.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) line: u32,
}

/// A text of the file with its variables put in.
pub(crate) struct Text {
    pub(crate) place: Place,
    pub(crate) value: String,
    /// Never shown where this holds.
    pub(crate) from_variable: bool,
}

impl Text {
    /// The value for a message, unless it came from a variable.
    pub(crate) fn shown(&self) -> String {
        if self.from_variable { "the variable's value".to_owned() } else { format!("`{}`", self.value) }
    }
}

/// One object of the file.
pub(crate) struct Scope<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) place: Place,
    section: &'static Section,
    members: &'a [Member],
}

impl<'a> Scope<'a> {
    /// Takes `node` as an object of `section` and reports its unknown and doubled keys.
    pub(crate) fn open(
        cx: &'a Context<'a>,
        section: &'static Section,
        place: Place,
        node: &'a Node,
    ) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            cx.error(&place, format!("must be an object {{...}}, found {}", node.value.kind()));
            return None;
        };
        let scope = Self { cx, place, section, members };
        scope.check_keys();
        Some(scope)
    }

    /// Where `key` is, or would be.
    pub(crate) fn at(&self, key: &str) -> Place {
        let line = self.member(key).map_or(self.place.line, |member| member.line);
        let path =
            if self.place.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.path) };
        Place { path, line }
    }

    fn check_keys(&self) {
        for (index, member) in self.members.iter().enumerate() {
            let name = member.key.as_str();
            if name.starts_with(['_', '$']) {
                continue;
            }
            let place = Place { line: member.line, ..self.at(name) };
            if self.members.iter().take(index).any(|earlier| earlier.key == name) {
                self.cx.warn(&place, "stands here twice; the last one counts, remove the others");
            }
            match self.section.key(name) {
                Some(key) => {
                    if matches!(key.kind, Kind::Dead) && member.node.value != Value::Null {
                        self.cx.warn(&place, format!("{}; remove it", key.about));
                    }
                }
                None => self.report_unknown(&place, name),
            }
        }
    }

    fn report_unknown(&self, place: &Place, name: &str) {
        if let Some(near) = nearest(self.section, name) {
            self.cx.error(place, format!("unknown key; did you mean `{near}`?"));
            return;
        }
        let elsewhere = SECTIONS.iter().find(|section| section.key(name).is_some());
        self.cx.warn(
            place,
            match elsewhere {
                Some(section) => format!("has no effect here; it belongs to {}", section.name),
                None => "unknown key, ignored; remove it, or begin its name with _ to keep it as a comment"
                    .to_owned(),
            },
        );
    }

    fn member(&self, key: &str) -> Option<&'a Member> {
        self.members.iter().rfind(|member| member.key == key)
    }

    /// The value of a key; null is absent.
    pub(crate) fn node(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.section.key(key).is_some(), "{key} is not in the list of keys");
        self.member(key).map(|member| &member.node).filter(|node| node.value != Value::Null)
    }

    /// Reports a key that must be there and is not.
    pub(crate) fn missing(&self, key: &str) {
        let about = self.section.key(key).map_or("", |key| key.about);
        self.cx.error(&self.at(key), format!("missing; give {about}"));
    }

    /// A text with its variables put in.
    pub(crate) fn text(&self, key: &str) -> Option<Text> {
        let node = self.node(key)?;
        self.text_at(self.at(key), node)
    }

    /// A text that must be there and not be blank.
    pub(crate) fn required(&self, key: &str) -> Option<Text> {
        if self.node(key).is_none() {
            self.missing(key);
            return None;
        }
        let text = self.text(key)?;
        if text.value.trim().is_empty() {
            let about = self.section.key(key).map_or("", |key| key.about);
            self.cx.error(&text.place, format!("is empty; give {about}"));
            return None;
        }
        Some(text)
    }

    /// A text that may be absent; a blank one is absent too.
    pub(crate) fn optional(&self, key: &str) -> Option<Text> {
        self.text(key).filter(|text| !text.value.trim().is_empty())
    }

    /// The key has a value that is neither null nor blank as written, readable or not.
    pub(crate) fn optional_was_given(&self, key: &str) -> bool {
        self.node(key).is_some_and(|node| !matches!(&node.value, Value::Text(raw) if raw.trim().is_empty()))
    }

    /// Where relative paths are looked for after the working directory.
    pub(crate) fn dirs(&self) -> Vec<PathBuf> {
        vec![self.cx.config_dir.clone()]
    }

    pub(crate) fn text_at(&self, place: Place, node: &Node) -> Option<Text> {
        let Value::Text(raw) = &node.value else {
            self.cx.error(&place, format!("must be text in double quotes, found {}", node.value.kind()));
            return None;
        };
        self.expanded(place, raw)
    }

    fn expanded(&self, place: Place, raw: &str) -> Option<Text> {
        match expand(raw, &self.cx.environment) {
            Ok(expanded) => Some(Text { place, value: expanded.text, from_variable: expanded.from_variable }),
            Err(ExpandError::Unset(names)) => {
                for name in names {
                    let message =
                        format!("variable {name} is not set; set it in the environment or in the --env-file");
                    self.cx.error(&place, message);
                }
                None
            }
            Err(ExpandError::Malformed) => {
                self.cx.error(&place, "`${` must be followed by a variable name and `}`; write `$${` for the characters themselves");
                None
            }
        }
    }

    /// A whole number within the key's range. A text is taken where it came from a variable.
    pub(crate) fn integer(&self, key: &str) -> Option<u32> {
        let Some(Kind::Integer { min, max }) = self.section.key(key).map(|key| &key.kind) else {
            debug_assert!(false, "{key} is not a whole number in the list of keys");
            return None;
        };
        let node = self.node(key)?;
        let place = self.at(key);
        let (number, kind) = match &node.value {
            Value::Number(text) => (text.parse::<i128>().ok(), "a number with a fraction or exponent"),
            Value::Text(raw) => {
                let text = self.expanded(place.clone(), raw)?;
                let number = text.value.trim().parse::<i128>().ok();
                if text.from_variable {
                    (number, "a variable whose value is no whole number")
                } else {
                    (None, "text; write a number without quotes")
                }
            }
            other => (None, other.kind()),
        };
        let Some(number) = number else {
            self.cx.error(&place, format!("must be a whole number from {min} to {max}, found {kind}"));
            return None;
        };
        let in_range = u32::try_from(number).ok().filter(|number| (*min..=*max).contains(number));
        if in_range.is_none() {
            self.cx.error(&place, format!("must be from {min} to {max}"));
        }
        in_range
    }

    /// true or false. A text is taken where it came from a variable.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        let place = self.at(key);
        let found = match &node.value {
            Value::Flag(flag) => return Some(*flag),
            Value::Text(raw) => {
                let text = self.expanded(place.clone(), raw)?;
                match text.value.trim().to_ascii_lowercase().as_str() {
                    "true" if text.from_variable => return Some(true),
                    "false" if text.from_variable => return Some(false),
                    _ if text.from_variable => "a variable with another value",
                    _ => "text; write the word without quotes",
                }
            }
            other => other.kind(),
        };
        self.cx.error(&place, format!("must be true or false, found {found}"));
        None
    }

    /// One of the words of `table`, compared without case.
    pub(crate) fn word<T: Copy>(&self, key: &str, table: &[(&'static str, T)]) -> Option<T> {
        let text = self.optional(key)?;
        let wanted = text.value.trim();
        let found = table.iter().find(|(word, _)| word.eq_ignore_ascii_case(wanted));
        if found.is_none() {
            let list = table.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let near =
                nearest_word(table.iter().map(|(word, _)| *word), wanted).filter(|_| !text.from_variable);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            self.cx.error(&text.place, format!("{} is none of {list}{hint}", text.shown()));
        }
        found.map(|(_, value)| *value)
    }

    /// A list of names, or one name without its list. Blank and doubled ones are errors.
    pub(crate) fn names(&self, key: &str) -> Vec<Text> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let place = self.at(key);
        let texts: Vec<Text> = match &node.value {
            Value::Text(_) => self.text_at(place, node).into_iter().collect(),
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .filter_map(|(index, node)| {
                    let place = Place { path: format!("{}[{index}]", place.path), line: node.line };
                    self.text_at(place, node)
                })
                .collect(),
            other => {
                self.cx.error(&place, format!("must be a list of names, found {}", other.kind()));
                Vec::new()
            }
        };
        for text in texts.iter().filter(|text| text.value.trim().is_empty()) {
            self.cx.error(&text.place, "is empty; give a column's name, exactly as the database spells it");
        }
        texts
    }

    /// An inner object.
    pub(crate) fn object(&self, key: &str) -> Option<Scope<'a>> {
        let Some(Kind::Object(section)) = self.section.key(key).map(|key| &key.kind) else {
            debug_assert!(false, "{key} is not an object in the list of keys");
            return None;
        };
        Scope::open(self.cx, section, self.at(key), self.node(key)?)
    }

    /// The objects of a list; `None` where there is no list.
    pub(crate) fn list(&self, key: &str) -> Option<Vec<Scope<'a>>> {
        let Some(Kind::List(section)) = self.section.key(key).map(|key| &key.kind) else {
            debug_assert!(false, "{key} is not a list in the list of keys");
            return None;
        };
        let Some(node) = self.node(key) else {
            self.missing(key);
            return None;
        };
        let place = self.at(key);
        let Value::List(nodes) = &node.value else {
            self.cx.error(&place, format!("must be a list [...], found {}", node.value.kind()));
            return None;
        };
        let scopes = nodes.iter().enumerate().filter_map(|(index, node)| {
            let place = Place { path: format!("{}[{index}]", place.path), line: node.line };
            Scope::open(self.cx, section, place, node)
        });
        Some(scopes.collect())
    }

    /// Path and line of every source and of every table, for the checks between them.
    pub(crate) fn lines_of_entries(&self) -> Vec<(String, u32)> {
        let mut lines = Vec::new();
        for (index, source) in elements(self.members, "sources").enumerate() {
            let path = format!("sources[{index}]");
            let Value::Object(members) = &source.value else { continue };
            for (index, table) in elements(members, "tables").enumerate() {
                let line = match &table.value {
                    Value::Object(members) => {
                        members.iter().rfind(|member| member.key == "target").map_or(table.line, |m| m.line)
                    }
                    _ => table.line,
                };
                lines.push((format!("{path}.tables[{index}]"), line));
            }
            lines.push((path, source.line));
        }
        lines
    }

    /// The members of a key that is an object of free names.
    pub(crate) fn members_of(&self, key: &str) -> Vec<(Place, &'a str, &'a Node)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let place = self.at(key);
        let Value::Object(members) = &node.value else {
            self.cx.error(
                &place,
                format!("must be an object {{\"source\": \"target\"}}, found {}", node.value.kind()),
            );
            return Vec::new();
        };
        members
            .iter()
            .filter(|member| member.node.value != Value::Null)
            .map(|member| {
                let place = Place { path: format!("{}[\"{}\"]", place.path, member.key), line: member.line };
                (place, member.key.as_str(), &member.node)
            })
            .collect()
    }
}

/// The elements of the list under `key`.
fn elements<'a>(members: &'a [Member], key: &str) -> impl Iterator<Item = &'a Node> {
    let list = members.iter().rfind(|member| member.key == key).map(|member| &member.node.value);
    match list {
        Some(Value::List(nodes)) => nodes.iter(),
        _ => [].iter(),
    }
}
