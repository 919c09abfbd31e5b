//! The public face: the four endpoints of the SQL API v2 and what every request must carry.
//!
//! Knows HTTP, headers and bodies; knows neither SQL nor PostgreSQL.

pub(crate) mod answers;
pub(crate) mod cancel;
pub(crate) mod fetch;
pub(crate) mod headers;
pub(crate) mod parameters;
pub(crate) mod router;
pub(crate) mod submit;
