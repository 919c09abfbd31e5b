//! The incremental scanner of `{"data":[[...],...]}`.
