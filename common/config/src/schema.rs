//! The JSON Schema of the configuration, for editors: made from the list of keys.

use serde_json::{Map, Value, json};

use crate::keys::{GLOBAL, Key, Kind, Need, SECTIONS, Section};

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut root = object(&GLOBAL);
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".into(), json!("Thaw configuration"));
    let definitions = SECTIONS
        .iter()
        .skip(1)
        .map(|section| (definition(section), Value::Object(object(section))))
        .collect::<Map<_, _>>();
    root.insert("$defs".into(), Value::Object(definitions));
    Value::Object(root)
}

/// Every key with its place, as in `sources[].tables[].target`; for the tests of documents.
#[must_use]
pub fn key_paths() -> Vec<String> {
    let prefix = |section: &Section| match section.name {
        "the top level" => String::new(),
        name => format!("{name}."),
    };
    SECTIONS
        .iter()
        .flat_map(|section| section.keys().map(|key| format!("{}{}", prefix(section), key.name)))
        .collect()
}

fn definition(section: &Section) -> String {
    section.name.rsplit('.').next().unwrap_or_default().replace("[]", "")
}

fn object(section: &Section) -> Map<String, Value> {
    let properties: Map<String, Value> =
        section.keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        section.keys().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut object = Map::new();
    object.insert("description".into(), json!(section.about));
    object.insert("type".into(), json!("object"));
    object.insert("properties".into(), Value::Object(properties));
    // Comments.
    object.insert("patternProperties".into(), json!({ "^[_$]": {} }));
    object.insert("additionalProperties".into(), json!(false));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object
}

/// null is absent for every key that may be absent.
fn property(key: &Key) -> Value {
    let description = match key.need {
        Need::Required => format!("{} (required)", key.about),
        Need::Optional(default) => format!("{} (default: {default})", key.about),
    };
    let mut forms = forms(&key.kind);
    if key.need != Need::Required {
        forms.push(json!({ "type": "null" }));
    }
    let mut property = Map::new();
    property.insert("description".into(), json!(description));
    if matches!(key.kind, Kind::Dead) {
        property.insert("deprecated".into(), json!(true));
    } else {
        property.insert("anyOf".into(), Value::Array(forms));
    }
    Value::Object(property)
}

fn forms(kind: &Kind) -> Vec<Value> {
    let variable = || json!({ "type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}" });
    match kind {
        Kind::Text | Kind::Secret => vec![json!({ "type": "string" })],
        Kind::Flag => vec![json!({ "type": "boolean" }), variable()],
        Kind::Integer { min, max } => {
            vec![json!({ "type": "integer", "minimum": min, "maximum": max }), variable()]
        }
        Kind::Word(words) => vec![json!({ "enum": words() }), variable()],
        Kind::Names => {
            let name = json!({ "type": "string", "minLength": 1 });
            vec![json!({ "type": "array", "items": name }), name]
        }
        Kind::Types(words) => {
            let word = json!({ "type": "string", "examples": words() });
            vec![json!({ "type": "array", "items": word }), word]
        }
        Kind::Mapping => {
            vec![json!({ "type": "object", "additionalProperties": { "type": ["string", "null"] } })]
        }
        Kind::Span => vec![
            json!({ "type": "integer", "minimum": 0 }),
            json!({ "type": "string", "pattern": r"^\s*[0-9]+\s*[smhdw]?\s*$" }),
            variable(),
        ],
        Kind::Object(section) => vec![reference(section)],
        Kind::List(section) => vec![json!({ "type": "array", "items": reference(section) })],
        Kind::Dead => Vec::new(),
    }
}

fn reference(section: &Section) -> Value {
    json!({ "$ref": format!("#/$defs/{}", definition(section)) })
}
