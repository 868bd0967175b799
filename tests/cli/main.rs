//! The command as its users meet it: real processes, real files, a fresh directory and store for each test.
//!
//! Knows the program only by its command line, its exit codes and what it prints. `sandbox` is the harness, `study` the
//! recipes and hardware files that tests vary; every other module is about one part of what the command promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod astra_cache;
mod build;
mod cache_modes;
mod collection;
mod commands;
mod discovery;
mod export;
mod external;
mod fake;
mod figures;
mod graphs;
mod help;
mod incremental;
mod interruption;
mod mistakes;
mod networks;
mod places;
mod processes;
mod python_module;
mod reference;
mod sandbox;
mod serving;
mod sharing;
mod standing_in;
mod stores;
mod study;
mod timeline;
mod traces;
mod upkeep;
