//! thaw-snowflake
