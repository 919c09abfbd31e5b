//! snowflake-emulator
