//! What became of the rows, in a line a person reads at a glance, and what about them asks for a look.

use thaw_model::Accounting;
use thaw_model::plan::Decision;
use thaw_status::TableProgress;

/// `10.0 M read, 9.7 M kept, 0.3 M written`, and what else there was.
pub(super) fn rows(counts: &[Accounting]) -> String {
    let sum = |of: fn(&Accounting) -> i64| counts.iter().map(of).fold(0_i64, i64::saturating_add);
    let read = sum(|c| c.fetched);
    let mut line = format!(
        "{} read, {} kept, {} written",
        short(read, read),
        short(sum(|c| c.kept), read),
        short(sum(|c| c.inserted + c.updated), read)
    );
    for (count, what) in [(sum(|c| c.deduplicated), "deduplicated"), (sum(|c| c.quarantined), "quarantined")]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line
}

/// Of a table whose rows are accounted for, but not as anybody would wish.
pub(super) fn warnings(table: &TableProgress) -> Vec<String> {
    let counts = &table.accounting;
    let name = table.target.rsplit('.').next().unwrap_or(&table.target);
    let mut warnings = Vec::new();
    if counts.quarantined > 0 {
        warnings.push(format!(
            "{} row(s) were set aside; `planner quarantine list --table {name}` says which and why",
            counts.quarantined
        ));
    }
    if counts.nulled > 0 {
        warnings.push(format!(
            "{} value(s) that the target cannot hold became NULL (on_bad_row is null)",
            counts.nulled
        ));
    }
    if counts.ambiguous > 0 {
        warnings.push(format!(
            "{} row(s) of the source have the key and the watermark of another row and other values: nothing says \
             which is right, the one that was read last was taken",
            counts.ambiguous
        ));
    }
    if counts.tied > 0 {
        warnings.push(format!(
            "{} row(s) replaced a row of the same key and watermark by other values: the source holds two such rows, or \
             changes rows without moving their watermark, and then later runs do not see every change",
            counts.tied
        ));
    }
    if counts.null_watermarks > 0 {
        warnings
            .push(format!("{} row(s) have no watermark and are read in every run", counts.null_watermarks));
    }
    if counts.watermark_lost > 0 {
        warnings.push(format!(
            "{} row(s) were kept as they are: they have a watermark at the target and none at the source any more; \
             `planner run --full --table {name}` does not replace them either, mend the watermark at the source",
            counts.watermark_lost
        ));
    }
    for decision in table.decisions.iter().filter(|decision| differs(decision)) {
        warnings.push(format!("{}: {}", decision.subject, decision.reason));
    }
    warnings
}

/// What the report repeats of the decisions: what was left undone, and what the finalizer has compared or left.
pub(super) fn is_told(decision: &Decision) -> bool {
    let of_the_end = ["source rows", "target rows", "sequence", "analyze"];
    decision.choice == "not done" || of_the_end.contains(&decision.subject.as_str()) && !differs(decision)
}

/// The finalizer has found another number of rows than it expected.
fn differs(decision: &Decision) -> bool {
    decision.choice == "differ"
}

/// Rounded to a digit in the unit of the whole, so that the figures of a line can be compared; small wholes exactly.
fn short(rows: i64, whole: i64) -> String {
    let (unit, name) = match whole {
        ..10_000 => return rows.to_string(),
        10_000..1_000_000 => (1_000, "k"),
        _ => (1_000_000, "M"),
    };
    if rows == 0 {
        return "0".to_owned();
    }
    let tenths = (rows + unit / 20) / (unit / 10);
    if tenths == 0 {
        return rows.to_string();
    }
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_up_in_one_unit() {
        let nightly = Accounting {
            fetched: 10_000_000,
            inserted: 50_000,
            updated: 250_000,
            kept: 9_699_990,
            quarantined: 10,
            ..Accounting::default()
        };
        assert!(nightly.is_balanced());
        assert_eq!(rows(&[nightly]), "10.0 M read, 9.7 M kept, 0.3 M written, 10 quarantined");
        let small = Accounting { fetched: 12, inserted: 10, deduplicated: 2, ..Accounting::default() };
        assert_eq!(rows(&[small, small]), "24 read, 0 kept, 20 written, 4 deduplicated");
        let few = Accounting { fetched: 2_000_000, inserted: 3, kept: 1_999_997, ..Accounting::default() };
        assert_eq!(rows(&[few]), "2.0 M read, 2.0 M kept, 3 written");
        let thousands = Accounting { fetched: 19_000, updated: 19_000, ..Accounting::default() };
        assert_eq!(rows(&[thousands]), "19.0 k read, 0 kept, 19.0 k written");
    }
}
