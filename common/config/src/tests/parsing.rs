//! The parser against serde_json's, and against noise.

use proptest::prelude::*;
use serde_json::Value as Theirs;

use crate::json::{Node, Value, parse};

fn theirs(node: &Node) -> Theirs {
    match &node.value {
        Value::Null => Theirs::Null,
        Value::Flag(flag) => Theirs::Bool(*flag),
        Value::Number(text) => serde_json::from_str(text).expect("a number"),
        Value::Text(text) => Theirs::String(text.clone()),
        Value::List(nodes) => nodes.iter().map(theirs).collect(),
        Value::Object(members) => members.iter().map(|m| (m.key.clone(), theirs(&m.node))).collect(),
    }
}

fn any_json() -> impl Strategy<Value = Theirs> {
    let leaf = prop_oneof![
        Just(Theirs::Null),
        any::<bool>().prop_map(Theirs::from),
        any::<i64>().prop_map(Theirs::from),
        (-1e9..1e9).prop_map(Theirs::from),
        ".*".prop_map(Theirs::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Theirs::from),
            prop::collection::btree_map(".*", inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_json_writes_is_read_as_it_reads_it(value in any_json()) {
        let plain = value.to_string();
        // serde_json does not read every float back to the last digit; what it reads is the measure.
        let expected: Theirs = serde_json::from_str(&plain).expect("parses");
        for text in [plain, format!("// c\n{value:#}/* c */")] {
            prop_assert_eq!(&theirs(&parse(&text).expect("parses")), &expected);
        }
    }

    #[test]
    fn noise_is_refused_or_read_but_never_panics(text in r#"[\[\]{}":,/*\\ue0-9tfn\n .+-]{0,60}"#) {
        let ours = parse(&text);
        if let Ok(value) = serde_json::from_str::<Theirs>(&text) {
            // serde_json keeps the last of two equal keys, as ours does when it is turned into its kind of map.
            prop_assert_eq!(theirs(&ours.expect("what JSON is")), value);
        }
    }

    #[test]
    fn a_files_positions_lie_within_it(text in r#"[\[\]{}":,a\n ]{0,40}"#) {
        if let Err(error) = parse(&text) {
            let lines = text.split('\n').count();
            prop_assert!(usize::try_from(error.line).expect("fits") <= lines);
            prop_assert!(error.column >= 1);
        }
    }
}
