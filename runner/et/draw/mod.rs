//! Pictures of traces: which nodes are drawn, as Graphviz text and as SVG of our own making.
//!
//! Depends on the trace format alone. Colours and what a box says are those that DeepFlow's users know.

mod dot;
mod layout;
mod selection;
mod svg;

pub use dot::write_dot;
pub use selection::{Drawing, Focus, RankTrace, select};
pub use svg::write_svg;
