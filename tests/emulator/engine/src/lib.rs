//! emulator-engine
