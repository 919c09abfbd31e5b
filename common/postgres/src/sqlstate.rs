//! What an SQLSTATE means for the chunk that met it. The classes are those of the PostgreSQL manual, appendix A;
//! message text is never looked at.

use thaw_model::Disposition;

/// The disposition of an SQLSTATE: the code where it differs from its class, then the class.
///
/// 23503 is fatal here; while a parent table is unfinished the worker makes it a snooze, which it alone can know.
/// 22012 at the completion statement is a lost fence, which the status store tells apart by the statement.
pub(crate) fn disposition(sqlstate: &str) -> Disposition {
    by_code(sqlstate).unwrap_or_else(|| by_class(sqlstate.get(..2).unwrap_or(sqlstate)))
}

fn by_code(sqlstate: &str) -> Option<Disposition> {
    Some(match sqlstate {
        // deadlock_detected, too_many_connections, object_in_use, lock_not_available
        "40P01" | "53300" | "55006" | "55P03" => Disposition::Snooze { after: None },
        // disk_full; the database is gone
        "53100" | "3D000" => Disposition::HaltWorker,
        // idle_in_transaction_session_timeout, and a standby that was asked to write (fail-over)
        "25P03" | "25006" => Disposition::Retry,
        // data_corrupted, index_corrupted: no attempt mends it
        "XX001" | "XX002" => Disposition::HaltTable,
        _ => return None,
    })
}

fn by_class(class: &str) -> Disposition {
    match class {
        // connection exception, transaction rollback, insufficient resources, operator intervention (57014 is a
        // cancel from outside; 57P01 to 57P05 are restarts and lost sessions), system error, snapshot too old,
        // internal error
        "08" | "40" | "53" | "57" | "58" | "72" | "XX" => Disposition::Retry,
        // invalid authorization, configuration file error
        "28" | "F0" => Disposition::HaltWorker,
        // invalid schema name; syntax error or access rule violation: missing relation, column, right
        "3F" | "42" => Disposition::HaltTable,
        // object not in prerequisite state, feature not supported, wrong kind of transaction: every chunk of the
        // table sends the same statements
        "0A" | "25" | "55" => Disposition::HaltTable,
        // data exception, integrity constraint violation, WITH CHECK OPTION, program limit exceeded, an exception
        // raised by a trigger
        "22" | "23" | "44" | "54" | "P0" => Disposition::Fatal,
        // cardinality, triggered action, routines, savepoints, foreign data: the chunk's own fault as well
        "09" | "0B" | "0F" | "0L" | "0P" | "0Z" | "10" | "20" | "21" | "24" | "26" | "27" | "2B" | "2D"
        | "2F" | "34" | "38" | "39" | "3B" | "HV" => Disposition::Fatal,
        // Codes of extensions and of later versions: a few attempts, then failed.
        _ => Disposition::Retry,
    }
}

/// The condition name of appendix A for the codes a load meets most. Fixed text, so it holds no values.
pub(crate) fn condition(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "08000" => "connection_exception",
        "08001" => "sqlclient_unable_to_establish_sqlconnection",
        "08003" => "connection_does_not_exist",
        "08004" => "sqlserver_rejected_establishment_of_sqlconnection",
        "08006" => "connection_failure",
        "08P01" => "protocol_violation",
        "0A000" => "feature_not_supported",
        "22000" => "data_exception",
        "22001" => "string_data_right_truncation",
        "22003" => "numeric_value_out_of_range",
        "22007" => "invalid_datetime_format",
        "22008" => "datetime_field_overflow",
        "22012" => "division_by_zero",
        "22021" => "character_not_in_repertoire",
        "22P02" => "invalid_text_representation",
        "22P03" => "invalid_binary_representation",
        "22P04" => "bad_copy_file_format",
        "22P05" => "untranslatable_character",
        "23502" => "not_null_violation",
        "23503" => "foreign_key_violation",
        "23505" => "unique_violation",
        "23514" => "check_violation",
        "23P01" => "exclusion_violation",
        "25006" => "read_only_sql_transaction",
        "25P02" => "in_failed_sql_transaction",
        "25P03" => "idle_in_transaction_session_timeout",
        "28000" => "invalid_authorization_specification",
        "28P01" => "invalid_password",
        "3D000" => "invalid_catalog_name",
        "3F000" => "invalid_schema_name",
        "40001" => "serialization_failure",
        "40P01" => "deadlock_detected",
        "42501" => "insufficient_privilege",
        "42601" => "syntax_error",
        "42703" => "undefined_column",
        "42704" => "undefined_object",
        "42804" => "datatype_mismatch",
        "42883" => "undefined_function",
        "42P01" => "undefined_table",
        "42P10" => "invalid_column_reference",
        "428C9" => "generated_always",
        "44000" => "with_check_option_violation",
        "53100" => "disk_full",
        "53200" => "out_of_memory",
        "53300" => "too_many_connections",
        "54000" => "program_limit_exceeded",
        "55006" => "object_in_use",
        "55P03" => "lock_not_available",
        "57014" => "query_canceled",
        "57P01" => "admin_shutdown",
        "57P02" => "crash_shutdown",
        "57P03" => "cannot_connect_now",
        "57P05" => "idle_session_timeout",
        "58030" => "io_error",
        "P0001" => "raise_exception",
        "XX000" => "internal_error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_of_dispositions_holds() {
        let snooze = Disposition::Snooze { after: None };
        let table: [(&[&str], Disposition); 6] = [
            (
                &["08006", "08P01", "40001", "57P01", "57P02", "57P03", "57014", "25P03", "53200"],
                Disposition::Retry,
            ),
            (&["53300", "40P01", "55P03"], snooze),
            (&["53100", "28P01", "28000", "3D000"], Disposition::HaltWorker),
            (&["42P01", "42501", "42703", "42P10", "3F000", "428C9"], Disposition::HaltTable),
            (&["22001", "22003", "22P02", "23502", "23503", "23505", "23514", "P0001"], Disposition::Fatal),
            (&["ZZ999", "", "2"], Disposition::Retry),
        ];
        for (codes, expected) in table {
            for code in codes {
                assert_eq!(disposition(code), expected, "{code}");
            }
        }
    }
}
