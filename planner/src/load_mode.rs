//! How a table loads: one ordered list of rules, the first that fits decides (field note 25).
//!
//! Pure: facts in, plan out. The rules are printed in docs/guarantees.md.

use thaw_model::PgIdent;
use thaw_model::plan::{Arbiter, Decision, LoadMode, LoadPlan, OnDuplicate};

/// What the rules look at.
#[derive(Debug, Clone)]
pub struct LoadFacts {
    pub truncate: bool,
    pub insert_only: bool,
    /// The entry names uniqueness columns.
    pub has_keys: bool,
    /// The usable unique index on exactly the uniqueness columns.
    pub arbiter: Option<Arbiter>,
    /// The target's primary key, if it has one.
    pub primary_key: Option<Arbiter>,
    pub target_is_empty: bool,
    /// The target holds some watermark value.
    pub target_has_watermark: bool,
    /// The target's watermark column, where the entry names one.
    pub watermark: Option<PgIdent>,
    pub is_date_strategy: bool,
    pub append: bool,
    pub overriding_system_value: bool,
}

/// The mode, what must happen to the rows that are there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadDecision {
    pub load: LoadPlan,
    pub is_initial_full_load: bool,
    /// Rows at and above the bound are deleted and loaded again, for want of a key.
    pub replaces_tail: bool,
    pub decision: Decision,
}

/// Why no mode fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadRefusal {
    #[error(
        "uniqueness_columns have no usable unique index (non-partial, non-deferrable, on exactly these columns); \
         create one: {create_index}"
    )]
    NoArbiter { create_index: String },
    #[error(
        "the target has rows and the entry has neither uniqueness_columns, a watermark nor truncate_onstart, so rows \
         would be doubled; name one of them, or set append: true"
    )]
    WouldDouble,
}

/// Decides. `create_index` is what to print where the arbiter is missing.
///
/// # Errors
/// The refusal names what to add to the entry or to the target.
pub fn decide(facts: &LoadFacts, create_index: &str) -> Result<LoadDecision, LoadRefusal> {
    let plan = |mode, copy_first, on_duplicate, arbiter: Option<&Arbiter>| LoadPlan {
        mode,
        copy_first,
        on_duplicate,
        arbiter: arbiter.cloned(),
        watermark: facts.watermark.clone(),
        overriding_system_value: facts.overriding_system_value,
    };
    let decided = |load: LoadPlan, reason: &str| LoadDecision {
        decision: Decision {
            subject: "load mode".into(),
            choice: mode_name(load.mode).into(),
            reason: reason.into(),
        },
        load,
        is_initial_full_load: false,
        replaces_tail: false,
    };
    if facts.truncate {
        let proof = facts.arbiter.as_ref().or(facts.primary_key.as_ref());
        let redo = if proof.is_some() { OnDuplicate::Upsert } else { OnDuplicate::Fatal };
        return Ok(decided(plan(LoadMode::Copy, false, redo, proof), "truncate_onstart is set"));
    }
    if facts.has_keys && facts.arbiter.is_none() {
        return Err(LoadRefusal::NoArbiter { create_index: create_index.to_owned() });
    }
    let arbiter = facts.arbiter.as_ref();
    if facts.insert_only && facts.has_keys {
        let load = plan(LoadMode::InsertOnly, facts.target_is_empty, OnDuplicate::DoNothing, arbiter);
        return Ok(decided(load, "insert_only_mode with uniqueness_columns"));
    }
    if !facts.has_keys {
        return without_keys(facts, plan, decided);
    }
    let initial = facts.target_is_empty && !facts.target_has_watermark;
    let mut decision = match (initial, facts.is_date_strategy) {
        (true, false) => decided(
            plan(LoadMode::Copy, false, OnDuplicate::Upsert, arbiter),
            "initial full load: the target is empty and has no watermark",
        ),
        (true, true) => decided(
            plan(LoadMode::Upsert, true, OnDuplicate::Upsert, arbiter),
            "date strategy forces upsert; the target is empty, so COPY is tried first",
        ),
        (false, _) => decided(
            plan(LoadMode::Upsert, false, OnDuplicate::Upsert, arbiter),
            "the target has rows and the entry has uniqueness_columns",
        ),
    };
    decision.is_initial_full_load = initial;
    Ok(decision)
}

