//! What is decided once, and what cannot be.

use crate::filter::{FilterError, SentFilter, freeze};

/// 2024-03-10 03:30:15.123456789 UTC: still the evening before in New York.
const NOW: &str = "1710041415.123456789";

fn frozen(filter: &str, timezone: &str) -> SentFilter {
    freeze(filter, NOW, timezone).expect(filter)
}

fn text(filter: &str, timezone: &str) -> String {
    frozen(filter, timezone).text.expect("a filter")
}

#[test]
fn a_filter_without_the_clocks_functions_is_sent_as_it_is_written() {
    let filter = "a  =  1 /* as\nwritten */ AND \"b\" = 'it''s' -- the end";
    assert_eq!(text(filter, "UTC"), filter);
    assert!(frozen(filter, "UTC").decisions().is_empty());
}

#[test]
fn the_clocks_functions_become_literals_of_their_type_in_the_sessions_zone() {
    assert_eq!(text("d = CURRENT_DATE", "UTC"), "d = '2024-03-10'::DATE");
    assert_eq!(text("d = current_date()", "America/New_York"), "d = '2024-03-09'::DATE");
    assert_eq!(
        text("t < CURRENT_TIMESTAMP(3)", "America/New_York"),
        "t < '2024-03-10 03:30:15.123000000 +0000'::TIMESTAMP_LTZ(9)"
    );
    for call in ["GETDATE()", "LOCALTIMESTAMP", "SYSTIMESTAMP()"] {
        assert!(
            text(&format!("t < {call}"), "UTC").contains("15.123456789 +0000'::TIMESTAMP_LTZ(9)"),
            "{call}"
        );
    }
    assert_eq!(
        text("t < SYSDATE()", "America/New_York"),
        "t < '2024-03-10 03:30:15.123456789'::TIMESTAMP_NTZ(9)"
    );
    assert_eq!(text("t < LOCALTIME", "America/New_York"), "t < '22:30:15.123456789'::TIME(9)");
    let nested = frozen("t >= DATEADD(day, -7, CURRENT_DATE) AND x = 'CURRENT_DATE' -- today", "UTC");
    assert_eq!(
        nested.text.as_deref(),
        Some("t >= DATEADD(day, -7, '2024-03-10'::DATE) AND x = 'CURRENT_DATE'")
    );
    assert_eq!(nested.frozen, ["CURRENT_DATE"]);
    assert_eq!(nested.decisions().len(), 1);
}

#[test]
fn literals_beside_the_clock_keep_their_escapes() {
    let rewritten = text(r#"a = 'it''s \' \\ "x"' AND "q""q" = 1 AND d < CURRENT_DATE"#, "UTC");
    assert_eq!(rewritten, r#"a = 'it''s \' \\ "x"' AND "q""q" = 1 AND d < '2024-03-10'::DATE"#);
}

#[test]
fn what_answers_differently_each_time_is_found() {
    for (filter, name) in [
        ("RANDOM() > 0", "RANDOM"),
        ("a = uuid_string()", "UUID_STRING"),
        ("a = my_sequence.NEXTVAL", "NEXTVAL"),
        ("a IN (SELECT b FROM t SAMPLE (10))", "SAMPLE"),
    ] {
        assert_eq!(frozen(filter, "UTC").volatile, [name], "{filter}");
    }
    assert!(frozen("a IN (SELECT b FROM t)", "UTC").has_subquery);
    assert!(!frozen("a IN (1, 2)", "UTC").has_subquery);
}

#[test]
fn a_clock_that_cannot_be_read_refuses_what_needs_it() {
    assert_eq!(freeze("d = CURRENT_DATE", "", "UTC"), Err(FilterError::NotFrozen));
    assert_eq!(freeze("d = CURRENT_TIMESTAMP(a)", NOW, "UTC"), Err(FilterError::NotFrozen));
    assert!(freeze("d = 1", "", "UTC").is_ok());
}
