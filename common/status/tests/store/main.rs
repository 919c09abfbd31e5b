//! The status store against a real PostgreSQL: guards, races, crashes, and that schema, diagram and code agree.

mod chunks;
mod crash;
mod finalize;
mod fixture;
mod load;
mod migrations;
mod one_scan;
mod redispatch;
mod references;
mod resume;
mod runs;
mod start;
mod states;