fn without_keys(
    facts: &LoadFacts,
    plan: impl Fn(LoadMode, bool, OnDuplicate, Option<&Arbiter>) -> LoadPlan,
    decided: impl Fn(LoadPlan, &str) -> LoadDecision,
) -> Result<LoadDecision, LoadRefusal> {
    let primary_key = facts.primary_key.as_ref();
    let skips_duplicates = facts.insert_only && primary_key.is_some();
    let redo = if skips_duplicates { OnDuplicate::DoNothing } else { OnDuplicate::Fatal };
    let load = plan(LoadMode::Copy, false, redo, primary_key);
    let tail_can_be_replaced = facts.watermark.is_some();
    if !facts.target_is_empty && primary_key.is_none() && !tail_can_be_replaced && !facts.append {
        return Err(LoadRefusal::WouldDouble);
    }
    let reason = if facts.insert_only {
        "insert_only_mode without uniqueness_columns"
    } else {
        "no uniqueness_columns"
    };
    let mut decision = decided(load, reason);
    decision.replaces_tail = tail_can_be_replaced && !facts.target_is_empty && !skips_duplicates;
    Ok(decision)
}

/// The mode's name as reports and `planner status` spell it.
#[must_use]
pub const fn mode_name(mode: LoadMode) -> &'static str {
    match mode {
        LoadMode::Copy => "copy",
        LoadMode::Upsert => "upsert",
        LoadMode::InsertOnly => "insert_only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(name: &str) -> Arbiter {
        Arbiter {
            index: PgIdent::exact(name),
            columns: vec![PgIdent::exact("id")],
            nulls_not_distinct: false,
        }
    }

    fn facts() -> LoadFacts {
        LoadFacts {
            truncate: false,
            insert_only: false,
            has_keys: true,
            arbiter: Some(index("t_pkey")),
            primary_key: Some(index("t_pkey")),
            target_is_empty: false,
            target_has_watermark: true,
            watermark: Some(PgIdent::exact("updated_at")),
            is_date_strategy: false,
            append: false,
            overriding_system_value: false,
        }
    }

    fn mode(facts: &LoadFacts) -> (LoadMode, bool, OnDuplicate) {
        let load = decide(facts, "").expect("decides").load;
        (load.mode, load.copy_first, load.on_duplicate)
    }

    #[test]
    fn note_25_the_first_rule_that_fits_decides_when_every_rule_fires() {
        let all = LoadFacts { truncate: true, insert_only: true, is_date_strategy: true, ..facts() };
        assert_eq!(mode(&all), (LoadMode::Copy, false, OnDuplicate::Upsert));
        let no_proof = LoadFacts { arbiter: None, primary_key: None, ..all };
        assert_eq!(mode(&no_proof), (LoadMode::Copy, false, OnDuplicate::Fatal));
    }

    #[test]
    fn the_rules_follow_the_order_of_the_table() {
        let empty = LoadFacts { target_is_empty: true, target_has_watermark: false, ..facts() };
        assert_eq!(mode(&facts()), (LoadMode::Upsert, false, OnDuplicate::Upsert));
        assert_eq!(mode(&empty), (LoadMode::Copy, false, OnDuplicate::Upsert));
        let dated = LoadFacts { is_date_strategy: true, ..empty.clone() };
        assert_eq!(mode(&dated), (LoadMode::Upsert, true, OnDuplicate::Upsert));
        let insert_only = LoadFacts { insert_only: true, ..facts() };
        assert_eq!(mode(&insert_only), (LoadMode::InsertOnly, false, OnDuplicate::DoNothing));
        let insert_only_empty = LoadFacts { insert_only: true, ..empty };
        assert_eq!(mode(&insert_only_empty), (LoadMode::InsertOnly, true, OnDuplicate::DoNothing));
    }

    #[test]
    fn keys_without_a_usable_index_are_refused_with_the_index_to_create() {
        let facts = LoadFacts { arbiter: None, ..facts() };
        let refusal = decide(&facts, "create unique index on t (id)").expect_err("refuses");
        assert!(refusal.to_string().contains("create unique index on t (id)"));
    }

    #[test]
    fn without_keys_the_tail_is_replaced_and_nothing_is_ever_doubled() {
        let no_keys = LoadFacts { has_keys: false, arbiter: None, primary_key: None, ..facts() };
        let decision = decide(&no_keys, "").expect("decides");
        assert_eq!(decision.load.mode, LoadMode::Copy);
        assert!(decision.replaces_tail);
        let no_watermark = LoadFacts { watermark: None, ..no_keys.clone() };
        assert_eq!(decide(&no_watermark, ""), Err(LoadRefusal::WouldDouble));
        let append = LoadFacts { append: true, ..no_watermark };
        assert!(!decide(&append, "").expect("decides").replaces_tail);
        let append_with_watermark = LoadFacts { append: true, ..no_keys.clone() };
        assert!(decide(&append_with_watermark, "").expect("decides").replaces_tail);
        let empty = LoadFacts { target_is_empty: true, ..no_keys };
        assert!(!decide(&empty, "").expect("decides").replaces_tail);
    }
}
