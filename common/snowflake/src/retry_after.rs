//! The `Retry-After` header.
