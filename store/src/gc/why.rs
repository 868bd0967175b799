//! Why something is kept: the way to it from what keeps it, as marking went.

use super::mark::{From, Keeper};
use super::plan::{GcPlan, State};
use crate::error::{Error, Result};
use crate::inspect::Found;

/// What keeps something, and the way from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What keeps it.
    pub keeper: Keeper,
    /// Each needs the next: records their outputs, lists what they list. The last is what was asked for.
    pub path: Vec<Found>,
}

#[derive(Clone, Copy)]
enum Node {
    Action(u32),
    Blob(u32),
}

impl GcPlan {
    /// Why something is kept; `None` when nothing keeps it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when the store does not have it.
    pub fn why(&self, what: &Found) -> Result<Option<Why>> {
        let State { graph, mark, .. } = &self.state;
        let node = match what {
            Found::Action(key) => graph.actions.find(key.as_bytes()).map(Node::Action),
            Found::Blob(digest) => graph.blobs.find(digest.as_bytes()).map(Node::Blob),
        };
        let mut node = node.ok_or_else(|| Error::invalid(format!("the store does not have {what}")))?;
        let mut path = Vec::new();
        loop {
            let (from, found) = match node {
                Node::Action(number) => (mark.action(number), Found::Action(graph.action(number))),
                Node::Blob(number) => (mark.blob(number), Found::Blob(graph.blob(number))),
            };
            path.push(found);
            node = match from {
                None => return Ok(None),
                Some(From::Action(number)) => Node::Action(number),
                Some(From::List(number)) => Node::Blob(number),
                Some(From::Keeper(number)) => {
                    path.reverse();
                    return Ok(Some(Why { keeper: mark.keepers[number as usize].clone(), path }));
                }
                Some(From::New) => {
                    path.reverse();
                    return Ok(Some(Why { keeper: Keeper::Young, path }));
                }
            };
        }
    }
}

impl std::fmt::Display for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lease(by) => write!(f, "{by}, which is building"),
            Self::Pin(name) => write!(f, "the pin `{name}`"),
            Self::Root(name) => write!(f, "the root `{name}`"),
            Self::Young => f.write_str("the grace window: it was written lately"),
        }
    }
}
