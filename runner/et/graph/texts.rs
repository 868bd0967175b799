//! Many texts in one: the names of millions of nodes without an allocation for each.

/// Texts, known by their position.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(super) const fn new() -> Self {
        Self { all: String::new(), ends: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    /// The text at a position; empty when there is none.
    pub(super) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end);
        self.ends.get(index).map_or("", |&end| &self.all[start..end])
    }
}
