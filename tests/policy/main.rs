//! Policies as plugins: good ones answer, bad ones fail alone and are named.
//!
//! Real libraries, built here, in real helper processes. `plugins` builds them; `failures` is what a bad one can do,
//! `answers` what a good one gets, `builds` what both mean for a build, `commands` the commands about them.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod answers;
mod builds;
mod commands;
mod comparisons;
mod failures;
mod loading;
mod plugins;
mod travel;
