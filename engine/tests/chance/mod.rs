//! Repeatable random choices for tests.

/// A linear congruential generator; its upper bits are good enough to mix cases.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Whether something that happens once in `times` happens.
    pub(crate) fn rarely(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
