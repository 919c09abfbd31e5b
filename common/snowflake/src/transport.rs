//! One HTTP request.
