//! The simulators whose rules can be followed, by the names users meet.
//!
//! The system layer differs between them: message sizes, algorithms, groups and custom collectives. The networks are the
//! same in all.

use crate::names::named_enum;

named_enum! {
    /// Which simulator's rules are followed where versions differ.
    pub enum Dialect ("dialect") {
        /// The upstream ASTRA-sim analytical simulator.
        AstraSim = "astra-sim",
        /// The fork of it that DeepFlow and RAPID-LLM ship.
        DeepFlow = "deepflow",
    }
}

impl Dialect {
    /// The other one, which has what this one lacks.
    pub const fn other(self) -> Self {
        match self {
            Self::AstraSim => Self::DeepFlow,
            Self::DeepFlow => Self::AstraSim,
        }
    }
}
