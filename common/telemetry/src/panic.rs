//! A panic becomes one log line with its place. Its message is left out: an index or a failed conversion prints the
//! value it failed on, which may be a user's.

use std::panic::PanicHookInfo;

/// Replaces the standard hook, which prints the message.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let (file, line) = place(info);
        let thread = std::thread::current();
        tracing::error!(file, line, thread = thread.name().unwrap_or("unnamed"), "panicked");
    }));
}

fn place<'a>(info: &'a PanicHookInfo<'_>) -> (&'a str, u32) {
    info.location().map_or(("unknown", 0), |location| (location.file(), location.line()))
}
