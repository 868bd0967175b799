//! How much each version of a root needs.

use super::amount::Content;
use super::graph::Graph;
use super::mark::{Mark, Source};
use super::plan::keeper_of;
use crate::db::Table;
use crate::error::Result;
use crate::roots::RootVersion;
use crate::store::Store;

impl Store {
    /// What each of these versions needs, in the order given; what several need counts for each of them. Of what cannot be
    /// read only what leads to it is counted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sizes_of(&self, versions: &[RootVersion]) -> Result<Vec<Content>> {
        let view = self.core().db.view()?;
        let graph = Graph::load(&view)?;
        let source = Source {
            heads: view.table(Table::Blobs)?,
            chunks: view.table(Table::Chunks)?,
            records: view.table(Table::Actions)?,
        };
        let mut mark = Mark::new(&graph);
        let mut sizes = Vec::with_capacity(versions.len());
        for version in versions {
            mark.checkpoint();
            let mut walk = mark.begin(&graph, &source, keeper_of(&version.name));
            walk.output(version.root.kind, &version.root.target)?;
            sizes.push(mark.marked);
            mark.take_back(&graph);
        }
        Ok(sizes)
    }
}
